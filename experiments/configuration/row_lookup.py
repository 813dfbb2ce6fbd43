"""Finds rows by their names in a document, and adds paths to errors."""

from typing import TypeVar

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models

Row = TypeVar("Row", bound=models.Model)


def named(model: type[Row], name: str | None, path: str) -> Row | None:
    """The row of that name, or None for None. Raises ValidationError with `path`."""
    if name is None:
        return None
    row = model._default_manager.filter(name=name).first()
    if row is None:
        raise ValidationError(f"{path}: unknown {model._meta.verbose_name} '{name}'.")
    return row


def placed(error: ValidationError, path: str) -> ValidationError:
    """The same error, with the path of the value before each message."""
    if hasattr(error, "error_dict"):
        named_fields = [
            (path if field == NON_FIELD_ERRORS else f"{path}.{field}", message)
            for field, messages in error.message_dict.items()
            for message in messages
        ]
    else:
        named_fields = [(path, message) for message in error.messages]
    return ValidationError(
        [m if m.startswith(f"{path}.") else f"{where}: {m}" for where, m in named_fields]
    )
