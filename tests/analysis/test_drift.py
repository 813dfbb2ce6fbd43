"""Drift: how often a quiet domain alarms, and how soon one that moved does."""

import numpy as np
import pytest

from experiments.analysis.routing.drift import FALSE_ALARM, Band, Shift, band, shift


def day(rng: np.random.Generator, units: int = 120, move: float = 0.0) -> np.ndarray:
    """A day's histogram: units ask one to nine alike prompts, and days differ a little."""
    mean = rng.normal(0.5 + move, 0.01)
    own = np.repeat(rng.normal(mean, 0.12, units), rng.integers(1, 10, units))
    scores = np.clip(own + rng.normal(0, 0.08, len(own)), 0, 0.999)
    return np.bincount((scores * 20).astype(int), minlength=20).astype(np.float64)


def test_a_quiet_domain_alarms_no_more_often_than_said() -> None:
    rng = np.random.default_rng(1)
    runs, alarms = 1500, 0
    for _ in range(runs):
        days = np.stack([day(rng) for _ in range(15)])
        found = shift(days[:-1], days[-1])
        alarms += found is not None and found.is_certain
    assert alarms <= 5, alarms  # 1.5 are expected; more than 5 come once in 200 such tests


def test_scores_that_moved_alarm() -> None:
    rng = np.random.default_rng(2)
    days = np.stack([day(rng) for _ in range(14)])
    found = [shift(days, day(rng, move=0.1)) for _ in range(20)]
    assert sum(one is not None and one.is_certain for one in found) >= 19
    assert all(one is not None and one.distance > 0.1 for one in found)


def test_p_value_equals_students_by_hand() -> None:
    """Days all alike vary as counting says: 0.65 against 0.5 is 0.15 over sqrt(0.65 * 0.35 / 100)
    * sqrt(8 / 7), a ratio of 2.9417, which Student's t with 6 degrees exceeds in 0.0259."""
    found = shift(np.full((7, 2), 100.0), np.array([35.0, 65.0]))
    assert found is not None
    assert found.p_value == pytest.approx(0.02590, abs=1e-4)
    assert found.distance == pytest.approx(0.15)


def test_too_few_days_or_scores_say_nothing() -> None:
    days = np.full((7, 20), 10.0)
    assert shift(days[:6], days[0]) is None
    assert shift(days, np.full(20, 2.0)) is None
    assert shift(days / 10, days[0]) is None


def test_one_bin_alone_cannot_move() -> None:
    days = np.zeros((8, 20))
    days[:, 3] = 100
    found = shift(days[:7], days[7])
    assert found == Shift(1.0, 0.0)


def test_band_is_as_wide_as_days_differ() -> None:
    """Student's t at 0.9995 with 9 degrees is 4.781; times sd 0.01 and sqrt(1.1) is 0.0501."""
    daily = 0.5 + 0.01 * np.sqrt(0.9) * np.array([1, -1] * 5)
    found = band(0.4, daily)
    assert found.low == pytest.approx(0.34986, abs=1e-4)
    assert found.high == pytest.approx(0.45014, abs=1e-4)
    assert found.holds(0.44)
    assert not found.holds(0.46)


def test_band_without_history_and_of_equal_days() -> None:
    assert band(0.05, np.array([0.05])) == pytest.approx((0.0, 0.15))
    assert band(0.5, np.full(20, 0.5)) == pytest.approx((0.48, 0.52))


def test_the_rate_is_stated() -> None:
    assert FALSE_ALARM == 0.001


def test_the_ends_of_a_band_are_inside() -> None:
    assert Band(0.2, 0.4).holds(0.2)
    assert Band(0.2, 0.4).holds(0.4)
    assert not Band(0.2, 0.4).holds(0.401)


def test_seven_days_with_fifty_scores_are_a_history() -> None:
    assert band(0.5, np.full(7, 0.5)) == pytest.approx((0.48, 0.52))
    assert band(0.5, np.full(6, 0.5)) == pytest.approx((0.4, 0.6))
    days = np.full((7, 2), 25.0)
    assert shift(days, np.array([25.0, 25.0])) == (1.0, 0.0)
    assert shift(days, np.array([25.0, 24.0])) is None
    assert shift(days - [0, 1], np.array([25.0, 25.0])) is None


def test_a_band_ends_where_shares_do() -> None:
    assert band(0.95, np.array([])) == pytest.approx((0.85, 1.0))


def test_a_false_alarm_is_below_the_rate() -> None:
    assert not Shift(0.001, 0.2).is_certain
    assert Shift(0.00099, 0.2).is_certain


def test_three_cuts_are_corrected_for_being_three() -> None:
    """Four bins alike, 100 scores a day for seven days. The day has 40, 20, 20, 20: 0.6 above the
    first cut instead of 0.75, over sqrt(0.6 * 0.4 / 100) * sqrt(8 / 7) a ratio of 2.8641. Student's
    t with 6 degrees exceeds it in 0.02864, both sides together; three times that is 0.0859."""
    found = shift(np.full((7, 4), 25.0), np.array([40.0, 20.0, 20.0, 20.0]))
    assert found is not None
    assert found.p_value == pytest.approx(0.0859, abs=1e-4)
    assert found.distance == pytest.approx(0.15)
