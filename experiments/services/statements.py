"""Writes by hand for what every decision writes: the ORM's own cost several times more."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

import orjson
from django.db import connection, models

Row = Mapping[str, Any]

_JSON = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def insert(row: models.Model) -> None:
    """Stores a new row with one statement. Raises what the database raises."""
    adapters = _adapters(type(row))
    values = [adapt(getattr(row, name)) for name, adapt in adapters.items()]
    with _cursor() as (cursor, mark):
        cursor.execute(_insertion(type(row), tuple(adapters), 1, mark), values)


def insert_all(rows: Sequence[models.Model]) -> None:
    """Stores new rows of one model. Raises what the database raises."""
    if not rows:
        return
    adapters = _adapters(type(rows[0]))
    values = [[adapt(getattr(row, name)) for name, adapt in adapters.items()] for row in rows]
    with _cursor() as (cursor, mark):
        cursor.executemany(_insertion(type(rows[0]), tuple(adapters), 1, mark), values)


def add(model: type[models.Model], key: Sequence[str], rows: Sequence[Row]) -> None:
    """Adds each row's counters to the row with its `key`, which is made where it is missing.

    All rows name the same columns, no two have the same key. One statement, unless there are more
    values than the database takes at once; rows are written in the order given.
    """
    columns = tuple(rows[0])
    adapters = _adapters(model)
    limit = (connection.features.max_query_params or 10_000) // len(columns)
    for start in range(0, len(rows), limit):
        chunk = rows[start : start + limit]
        values = [adapters[name](row[name]) for row in chunk for name in columns]
        with _cursor() as (cursor, mark):
            cursor.execute(_addition(model, columns, tuple(key), len(chunk), mark), values)


@contextmanager
def _cursor() -> Iterator[tuple[Any, str]]:
    """A cursor and how its statements mark a value.

    For SQLite Django looks for its own marks in each statement again, which takes about as long as
    running it; so SQLite's cursor is used as it is, in the same wrapping. Where queries are logged
    Django needs its own marks.
    """
    if connection.vendor == "sqlite" and not connection.queries_logged:
        connection.ensure_connection()
        raw: Any = connection.connection.cursor()
        with connection._prepare_cursor(raw) as cursor:  # type: ignore[attr-defined]
            yield cursor, "?"
    else:
        with connection.cursor() as cursor:
            yield cursor, "%s"


@cache
def _adapters(model: type[models.Model]) -> Mapping[str, Callable[[Any], Any]]:
    """For each column the function that makes its values what the database driver takes."""
    fields = [f for f in model._meta.concrete_fields if not isinstance(f, models.AutoField)]
    return {str(field.column): _adapter(field) for field in fields}


def _adapter(field: Any) -> Callable[[Any], Any]:
    for kind, adapt in _ADAPTERS.items():
        if isinstance(field, kind):
            return adapt
    return lambda value: field.get_db_prep_save(value, connection)


def _json(value: Any) -> str:
    return orjson.dumps(value, option=_JSON).decode()


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _uuid(value: Any) -> str:
    text = str(value)
    return text if connection.features.has_native_uuid_field else text.replace("-", "")


def _datetime(value: Any) -> Any:
    return connection.ops.adapt_datetimefield_value(value)


def _date(value: Any) -> Any:
    return connection.ops.adapt_datefield_value(value)


def _as_it_is(value: Any) -> Any:
    return value


_ADAPTERS: dict[type[Any], Callable[[Any], Any]] = {
    models.JSONField: _json,
    models.FloatField: _float,  # a detector may hand on NumPy's
    models.CharField: _as_it_is,
    models.TextField: _as_it_is,
    models.IntegerField: _as_it_is,
    models.BooleanField: _as_it_is,
    models.DateTimeField: _datetime,  # before DateField, which it is one of
    models.DateField: _date,
    models.UUIDField: _uuid,
}


@lru_cache(maxsize=256)
def _insertion(model: type[models.Model], columns: tuple[str, ...], rows: int, mark: str) -> str:
    marks = f"({_list(mark for _ in columns)})"
    table = _quoted(model._meta.db_table)
    names = _list(map(_quoted, columns))
    return f"INSERT INTO {table} ({names}) VALUES {_list([marks] * rows)}"  # noqa: S608


@lru_cache(maxsize=256)
def _addition(
    model: type[models.Model],
    columns: tuple[str, ...],
    key: tuple[str, ...],
    rows: int,
    mark: str,
) -> str:
    table = _quoted(model._meta.db_table)
    counters = [_quoted(name) for name in columns if name not in key]
    return (
        f"{_insertion(model, columns, rows, mark)} ON CONFLICT ({_list(map(_quoted, key))}) "
        f"DO UPDATE SET {_list(f'{name} = {table}.{name} + excluded.{name}' for name in counters)}"
    )


def _list(parts: Iterable[str]) -> str:
    return ", ".join(parts)


def _quoted(name: str) -> str:
    return f'"{name}"'
