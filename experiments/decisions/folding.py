"""Folds changes of running sums into the sums, about every second.

A transaction of a request only inserts changes (`experiments.models.sums`). Here they are added to
the row that holds their key's sum and deleted, both in one transaction: any one state of the
database holds each change exactly once, and the rows of a key add up to the same sum before, during
and after. A process that dies in between has changed nothing.

Any number of processes may fold; one works at a time, and the others skip. On PostgreSQL an
advisory lock decides, which ends with its transaction, or with the connection of a process that
died; on SQLite the write lock decides. docs/decisions/0064-writes-only-append.md gives the reasons.
"""

# ruff: noqa: S608 - every name in these statements is our own

import time
from collections.abc import Iterable

from django.db import connection, models

from experiments.models import KeyUsage, MetricSum, Rollup, RollupBin, UnitSum
from experiments.models.sums import counters_of, key_columns
from experiments.storage.transactions import checkpoint, run_transaction

TABLES: tuple[type[models.Model], ...] = (KeyUsage, MetricSum, Rollup, RollupBin, UnitSum)
BATCH = 5_000
# SQLite has one writer at a time, so requests wait for each of these transactions: they are small,
# and a pause after each lets waiting requests go first.
BATCH_ON_SQLITE = 200
PAUSE_ON_SQLITE_SECONDS = 0.005


def fold_all(batch: int | None = None) -> int:
    """Folds all changes, `batch` per transaction; returns how many. Skips a table that another
    process is folding."""
    if batch is None:
        batch = BATCH_ON_SQLITE if connection.vendor == "sqlite" else BATCH
    return sum(_fold_table(model, batch) for model in TABLES)


def fold_and_checkpoint() -> int:
    """The same in the background, which also does what requests on SQLite would have to do."""
    folded = fold_all()
    if folded:
        checkpoint()
    return folded


def unfolded(model: type[models.Model]) -> int:
    """How many changes of this table are not folded yet."""
    return model._default_manager.filter(folded__isnull=True).count()


def _fold_table(model: type[models.Model], batch: int) -> int:
    """Stops when fewer changes than a batch are left: others may keep writing."""
    if not model._default_manager.filter(folded__isnull=True).exists():
        return 0
    folded = moved = run_transaction(lambda: _fold(model, batch))
    while moved == batch:
        if connection.vendor == "sqlite":
            time.sleep(PAUSE_ON_SQLITE_SECONDS)
        moved = run_transaction(lambda: _fold(model, batch))
        folded += moved
    return folded


def _fold(model: type[models.Model], batch: int) -> int:
    """The oldest changes. Sums are locked in the order of their keys, as corrections do."""
    return (
        _on_postgresql(model, batch)
        if connection.vendor == "postgresql"
        else _on_sqlite(model, batch)
    )


def _on_postgresql(model: type[models.Model], batch: int) -> int:
    """One statement: two would see two states of the database."""
    keys, counters, table = key_columns(model), counters_only(model), _table(model)
    oldest = f"SELECT id FROM {table} WHERE folded IS NULL ORDER BY id LIMIT %s"
    added_up = _list(f"CAST(SUM({name}) AS bigint) AS {name}" for name in counters)
    order = _list(f'CAST({name} AS text) COLLATE "C"' for name in keys)
    statement = (
        f"WITH moved AS (DELETE FROM {table} WHERE folded IS NULL AND id IN ({oldest}) "
        f"RETURNING {_list((*keys, *counters))}), "
        f"sums AS (SELECT {_list(keys)}, {added_up} FROM moved "
        f"GROUP BY {_list(keys)} ORDER BY {order}), "
        f"added AS (INSERT INTO {table} ({_list((*keys, 'folded', *counters))}) "
        f"SELECT {_list(keys)}, TRUE, {_list(counters)} FROM sums {_or_add(model)} RETURNING 1) "
        "SELECT COUNT(*) FROM moved"
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('switchyard-folding'))")
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(statement, [batch])
        return int(cursor.fetchone()[0])


def _on_sqlite(model: type[models.Model], batch: int) -> int:
    """No other process writes between the two statements."""
    keys, counters, table = key_columns(model), counters_only(model), _table(model)
    oldest = f"id IN (SELECT id FROM {table} WHERE folded IS NULL ORDER BY id LIMIT %s)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({_list((*keys, 'folded', *counters))}) "
            f"SELECT {_list(keys)}, TRUE, {_list(f'SUM({name})' for name in counters)} "
            f"FROM {table} WHERE {oldest} GROUP BY {_list(keys)} {_or_add(model)}",
            [batch],
        )
        cursor.execute(f"DELETE FROM {table} WHERE {oldest}", [batch])
        return int(cursor.rowcount)


def _or_add(model: type[models.Model]) -> str:
    table = _table(model)
    changes = _list(f"{name} = {table}.{name} + excluded.{name}" for name in counters_only(model))
    return f"ON CONFLICT ({_list((*key_columns(model), 'folded'))}) DO UPDATE SET {changes}"


def counters_only(model: type[models.Model]) -> tuple[str, ...]:
    """The sums of a table, without numbers that are part of its key."""
    return tuple(name for name in counters_of(model) if name not in key_columns(model))


def _table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
