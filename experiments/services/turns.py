"""Whose turn it is to write, where the database has one writer.

SQLite makes a second writer sleep and try again, up to 100 ms each time, and whoever comes next may
be faster: with 16 callers some would wait a second. A lock that queues hands over at once. It is
only about speed: what does not take its turn is still kept apart by SQLite itself.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import OperationalError, connection, transaction

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
    with _turn(), transaction.atomic():
        yield


@contextmanager
def _turn() -> Iterator[None]:
    """First among the threads of this process, then among processes."""
    patience: float = settings.DATABASES["default"]["OPTIONS"]["timeout"]
    if not _mine.acquire(timeout=patience):
        raise OperationalError("Too many writers wait for the database.")
    try:
        file = _queue()
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)  # which gives the lock back
    finally:
        _mine.release()


def _queue() -> int:
    """A file beside the database. It stays empty: what counts is who has it locked."""
    name = str(connection.settings_dict["NAME"])
    in_memory = ":memory:" in name or "mode=memory" in name  # which no other process sees
    return os.open(os.devnull if in_memory else f"{name}-queue", os.O_RDWR | os.O_CREAT, 0o644)
