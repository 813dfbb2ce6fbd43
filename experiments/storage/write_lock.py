"""Whose turn it is to write, where the database has one writer.

SQLite makes a second writer sleep and try again, up to 100 ms each time, and whoever comes next may
be faster: with 16 callers some would wait a second. A lock that queues hands over at once. It is
only about speed: what does not take its turn is still kept apart by SQLite itself.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.conf import settings
from django.db import OperationalError, connection, transaction

from experiments.storage.deadlines import acquired, deadline_in, meter_of_this_thread, seconds_left

# Between two looks whether another process still has the file locked.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.0002, 0.001
# Changing how long SQLite waits costs a statement: not where the turn came at once.
UNNOTICED_SECONDS = 0.25

_mine = threading.Lock()


@contextmanager
def write_transaction() -> Iterator[None]:
    """`transaction.atomic`, after waiting for the turn. Raises OperationalError when that is long.

    Inside a transaction that is open already the turn has come.
    """
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
            os.close(file)  # which gives the lock back


def _lock(file: int) -> None:
    """`flock` with a time limit. Raises OperationalError."""
    until = deadline_in(seconds_left(settings.DATABASE_BUSY_SECONDS))
    pause = FIRST_PAUSE_SECONDS
    while not _is_locked(file):
        if time.monotonic() >= until:
            raise OperationalError("Another process keeps the queue of writers.")
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
    """Lets SQLite wait for programs that take no turn, but only for the rest of the time."""
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
    """A file beside the database. It stays empty: what counts is who has it locked."""
    file = database_file()
    path = os.devnull if file is None else f"{file}-queue"
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def database_file() -> str | None:
    """SQLite's file; None where it is in memory, which no other process sees, and elsewhere."""
    name = str(connection.settings_dict["NAME"])
    in_memory = ":memory:" in name or "mode=memory" in name
    return None if in_memory or connection.vendor != "sqlite" else name
