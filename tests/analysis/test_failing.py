"""Failing calls: harm is shown from few calls, and not by chance."""

from math import inf, log

import numpy as np
import pytest

from experiments.analysis.rollout.failing import (
    StepCounts,
    _at_the_margin,
    counts_by_step,
    log_evidence,
    shows_harm,
)
from experiments.analysis.rollout.stratified import Observations

ALPHA = 0.025


@pytest.mark.parametrize(
    ("treated", "failures", "shown"),
    [(4, 4, False), (5, 5, True), (8, 5, True), (9, 3, False), (40, 12, True), (200, 10, False)],
)
def test_how_many_failing_calls_show_harm(treated: int, failures: int, shown: bool) -> None:
    """The controls fail in 2 % of 1,000 calls; 2 points more are allowed."""
    assert shows_harm([StepCounts(1000, 20, treated, failures)], 0.02, ALPHA) is shown


def test_when_everything_fails_on_both_sides_the_flag_does_no_harm() -> None:
    assert not shows_harm([StepCounts(90, 90, 10, 10)], 0.02, ALPHA)


def test_a_loss_inside_the_margin_is_no_harm() -> None:
    assert log_evidence([StepCounts(50_000, 1000, 50_000, 1900)], 0.02) < 0
    assert shows_harm([StepCounts(50_000, 1000, 50_000, 2600)], 0.02, ALPHA)


def test_harm_that_begins_at_a_later_step_is_shown() -> None:
    sound = [StepCounts(90_000, 1800, 10_000, 200), StepCounts(50_000, 1000, 50_000, 1000)]
    assert shows_harm([*sound, StepCounts(500, 10, 500, 60)], 0.02, ALPHA)
    assert not shows_harm([*sound, StepCounts(500, 10, 500, 10)], 0.02, ALPHA)


def test_few_failing_units_are_no_finding() -> None:
    assert log_evidence([StepCounts(1_000_000, 0, 4, 4)], 0.02) == -inf


def test_a_unit_weighs_one_whatever_it_sends() -> None:
    """One unit with 900 failing calls over two steps, four that work."""
    seen = Observations(
        unit=np.array([0, 0, 1, 2, 3, 4]),
        cell=np.array([0, 1, 0, 0, 1, 1]),
        treated=np.array([True, True, True, False, False, False]),
        total=np.array([300.0, 600, 0, 0, 0, 0]),
        count=np.array([300.0, 600, 1, 1, 1, 0]),
    )
    counts = counts_by_step(seen, np.array([0, 1]))
    assert counts[0] == pytest.approx((1, 0, 1 + 1 / 3, 1 / 3))
    assert counts[1] == pytest.approx((1, 0, 2 / 3, 2 / 3))


def test_looking_after_every_call_gives_no_more_false_alarms_than_alpha() -> None:
    """Treated calls fail as often as the margin allows: 200 runs of 400 calls on each side."""
    rng, alarms = np.random.default_rng(3), 0
    for _ in range(200):
        treated = rng.random(400) < 0.12
        control = np.cumsum(rng.random(400) < 0.10)
        failures = np.cumsum(treated)
        alarms += any(
            log_evidence([StepCounts(n + 1, control[n], n + 1, failures[n])], 0.02) >= -log(0.05)
            for n in range(0, 400, 8)
        )
    assert alarms <= 0.05 * 200


@pytest.mark.parametrize("margin", [0.02, 0.5])
def test_at_the_margin_both_rates_explain_the_calls_best(margin: float) -> None:
    """The slope is 0 at the likeliest rate: 1 of 10 against 8 of 10 calls, a grid of rates."""
    step = StepCounts(10, 1, 10, 8)
    rates = np.linspace(1e-4, 1 - margin - 1e-4, 200_001)
    likelihood = np.log(rates) + 9 * np.log(1 - rates)
    likelihood += 8 * np.log(rates + margin) + 2 * np.log(1 - rates - margin)
    assert _at_the_margin(step, margin) == pytest.approx(rates[likelihood.argmax()], abs=1e-5)


def test_at_the_margin_when_every_call_failed() -> None:
    """Both likelihoods rise up to the end of what rates can be."""
    assert _at_the_margin(StepCounts(10, 10, 10, 10), 0.02) == pytest.approx(0.98)
