"""When a circuit breaker opens, and when the model is tried again."""

from datetime import UTC, datetime, timedelta

import pytest

from experiments.core.circuit import FIRST_WAIT, LONGEST_WAIT, WINDOW, CircuitState, after

NOW = datetime(2026, 11, 1, tzinfo=UTC)
CLOSED = CircuitState(NOW)


def opened(trips: int = 1, until: datetime = NOW + FIRST_WAIT) -> CircuitState:
    return CircuitState(NOW, open_until=until, trips=trips)


@pytest.mark.parametrize(
    ("calls", "failures", "opens"),
    [(4, 4, False), (5, 5, True), (5, 2, False), (6, 3, True), (100, 49, False), (0, 0, False)],
)
def test_error_rate_of_enough_calls_opens_it(calls: int, failures: int, opens: bool) -> None:
    state = after(CLOSED, calls, failures, NOW)
    assert (state.open_until is not None) is opens


def test_calls_add_up_within_a_window() -> None:
    state = CLOSED
    for second in range(4):
        state = after(state, 1, 1, NOW + timedelta(seconds=second))
    assert state.open_until is None
    assert after(state, 1, 1, NOW + timedelta(seconds=5)).open_until is not None


def test_new_window_forgets_the_old_one() -> None:
    state = after(CLOSED, 4, 4, NOW)
    assert after(state, 1, 1, NOW + WINDOW).calls == 1


def test_calls_that_began_before_it_opened_change_nothing() -> None:
    state = opened()
    assert after(state, 3, 0, NOW + timedelta(seconds=1)) == state
    assert after(state, 3, 3, NOW + timedelta(seconds=1)) == state


def test_probe_that_succeeds_closes_it() -> None:
    state = after(opened(trips=4), 1, 0, NOW + FIRST_WAIT)
    assert state == CircuitState(NOW + FIRST_WAIT)


def test_probe_that_fails_doubles_the_wait() -> None:
    state = opened()
    for doubled in (2, 4, 8, 16):
        now = state.open_until
        assert now is not None
        state = after(state, 1, 1, now)
        assert state.open_until == now + doubled * FIRST_WAIT


def test_it_is_open_since_it_first_opened_without_a_success_between() -> None:
    state = after(CLOSED, 5, 5, NOW)
    assert state.opened_at == NOW
    state = after(state, 1, 1, NOW + FIRST_WAIT)
    assert (state.opened_at, state.window_at) == (NOW, NOW + FIRST_WAIT)
    closed = after(state, 1, 0, NOW + 4 * FIRST_WAIT)
    assert closed.opened_at is None


def test_wait_has_a_longest() -> None:
    state = after(opened(trips=1000), 1, 1, NOW + FIRST_WAIT)
    assert state.open_until == NOW + FIRST_WAIT + LONGEST_WAIT
