"""The order of writers, for a database that allows one writer at a time.

SQLite makes a second writer sleep and retry, up to 100 ms each time, and a later writer may
overtake it: with 16 callers some would wait a second. A fair lock hands over at once. It only
affects speed: SQLite itself still isolates writers that do not take the lock."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.conf import settings
from django.db import OperationalError, connection, transaction

from experiments.storage.deadlines import acquired, deadline_in, meter_of_this_thread, seconds_left

# Interval for checking whether another process still holds the file lock.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.0002, 0.001
# Changing SQLite's timeout costs a statement: skipped if the lock was free.
UNNOTICED_SECONDS = 0.25

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
