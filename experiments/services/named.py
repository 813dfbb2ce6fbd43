"""Finding the row a document names."""

from typing import TypeVar

from django.core.exceptions import ValidationError
from django.db import models

Row = TypeVar("Row", bound=models.Model)


def named(model: type[Row], name: str | None, path: str) -> Row | None:
    """The row of that name, or None for None. Raises ValidationError naming `path`."""
    if name is None:
        return None
    row = model._default_manager.filter(name=name).first()
    if row is None:
        raise ValidationError(f"{path}: there is no {model._meta.verbose_name} '{name}'.")
    return row
