"""Decisions that wait to be written share one transaction.

Only one thread of a process writes at a time, for all calls that queued up behind it: many calls
cost one commit, and one change of each sum. Rows are only inserted, and everything is computed
before the transaction begins.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence

from django.conf import settings
from django.db import OperationalError, connection

from experiments.decisions.running_totals import sums_of_new
from experiments.models import Decision
from experiments.storage.bulk_sql import insertion, run
from experiments.storage.deadlines import deadline, deadline_in, meter_of_this_thread, seconds_left
from experiments.storage.transactions import run_transaction, write_each

MOST_TOGETHER = 64
GRACE_SECONDS = 1.0
TOO_LATE = "The decisions of other calls took too long to write."


class _Waiting:
    """Decisions of one call, which wait until `until` to be written. `error` is why they were not
    stored."""

    def __init__(self, rows: Sequence[Decision]) -> None:
        self.rows = rows
        self.until = deadline_in(seconds_left(settings.DATABASE_BUSY_SECONDS))
        self.ended = threading.Event()
        self.error: BaseException | None = None

    def end(self, error: BaseException | None = None) -> None:
        self.error = error
        self.ended.set()

    @property
    def is_done(self) -> bool:
        return self.ended.is_set()


_turn = threading.Lock()
_waiting: deque[_Waiting] = deque()


def store_decisions(rows: Sequence[Decision]) -> None:
    """Writes all of them and their sums, or nothing. Raises the database's errors.

    Joins a transaction that is already open.
    """
    if connection.in_atomic_block:
        _write(rows)
        return
    own = _Waiting(rows)
    _waiting.append(own)
    with meter_of_this_thread().running():
        is_mine = _turn.acquire(timeout=max(0.0, own.until - time.monotonic()))
    if is_mine:
        try:
            while not own.is_done:
                _write_next()
        finally:
            _turn.release()
    elif _withdraw(own):
        raise OperationalError(TOO_LATE)
    else:
        _wait_for(own)
    if own.error is not None:
        raise own.error


def _write_next() -> None:
    """The calls that have waited longest, without those whose time is up."""
    calls = list(_taken())
    least = time.monotonic() + settings.DATABASE_BUSY_SECONDS / 10
    for call in calls:
        if call.until < least:
            call.end(OperationalError(TOO_LATE))
    if in_time := [call for call in calls if not call.is_done]:
        with deadline(min(call.until for call in in_time)):
            _write_together(in_time)


def _taken() -> Iterator[_Waiting]:
    """A call that stops waiting may remove itself at any time."""
    for _ in range(MOST_TOGETHER):
        try:
            yield _waiting.popleft()
        except IndexError:
            return


def _withdraw(own: _Waiting) -> bool:
    """Whether it was still waiting; if so, it is not written."""
    try:
        _waiting.remove(own)
    except ValueError:
        return False
    return True


def _wait_for(own: _Waiting) -> None:
    """Waits for the thread that writes it, which ends by its deadline."""
    if not own.ended.wait(GRACE_SECONDS):
        raise OperationalError("Whether the decisions are stored is not known.")


def _write_together(calls: Sequence[_Waiting]) -> None:
    """If the database refuses one call, the other calls are still stored."""

    def write(some: Sequence[_Waiting]) -> list[None]:
        _write([row for call in some for row in call.rows])
        return [None] * len(some)

    try:
        errors: Sequence[BaseException | None] = write_each(calls, write)
    except BaseException as error:  # no call may wait for ever
        errors = [error] * len(calls)
    for call, failed in zip(calls, errors, strict=True):
        call.end(failed)


def _write(rows: Sequence[Decision]) -> None:
    prepared = [insertion(rows), *sums_of_new(rows)]
    run_transaction(lambda: run(prepared))
