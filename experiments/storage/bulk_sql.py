"""Hand-written SQL for the rows of every decision: the ORM costs several times more.

New rows are prepared before a transaction begins (`insertion`, `appended`) and written in it by one
call of `run`, which on PostgreSQL is one round trip for all tables."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

import orjson
from django.db import connection, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import DEFAULT_DB_ALIAS

from experiments.core.text import ESCAPED_NUL, storable, storable_value

Row = Mapping[str, Any]

SEPARATOR = ";\n"
_JSON = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


class Statement(NamedTuple):
    """SQL with Django's placeholders."""

    text: str
    values: list[Any]


class Insertion(NamedTuple):
    """New rows of one table, as the database driver takes them."""

    model: type[models.Model]
    columns: tuple[str, ...]
    values: list[list[Any]]


def insertion(rows: Sequence[models.Model]) -> Insertion:
    """New rows of one model, at least one. Reads and writes nothing."""
    model, database = type(rows[0]), _database()
    columns = _columns(model)
    read, conversions = _reader(model), _conversions(model, columns)
    values = [_converted(list(read(row)), conversions, database) for row in rows]
    return Insertion(model, columns, values)


def appended(model: type[models.Model], rows: Sequence[Row]) -> Insertion:
    """New rows that all name the same columns, at least one; the others get the database's
    default. Reads and writes nothing."""
    columns, database = tuple(rows[0]), _database()
    conversions = _conversions(model, columns)
    values = [_converted([row[name] for name in columns], conversions, database) for row in rows]
    return Insertion(model, columns, values)


def _converted(
    values: list[Any], conversions: "Conversions", database: BaseDatabaseWrapper
) -> list[Any]:
    for place, adapt in conversions:
        values[place] = adapt(values[place], database)
    return values


def run(insertions: Sequence[Insertion], first: Sequence[Statement] = ()) -> Any:
    """Inserts all rows, table by table, after the statements of `first`; returns the row that the
    last of these gives. Raises what the database raises."""
    if not insertions and not first:
        return None
    with _cursor() as (cursor, mark):
        if _database().vendor == "sqlite":
            found = None
            for text, values in first:
                found = cursor.execute(text.replace("%s", mark), values).fetchone()
            for model, columns, rows in insertions:
                cursor.executemany(_insertion(model, columns, 1, mark), rows)
            return found
        return _run_together(cursor, [*first, *_statements(mark, insertions)], len(first))


def _statements(mark: str, insertions: Iterable[Insertion]) -> Iterator[Statement]:
    """One for each table, or several if it has more values than the database accepts."""
    for model, columns, values in insertions:
        limit = _database().features.max_query_params or 10_000
        for some in _chunks(values, max(1, limit // len(columns))):
            text = _insertion(model, columns, len(some), mark)
            yield Statement(text, [value for row in some for value in row])


def _run_together(cursor: Any, statements: Sequence[Statement], first: int) -> Any:
    """One round trip, which parameters bound by the server would not allow. Returns the row that
    the last of the `first` statements gives."""
    found = None
    if _database().settings_dict["OPTIONS"].get("server_side_binding"):
        for number, (text, parameters) in enumerate(statements, start=1):
            cursor.execute(text, parameters)
            if number == first:
                found = cursor.fetchone()
        return found
    texts = SEPARATOR.join(text for text, _ in statements)
    cursor.execute(texts, [value for _, parameters in statements for value in parameters])
    for _ in range(first - 1):
        cursor.nextset()
    return cursor.fetchone() if first else None


def _chunks(values: list[list[Any]], size: int) -> Iterator[list[list[Any]]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def insert(row: models.Model) -> None:
    """Stores a new row with one statement. Raises what the database raises."""
    run([insertion([row])])


def insert_all(rows: Sequence[models.Model]) -> None:
    """Stores new rows of one model. Raises what the database raises."""
    if rows:
        run([insertion(rows)])


def put(model: type[models.Model], key: Sequence[str], rows: Sequence[Row]) -> None:
    """Creates the rows with these keys, or replaces the given values of those that exist.

    All rows name the same columns, no two have the same key. One statement, or several if there
    are more values than the database accepts at once; rows are written in the order given."""
    columns = tuple(rows[0])
    adapters, database = _adapters(model), _database()
    limit = (database.features.max_query_params or 10_000) // len(columns)
    for start in range(0, len(rows), limit):
        chunk = rows[start : start + limit]
        values = [adapters[name](row[name], database) for row in chunk for name in columns]
        with _cursor() as (cursor, mark):
            statement = _upsertion(model, columns, tuple(key), len(chunk), mark)
            cursor.execute(statement, values)


def present(
    model: type[models.Model], column: str, values: Iterable[Any], *, locks: bool = False
) -> list[Any]:
    """Those of `values` that exist in this column, in the order given. With `locks`, their rows
    are locked until the transaction ends, in the column's order."""
    adapt, database = _adapters(model)[column], _database()
    by_stored = {adapt(value, database): value for value in values}
    stored = list(by_stored)
    found = set()
    limit = database.features.max_query_params or 10_000
    for start in range(0, len(stored), limit):
        chunk = stored[start : start + limit]
        with _cursor() as (cursor, mark):
            cursor.execute(_selection(model, column, len(chunk), mark, locks=locks), chunk)
            found |= {adapt(value, database) for (value,) in cursor.fetchall()}
    return [value for key, value in by_stored.items() if key in found]


def delete(model: type[models.Model], column: str, values: Iterable[Any]) -> int:
    """Deletes the rows that have one of `values` in this column; returns how many there were.

    For models that nothing references: no related row is looked for.
    """
    adapt, database = _adapters(model)[column], _database()
    stored = [adapt(value, database) for value in values]
    limit = database.features.max_query_params or 10_000
    count = 0
    for start in range(0, len(stored), limit):
        chunk = stored[start : start + limit]
        with _cursor() as (cursor, mark):
            cursor.execute(_deletion(model, column, len(chunk), mark), chunk)
            count += cursor.rowcount
    return count


def _database() -> BaseDatabaseWrapper:
    """The connection of this thread: `connection` looks it up again on each use."""
    return connections[DEFAULT_DB_ALIAS]


@contextmanager
def _cursor() -> Iterator[tuple[Any, str]]:
    """A cursor and its parameter placeholder.

    Django translates its own placeholders for SQLite in each statement, which takes about as
    long as running it; so SQLite's cursor is used directly, in the same wrapper. When queries
    are logged, Django needs its own placeholders."""
    database = _database()
    if database.vendor == "sqlite" and not database.queries_logged:
        database.ensure_connection()
        raw: Any = database.connection.cursor()
        with database._prepare_cursor(raw) as cursor:  # type: ignore[attr-defined]
            yield cursor, "?"
    else:
        with database.cursor() as cursor:
            yield cursor, "%s"


Adapter = Callable[[Any, BaseDatabaseWrapper], Any]


@cache
def _adapters(model: type[models.Model]) -> Mapping[str, Adapter]:
    """For each column, the function that converts its values for the database driver."""
    fields = [f for f in model._meta.concrete_fields if not isinstance(f, models.AutoField)]
    return {str(field.column): _adapter(field) for field in fields}


@cache
def _columns(model: type[models.Model]) -> tuple[str, ...]:
    return tuple(_adapters(model))


@cache
def _reader(model: type[models.Model]) -> Callable[[models.Model], tuple[Any, ...]]:
    """Reads the columns of a row, of which there are at least two."""
    read: Callable[[models.Model], tuple[Any, ...]] = attrgetter(*_columns(model))
    return read


Conversions = Sequence[tuple[int, Adapter]]


@lru_cache(maxsize=256)
def _conversions(model: type[models.Model], columns: tuple[str, ...]) -> Conversions:
    """The places of those columns that the driver does not take as they are."""
    adapters = _adapters(model)
    found = [(place, adapters[name]) for place, name in enumerate(columns)]
    return [(place, adapt) for place, adapt in found if adapt is not _as_it_is]


def _adapter(field: Any) -> Adapter:
    if isinstance(field, models.ForeignKey):
        return _adapter(field.target_field)
    for kind, adapt in _ADAPTERS.items():
        if isinstance(field, kind):
            return adapt
    prepare: Adapter = field.get_db_prep_save
    return prepare


def _json(value: Any, database: BaseDatabaseWrapper) -> str:
    """Text from a router or library may contain characters that no database stores; they are
    replaced."""
    try:
        raw = orjson.dumps(value, option=_JSON)
    except TypeError:
        raw = orjson.dumps(storable_value(value), option=_JSON)
    if ESCAPED_NUL in raw:
        raw = orjson.dumps(storable_value(value), option=_JSON)
    return raw.decode()


def _text(value: Any, database: BaseDatabaseWrapper) -> Any:
    return storable(value) if isinstance(value, str) else value


def _float(value: Any, database: BaseDatabaseWrapper) -> float | None:
    return None if value is None else float(value)


def _uuid(value: Any, database: BaseDatabaseWrapper) -> str | None:
    if value is None:
        return None
    text = str(value)
    return text if database.features.has_native_uuid_field else text.replace("-", "")


def _datetime(value: Any, database: BaseDatabaseWrapper) -> Any:
    """A time in UTC becomes the text that Django stores, in a tenth of the time."""
    if type(value) is datetime and value.tzinfo is UTC and _stores_utc_as_text(database):
        return value.replace(tzinfo=None).isoformat(" ")
    return database.ops.adapt_datetimefield_value(value)


def _stores_utc_as_text(database: BaseDatabaseWrapper) -> bool:
    return database.vendor == "sqlite" and database.timezone is UTC


def _date(value: Any, database: BaseDatabaseWrapper) -> Any:
    return database.ops.adapt_datefield_value(value)


def _as_it_is(value: Any, database: BaseDatabaseWrapper) -> Any:
    return value


_ADAPTERS: dict[type[Any], Adapter] = {
    models.JSONField: _json,
    models.FloatField: _float,  # a detector may return NumPy's
    models.CharField: _text,
    models.TextField: _text,
    models.IntegerField: _as_it_is,
    models.BooleanField: _as_it_is,
    models.DateTimeField: _datetime,  # before DateField, its base class
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
def _upsertion(
    model: type[models.Model], columns: tuple[str, ...], key: tuple[str, ...], rows: int, mark: str
) -> str:
    changed = [_quoted(name) for name in columns if name not in key]
    changes = _list(f"{name} = excluded.{name}" for name in changed)
    return (
        f"{_insertion(model, columns, rows, mark)} ON CONFLICT ({_list(map(_quoted, key))}) "
        f"DO UPDATE SET {changes}"
    )


@lru_cache(maxsize=256)
def _selection(
    model: type[models.Model], column: str, values: int, mark: str, *, locks: bool
) -> str:
    table, name = _quoted(model._meta.db_table), _quoted(column)
    can_lock = locks and connection.features.has_select_for_no_key_update
    locking = " FOR NO KEY UPDATE" if can_lock else ""
    where = f"{name} IN ({_list([mark] * values)})"
    return f"SELECT {name} FROM {table} WHERE {where} ORDER BY {name}{locking}"  # noqa: S608


@lru_cache(maxsize=256)
def _deletion(model: type[models.Model], column: str, values: int, mark: str) -> str:
    table = _quoted(model._meta.db_table)
    return f"DELETE FROM {table} WHERE {_quoted(column)} IN ({_list([mark] * values)})"  # noqa: S608


def _list(parts: Iterable[str]) -> str:
    return ", ".join(parts)


def _quoted(name: str) -> str:
    return f'"{name}"'
