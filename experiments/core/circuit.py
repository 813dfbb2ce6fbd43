"""The circuit breaker of a model: stops calls while the model keeps failing, then tries it again.

Closed: calls go through and are counted in windows. Open: no call until `open_until`.
Then half-open: one probe decides. The wait doubles each time the breaker opens again.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

WINDOW = timedelta(seconds=30)
LEAST_CALLS = 5
ERROR_SHARE = 0.5
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=2)
MOST_DOUBLINGS = 8


@dataclass(frozen=True, slots=True)
class CircuitState:
    """Calls and failures since `window_at`. `trips` counts openings since the last success, the
    first of them at `opened_at`."""

    window_at: datetime
    calls: int = 0
    failures: int = 0
    open_until: datetime | None = None
    trips: int = 0
    opened_at: datetime | None = None


def after(state: CircuitState, calls: int, failures: int, now: datetime) -> CircuitState:
    """The state after `calls` more have ended, of which `failures` failed."""
    if state.open_until is not None:
        return _probed(state, calls, failures, now)
    if now - state.window_at >= WINDOW:
        state = CircuitState(now)
    state = replace(state, calls=state.calls + calls, failures=state.failures + failures)
    if state.calls >= LEAST_CALLS and state.failures >= ERROR_SHARE * state.calls:
        return _opened(state, now)
    return state


def _probed(state: CircuitState, calls: int, failures: int, now: datetime) -> CircuitState:
    """Calls that end while the breaker is open started before it opened: they change nothing."""
    if state.open_until is None or now < state.open_until:
        return state
    if failures < calls:
        return CircuitState(now)
    return _opened(state, now)


def _opened(state: CircuitState, now: datetime) -> CircuitState:
    wait = min(FIRST_WAIT * 2 ** min(state.trips, MOST_DOUBLINGS), LONGEST_WAIT)
    return CircuitState(
        now,
        open_until=now + wait,
        trips=state.trips + 1,
        opened_at=state.opened_at or now,
    )
