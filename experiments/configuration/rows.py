"""Reads the parts of the configuration document from rows, and writes them to rows.

Both follow the shapes in `shapes.py`.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from typing_extensions import is_typeddict

from experiments.configuration.shapes import (
    Column,
    Digits,
    Document,
    Exported,
    LeftOut,
    Part,
    Related,
)

Row = TypeVar("Row", bound=models.Model)
Mark = TypeVar("Mark")


class KeyShape(NamedTuple):
    """One key of a shape. `inner`: the shape of a mapping in the same row, or of each related
    row."""

    key: str
    marks: tuple[Any, ...]
    inner: Any

    def mark(self, kind: type[Mark]) -> Mark | None:
        return next((mark for mark in self.marks if isinstance(mark, kind)), None)

    @property
    def column(self) -> str:
        named = self.mark(Column)
        return named.name if named else self.key

    @property
    def is_sparse(self) -> bool:
        default = self.mark(LeftOut)
        return default is not None and default.sparse


@cache
def keys_of(shape: Any) -> tuple[KeyShape, ...]:
    """The keys of a shape in its order."""
    hints = get_type_hints(shape, include_extras=True)
    return tuple(
        KeyShape(key, tuple(_marks(hint)), next(_shapes_in(hint), None))
        for key, hint in hints.items()
    )


def keys_in(shape: Any, *parts: Part) -> tuple[str, ...]:
    """The keys of a shape that belong to these parts."""
    return tuple(each.key for each in keys_of(shape) if each.mark(Part) in parts)


def _marks(hint: Any) -> Iterator[Any]:
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        yield from marks
        yield from _marks(inner)
    elif get_origin(hint) not in (list, dict):
        for inner in get_args(hint):
            yield from _marks(inner)


def _shapes_in(hint: Any) -> Iterator[Any]:
    if is_typeddict(hint):
        yield hint
    for inner in get_args(hint):
        yield from _shapes_in(inner)


def queryset(shape: Any, model: type[Row]) -> "models.QuerySet[Row]":
    """The rows with all that `document_of` reads, in a fixed number of queries."""
    prefetched = []
    for each in keys_of(shape):
        if related := each.mark(Related):
            child = _related_model(model, related.accessor)
            inner = _references(each.inner, child) if each.inner else ()
            prefetched += [related.accessor, *(f"{related.accessor}__{name}" for name in inner)]
    rows = model._default_manager.prefetch_related(*prefetched)
    references = tuple(_references(shape, model))
    return rows.select_related(*references) if references else rows


def _references(shape: Any, model: type[models.Model]) -> Iterator[str]:
    for each in keys_of(shape):
        if each.mark(Related):
            continue
        if each.inner and not _has_column(model, each.column):
            yield from _references(each.inner, model)
        elif _has_column(model, each.column) and model._meta.get_field(each.column).is_relation:
            yield each.column


def _has_column(model: type[models.Model], name: str) -> bool:
    return any(column.name == name for column in model._meta.concrete_fields)


def _related_model(model: type[models.Model], accessor: str) -> type[models.Model]:
    related: Any = model._meta.get_field(accessor).related_model
    return related  # type: ignore[no-any-return]


# From rows


def document_of(shape: Any, row: Any) -> Document:
    """The row as its part of the document."""
    return {
        each.key: value
        for each in keys_of(shape)
        if (value := _value(each, row)) not in (None, []) or not each.is_sparse
    }


def _value(each: KeyShape, row: Any) -> Any:
    exported, related = each.mark(Exported), each.mark(Related)
    if exported and exported.read:
        return exported.read(row)
    if related:
        rows = [one for one in getattr(row, related.accessor).all() if _is_of(one, related)]
        rows = sorted(rows, key=related.order) if related.order else rows
        if related.only:
            return [getattr(one, related.only) for one in rows]
        return [document_of(each.inner, one) for one in rows]
    if each.inner and not _has_column(row, each.column):
        return document_of(each.inner, row)
    return _plain(getattr(row, each.column), each.mark(Digits))


def _is_of(row: Any, related: Related) -> bool:
    return not related.kind or row.kind == related.kind


def _plain(value: Any, digits: Digits | None) -> Any:
    if isinstance(value, Decimal):
        return f"{value:.{digits.count}f}" if digits else f"{value.normalize():f}"
    if isinstance(value, models.Model):
        return value.name  # type: ignore[attr-defined]
    if isinstance(value, Enum):
        return str(value)
    return value.isoformat() if isinstance(value, date) else value


# To rows


def write(shape: Any, row: models.Model, values: Document, path: str) -> None:
    """Checks and saves the row with the given values, then its related rows.

    Raises ValidationError.
    """
    assign(shape, row, values, path)
    row.full_clean()
    row.save()
    for each in keys_of(shape):
        if (related := each.mark(Related)) and each.key in values:
            _replace(each, related, row, values[each.key], f"{path}.{each.key}")


def assign(shape: Any, row: models.Model, values: Document, path: str) -> None:
    """Sets the columns that `values` gives. Raises ValidationError for unknown names."""
    for each in keys_of(shape):
        if each.mark(Exported) or each.mark(Related):
            continue
        if each.key in values:
            value = values[each.key]
        elif default := each.mark(LeftOut):
            value = default.value()
        else:
            continue
        where = f"{path}.{each.key}"
        if each.inner and not _has_column(type(row), each.column):
            assign(each.inner, row, value, where)
        else:
            setattr(row, each.column, _stored(row, each.column, value, where))


def _stored(row: models.Model, name: str, value: Any, path: str) -> Any:
    column: Any = row._meta.get_field(name)
    if column.is_relation:
        return named(column.related_model, value, path)
    if isinstance(column, models.DecimalField) and value is not None:
        return Decimal(str(value))
    return value


def _replace(
    each: KeyShape, related: Related, row: models.Model, values: Iterable[Any], path: str
) -> None:
    manager: Any = getattr(row, related.accessor)
    of_kind = {"kind": related.kind} if related.kind else {}
    manager.filter(**of_kind).delete()
    if related.bulk:
        given = [{related.only: value} if related.only else value for value in values]
        parent = {manager.field.name: row}
        manager.bulk_create(manager.model(**parent, **of_kind, **one) for one in given)
        return
    for index, one in enumerate(values):
        position = {related.position: index} if related.position else {}
        child = manager.model(**{manager.field.name: row}, **of_kind, **position)
        write(each.inner, child, one, f"{path}[{index}]")


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
