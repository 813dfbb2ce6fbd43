"""Decisions that wait to be written share one transaction.

Only one thread of a process writes at a time. Whoever comes to write takes along what has gathered
behind it meanwhile: a crowd costs a commit for all, and one change of each sum.
"""

import threading
from collections import deque
from collections.abc import Sequence

from django.db import InterfaceError, OperationalError, connection

from experiments.models import Decision
from experiments.services.books import Books
from experiments.services.statements import insert
from experiments.services.turns import write_transaction

MOST_TOGETHER = 64


class _Waiting:
    """Decisions of one call. `error` is what kept them from being stored."""

    def __init__(self, rows: Sequence[Decision]) -> None:
        self.rows = rows
        self.is_done = False
        self.error: BaseException | None = None

    def end(self, error: BaseException | None = None) -> None:
        self.error, self.is_done = error, True


_turn = threading.Lock()
_waiting: deque[_Waiting] = deque()


def store_decisions(rows: Sequence[Decision]) -> None:
    """All of them and their sums, or nothing. Raises what the database raises.

    In a transaction that is open already they are written there.
    """
    if connection.in_atomic_block:
        _write(rows)
        return
    own = _Waiting(rows)
    _waiting.append(own)
    with _turn:
        while not own.is_done:
            _write_together([_waiting.popleft() for _ in range(min(len(_waiting), MOST_TOGETHER))])
    if own.error is not None:
        raise own.error


def _write_together(calls: Sequence[_Waiting]) -> None:
    """What the database refuses of one call does not take the others down with it."""
    try:
        _write([row for call in calls for row in call.rows])
    except BaseException as error:
        if len(calls) > 1 and not isinstance(error, OperationalError | InterfaceError):
            for call in calls:
                _write_together([call])
        else:
            for call in calls:
                call.end(error)
    else:
        for call in calls:
            call.end()


def _write(rows: Sequence[Decision]) -> None:
    with write_transaction():
        books = Books()
        for row in rows:
            insert(row)
            books.decided(row)
        books.close()
