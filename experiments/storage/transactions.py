"""Write transactions: retried after a conflict, and split so that an error fails only its own call.

Every write uses `run_transaction`, or `retry_conflicts` if it opens its transaction itself.
docs/decisions/0036-one-lock-order.md gives the reasons.

SQLite allows one writer at a time. It makes a second one sleep and retry, up to 100 ms each time,
and a later writer may overtake it: with 16 callers some would wait a second. `write_transaction`
takes a fair lock that hands over at once. It only affects speed: SQLite itself still isolates
writers that do not take the lock."""

import fcntl
import logging
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from experiments.storage.deadlines import acquired, deadline_in, meter_of_this_thread, seconds_left

# Interval for checking whether another process still holds the file lock.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.0002, 0.001
# Changing SQLite's timeout costs a statement: skipped if the lock was free.
UNNOTICED_SECONDS = 0.25
# Of 4 KB. From here on the write-ahead log is made to start again.
LONG_LOG_PAGES = 4_000

_mine = threading.Lock()


@contextmanager
def write_transaction() -> Iterator[None]:
    """`transaction.atomic`, after waiting for the write lock. Raises OperationalError if that
    takes too long. Inside an open transaction the lock is already held."""
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        with transaction.atomic():
            yield
        return
    with _turn(), ExitStack() as stack:
        with meter_of_this_thread().running():
            stack.enter_context(transaction.atomic())
        yield


@contextmanager
def _turn() -> Iterator[None]:
    """First among the threads of this process, then among processes."""
    started = time.monotonic()
    with acquired(_mine):
        file = _queue()
        try:
            _lock(file)
            waited = time.monotonic() - started
            with _patience(settings.DATABASE_BUSY_SECONDS - waited):
                yield
        finally:
            os.close(file)  # which releases the lock


def _lock(file: int) -> None:
    """`flock` with a time limit. Raises OperationalError."""
    until = deadline_in(seconds_left(settings.DATABASE_BUSY_SECONDS))
    pause = FIRST_PAUSE_SECONDS
    while not _is_locked(file):
        if time.monotonic() >= until:
            raise OperationalError("Another process holds the write lock.")
        with meter_of_this_thread().running():
            time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Lets SQLite wait for programs that do not take the lock, but only for the remaining time."""
    left = seconds_left(seconds)
    if left > settings.DATABASE_BUSY_SECONDS - UNNOTICED_SECONDS:
        yield
        return
    _wait_for_others(left)
    try:
        yield
    finally:
        _wait_for_others(settings.DATABASE_BUSY_SECONDS)


def _wait_for_others(seconds: float) -> None:
    connection.ensure_connection()
    milliseconds = max(0, round(seconds * 1000))
    connection.connection.execute(f"PRAGMA busy_timeout = {milliseconds}")


def _queue() -> int:
    """A file next to the database. It stays empty: only the lock on it matters."""
    file = database_file()
    path = os.devnull if file is None else f"{file}-queue"
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def database_file() -> str | None:
    """SQLite's file; None for a database in memory, which no other process sees, and for other
    databases."""
    name = str(connection.settings_dict["NAME"])
    in_memory = ":memory:" in name or "mode=memory" in name
    return None if in_memory or connection.vendor != "sqlite" else name


def checkpoint() -> None:
    """Copies SQLite's write-ahead log into the database file, so that no request has to do it after
    its commit. Does nothing on other databases.

    While others write, most of the log is copied. Only a log that has been copied completely starts
    again from its beginning: when it is long, the rest is copied under the write lock."""
    if database_file() is None:
        return
    if _copy_log() >= LONG_LOG_PAGES:
        with _turn():
            _copy_log()


def _copy_log() -> int:
    """Waits for no one. Returns how many pages the log has."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
        _, pages, _ = cursor.fetchone()
    return int(pages)


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
