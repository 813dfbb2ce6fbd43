"""How long a thread may wait for the database.

A request has a budget. All its waits (a lock, its turn to write, the database's reply) together
take no longer than that; then it fails with OperationalError, which every entry point answers
with 503. Computing does not count. Work without a budget may wait DATABASE_BUSY_SECONDS each
time."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import OperationalError

NO_LIMIT = float("inf")


class WaitMeter:
    """How long one thread has waited for the database so far. Any thread may read it."""

    def __init__(self) -> None:
        self._ended = 0.0
        self._since: float | None = None

    def seconds(self) -> float:
        since = self._since
        return self._ended + (0.0 if since is None else time.monotonic() - since)

    @contextmanager
    def running(self) -> Iterator[None]:
        if self._since is not None:
            yield
            return
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._ended, self._since = self.seconds(), None


class _Limits(threading.local):
    """`until` is a time of `time.monotonic`, `most` the highest reading of the meter."""

    def __init__(self) -> None:
        self.meter = WaitMeter()
        self.until = NO_LIMIT
        self.most = NO_LIMIT


_thread = _Limits()


@contextmanager
def deadline(until: float) -> Iterator[None]:
    """Limits this thread's waits: none lasts beyond this time (of `time.monotonic`)."""
    outer = _thread.until
    _thread.until = min(outer, until)
    try:
        yield
    finally:
        _thread.until = outer


def deadline_in(seconds: float) -> float:
    return time.monotonic() + seconds


@contextmanager
def waiting_budget(seconds: float) -> Iterator[None]:
    """Limits the total time that this thread waits."""
    outer = _thread.most
    _thread.most = min(outer, _thread.meter.seconds() + seconds)
    try:
        yield
    finally:
        _thread.most = outer


def meter_of_this_thread() -> WaitMeter:
    return _thread.meter


def seconds_left(limit: float) -> float:
    """How long to wait: `limit`, or less if the deadline is sooner; 0 if it has passed."""
    until, most = _thread.until, _thread.most
    if until != NO_LIMIT:
        limit = min(limit, until - time.monotonic())
    if most != NO_LIMIT:
        limit = min(limit, most - _thread.meter.seconds())
    return max(0.0, limit)


@contextmanager
def acquired(lock: threading.Lock) -> Iterator[None]:
    """`with lock`, within the remaining time. Raises OperationalError."""
    with _thread.meter.running():
        is_acquired = lock.acquire(timeout=seconds_left(settings.DATABASE_BUSY_SECONDS))
    if not is_acquired:
        raise OperationalError("Another thread of this process waits for the database.")
    try:
        yield
    finally:
        lock.release()
