"""Circuit breakers of models, stored in the database and shared by all processes.

A failure is written at once. Successes only enlarge the number of calls that failures are compared
with, so each process adds them up and writes them every half second, or with the next failure.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Q

from experiments.core.circuit import WINDOW, CircuitState, after
from experiments.models import Circuit
from experiments.storage.bulk_sql import put
from experiments.storage.deadlines import acquired
from experiments.storage.transactions import run_transaction

REFRESH_SECONDS = 0.5
PROBE = timedelta(seconds=30)


class CallResult(NamedTuple):
    """The outcome of one model call, for the model's circuit breaker."""

    model: str
    failed: bool
    reason: str = ""


class Tripped(NamedTuple):
    """Models with an open circuit breaker, and those that wait for one probe."""

    closed_to_all: frozenset[str]
    to_probe: frozenset[str]


_lock = threading.Lock()
_read: tuple[float, dict[str, datetime]] = (float("-inf"), {})
_successes: Counter[str] = Counter()  # not written yet
_written_at = float("-inf")


def tripped(now: datetime) -> Tripped:
    """One query each half second."""
    global _read  # noqa: PLW0603
    read_at, opened = _read
    if time.monotonic() - read_at >= REFRESH_SECONDS:
        with acquired(_lock):
            rows = Circuit.objects.filter(open_until__isnull=False)
            opened = dict(rows.values_list("model", "open_until"))  # type: ignore[arg-type]
            _read = (time.monotonic(), opened)
    closed = frozenset(model for model, until in opened.items() if now < until)
    return Tripped(closed, frozenset(opened) - closed)


def invalidate() -> None:
    """Clears the cache: the next call reads the circuit breakers from the database."""
    global _read, _written_at
    _read, _written_at = (float("-inf"), {}), float("-inf")
    with _lock:
        _successes.clear()


def claim_probe(model: str, now: datetime) -> bool:
    """Whether the caller gets the probe of a model whose wait is over."""
    free = Q(probe_until__isnull=True) | Q(probe_until__lte=now)
    due = Circuit.objects.filter(free, model=model, open_until__lte=now)
    return run_transaction(lambda: due.update(probe_until=now + PROBE)) == 1


def record(results: Sequence[CallResult], now: datetime) -> None:
    """Counts calls, and opens or closes circuit breakers. Runs inside the caller's transaction."""
    calls = Counter(result.model for result in results)
    failures = Counter(result.model for result in results if result.failed)
    if _can_wait(calls, failures):
        transaction.on_commit(lambda: _keep(calls))
        return
    unwritten = _unwritten()
    transaction.on_commit(lambda: _drop(unwritten))
    _write(calls + unwritten, failures, results, now)


def _can_wait(calls: Counter[str], failures: Counter[str]) -> bool:
    """Whether these are successes of models whose circuit breakers are closed."""
    is_recent = time.monotonic() - _written_at < REFRESH_SECONDS
    return is_recent and not failures and not calls.keys() & _read[1].keys()


def _unwritten() -> Counter[str]:
    """Successes older than a window no longer count."""
    with _lock:
        if time.monotonic() - _written_at >= WINDOW.total_seconds():
            _successes.clear()
        return Counter(_successes)


def _keep(successes: Counter[str]) -> None:
    with _lock:
        _successes.update(successes)


def _drop(written: Counter[str]) -> None:
    global _written_at  # noqa: PLW0603
    with _lock:
        _successes.subtract(written)
        _written_at = time.monotonic()


def _write(
    calls: Counter[str], failures: Counter[str], results: Sequence[CallResult], now: datetime
) -> None:
    reasons = {result.model: result.reason for result in results if result.failed}
    rows = _rows(calls)
    if missing := sorted(calls.keys() - {row.model for row in rows}):
        new = [Circuit(model=model, window_at=now) for model in missing]
        Circuit.objects.bulk_create(new, ignore_conflicts=True)
        rows = _rows(calls)
    changed = []
    for row in rows:
        before = _state(row)
        state = after(before, calls[row.model], failures[row.model], now)
        if state != before:
            changed.append(_columns(row, state, reasons.get(row.model, "")))
        if state.open_until != before.open_until:
            invalidate()
    if changed:
        put(Circuit, ["model"], changed)


def _rows(models: Iterable[str]) -> list[Circuit]:
    """Locked, always in the same order."""
    rows = Circuit.objects.select_for_update(no_key=True).filter(model__in=list(models))
    return list(rows.order_by("model"))


def _state(row: Circuit) -> CircuitState:
    return CircuitState(
        row.window_at, row.calls, row.failures, row.open_until, row.trips, row.opened_at
    )


def _columns(row: Circuit, state: CircuitState, reason: str) -> dict[str, Any]:
    columns = {**asdict(state), "model": row.model}
    if state.open_until == row.open_until:
        return {**columns, "probe_until": row.probe_until, "reason": row.reason}
    return {**columns, "probe_until": None, "reason": reason[:200] if state.open_until else ""}
