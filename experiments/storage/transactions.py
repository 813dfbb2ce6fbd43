"""Write transactions: retried after a conflict, and split so that an error fails only its own call.

Every write uses `run_transaction`, or `retry_conflicts` if it opens its transaction itself.
docs/decisions/0036-one-lock-order.md gives the reasons."""

import logging
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from experiments.storage.deadlines import seconds_left
from experiments.storage.write_lock import write_transaction

log = logging.getLogger("switchyard.database")

MAX_ATTEMPTS = 6
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.01, 0.5

SERIALIZATION_FAILURE, DEADLOCK = "40001", "40P01"
SQLITE_CONFLICTS = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
# PostgreSQL's classes of errors that say nothing about the statement: connection, resources, an
# operator, the system.
UNAVAILABLE_CLASSES = ("08", "53", "57P", "58", "25006")
LIMIT_CLASS = "54"

Item = TypeVar("Item")
Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class ConcurrentUpdateError(DatabaseError):
    """Another transaction changed what this one has read. The transaction is retried."""


def run_transaction(work: Callable[[], Result]) -> Result:
    """Runs `work` in a write transaction, and again after a deadlock or a serialization failure.

    `work` may run several times, so it must change nothing outside the database. Inside an open
    transaction it runs once: only the outermost transaction is retried."""

    def once() -> Result:
        with write_transaction():
            return work()

    return retry_conflicts(once)


def retry_conflicts(work: Callable[[], Result]) -> Result:
    """Runs `work`, which opens its own transactions, again after a conflict: a few times, after
    short random waits. Raises what `work` raises."""
    if connection.in_atomic_block:
        return work()
    until, wait = time.monotonic() + _longest_seconds(), FIRST_WAIT_SECONDS
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            return work()
        except DatabaseError as error:
            is_last = attempt == MAX_ATTEMPTS or time.monotonic() + wait >= until
            if is_last or not is_conflict(error):
                raise
            log.info("A transaction is retried", extra={"attempt": attempt, "error": str(error)})
        time.sleep(wait * random.uniform(0.5, 1.5))
        wait = min(2 * wait, LONGEST_WAIT_SECONDS)
    raise AssertionError("unreachable")


def retried(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A function that opens its own transactions, with `retry_conflicts` around each call."""

    @wraps(function)
    def repeated(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return retry_conflicts(lambda: function(*args, **kwargs))

    return repeated


def write_each(
    items: Sequence[Item], write: Callable[[Sequence[Item]], Sequence[Result]]
) -> list[Result | Exception]:
    """Writes all items together or, if that fails, each on its own. For each, in order, its result
    or its own error.

    If the database is unavailable, all items fail at once; so they do if several items in a row
    reach a time limit."""
    try:
        return list(write(items))
    except Exception as error:
        if len(items) <= 1 or is_unavailable(error):
            return [error] * len(items)
        return _one_by_one(items, write, error)


def _one_by_one(
    items: Sequence[Item], write: Callable[[Sequence[Item]], Sequence[Result]], error: Exception
) -> list[Result | Exception]:
    until = time.monotonic() + _longest_seconds()
    results: list[Result | Exception] = []
    for item in items:
        results += write_each([item], write) if time.monotonic() < until else [error]
    return results


def is_conflict(error: BaseException) -> bool:
    """Whether the same transaction may succeed when it runs again."""
    if isinstance(error, ConcurrentUpdateError):
        return True
    code = _sqlite_code(error)
    return _sqlstate(error) in {SERIALIZATION_FAILURE, DEADLOCK} or code in SQLITE_CONFLICTS


def is_unavailable(error: BaseException) -> bool:
    """Whether the database as a whole cannot be written to, whatever is written."""
    if isinstance(error, InterfaceError):
        return True
    if not isinstance(error, OperationalError):
        return False
    state = _sqlstate(error)
    return state is None or state.startswith(UNAVAILABLE_CLASSES)


def is_over_limit(error: BaseException) -> bool:
    """Whether a row is larger than PostgreSQL allows, such as for an index."""
    return (_sqlstate(error) or "").startswith(LIMIT_CLASS)


def _longest_seconds() -> float:
    """As long as the caller may wait for the database. SQLite waits that long for other writers
    before it reports that it is busy."""
    return seconds_left(settings.DATABASE_BUSY_SECONDS)


def _sqlstate(error: BaseException) -> str | None:
    state: str | None = getattr(error.__cause__, "sqlstate", None)
    return state


def _sqlite_code(error: BaseException) -> int | None:
    code: int | None = getattr(error.__cause__, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
