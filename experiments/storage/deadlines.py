"""How long a thread may wait for the database.

A request has a deadline. Whatever it waits for (a lock, its turn to write, the database's answer),
it waits no longer than that and then fails with OperationalError, which every entry point answers
with 503. Work without a deadline may wait DATABASE_BUSY_SECONDS each time.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import OperationalError

_thread = threading.local()


@contextmanager
def deadline(at: float | None) -> Iterator[None]:
    """What this thread does waits until `at` (of `time.monotonic`) at most; None changes nothing.

    An earlier deadline of the surrounding work stays.
    """
    outer = _current()
    times = [time for time in (outer, at) if time is not None]
    _thread.at = min(times, default=None)
    try:
        yield
    finally:
        _thread.at = outer


def deadline_in(seconds: float) -> float:
    return time.monotonic() + seconds


def seconds_left(limit: float) -> float:
    """How long to wait: `limit`, or less where the deadline comes sooner; 0 after it."""
    at = _current()
    return limit if at is None else max(0.0, min(limit, at - time.monotonic()))


@contextmanager
def acquired(lock: threading.Lock) -> Iterator[None]:
    """`with lock`, within the time that is left. Raises OperationalError."""
    if not lock.acquire(timeout=seconds_left(settings.DATABASE_BUSY_SECONDS)):
        raise OperationalError("Another thread of this process waits for the database.")
    try:
        yield
    finally:
        lock.release()


def _current() -> float | None:
    at: float | None = getattr(_thread, "at", None)
    return at
