"""Bounded harm: what each guard allows, what shows harm, what is missing for a step."""

import numpy as np
import pytest

from experiments.analysis.errors import MarginError
from experiments.analysis.experiment.effects import EffectInterval
from experiments.analysis.experiment.plan import Direction
from experiments.analysis.rollout.guards import (
    Guard,
    GuardData,
    GuardResult,
    guard_result,
    missing,
    worst_loss,
)
from experiments.analysis.rollout.stratified import Observations
from experiments.rollouts.text import cannot_advance, harm, held, lacking, worst_case

QUALITY = Guard("quality", "Quality", 0.03, Direction.HIGHER, EffectInterval(0, 1))
ERRORS = Guard(
    "error_rate", "Error rate", 0.02, Direction.LOWER, EffectInterval(0, 1), is_share=True
)
COST = Guard(
    "cost", "Cost per request", 0.001, Direction.LOWER, EffectInterval(0, 0.02), unit="USD"
)


def data(
    controls: int,
    treated: int,
    good: float,
    good_treated: float,
    *,
    part: float = 0.1,
    per_day: float = 0.0,
) -> GuardData:
    """One value for each unit; the first ones are good."""
    total = np.concatenate(
        [np.arange(controls) < good * controls, np.arange(treated) < good_treated * treated]
    ).astype(float)
    n = controls + treated
    side = np.repeat([False, True], [controls, treated])
    seen = Observations(np.arange(n), np.zeros(n, np.int64), side, total, np.ones(n))
    return GuardData(seen, np.zeros(1, np.int64), None, part, per_day)


def result(guard: Guard, seen: GuardData) -> GuardResult:
    return guard_result(guard, seen, alpha=0.05, guards=2)


def test_without_data_the_bound_is_the_whole_range() -> None:
    found = result(QUALITY, data(0, 0, 0, 0))
    assert (found.estimate, found.least_gain, found.most_gain) == (None, -1, 1)
    assert [found.allows(share) for share in (0.02, 0.03, 0.1)] == [True, False, False]
    assert result(COST, data(0, 0, 0, 0)).largest_share == pytest.approx(0.05)
    assert worst_loss(COST, 0.1) == pytest.approx(0.002)


def test_a_small_step_needs_little_evidence_and_a_big_one_much() -> None:
    found = result(QUALITY, data(5000, 60, 0.8, 0.8))
    assert [found.allows(share) for share in (0.1, 0.5, 1.0)] == [True, False, False]
    found = result(QUALITY, data(5000, 800, 0.8, 0.8))
    assert [found.allows(share) for share in (0.1, 0.5, 1.0)] == [True, True, False]
    found = result(QUALITY, data(4700, 4700, 0.8, 0.8))
    assert found.allows(1.0)


def test_a_loss_of_twice_the_margin_is_not_allowed_and_shown() -> None:
    found = result(QUALITY, data(9000, 9000, 0.8, 0.74))
    assert not found.allows(0.5)
    assert found.is_harmful
    assert "quality is at least" in harm(found)


def test_a_loss_within_the_margin_is_no_harm() -> None:
    assert not result(QUALITY, data(9000, 9000, 0.8, 0.775)).is_harmful


def test_lower_is_better_turns_the_sign() -> None:
    found = result(ERRORS, data(900, 100, 0.02, 0.3))
    assert found.estimate == pytest.approx(-0.28)
    assert found.is_harmful
    assert not result(ERRORS, data(900, 100, 0.3, 0.02)).is_harmful


def test_five_failing_calls_are_enough_where_ratings_are_not() -> None:
    assert result(ERRORS, data(500, 5, 0.02, 1.0)).is_harmful
    assert not result(QUALITY, data(500, 5, 1.0, 0.0)).is_harmful


def test_what_is_missing_is_about_what_it_takes() -> None:
    seen = data(5000, 60, 0.8, 0.8, part=0.1, per_day=30)
    found = missing(result(QUALITY, seen), seen, 0.5, alpha=0.05)
    assert found is not None
    assert found.units is not None
    assert found.days == pytest.approx(found.units / 30)
    enough = data(9 * (60 + found.units), 60 + found.units, 0.8, 0.8)
    assert result(QUALITY, enough).allows(0.5)
    short = data(9 * (60 + found.units) // 2, (60 + found.units) // 2, 0.8, 0.8)
    assert not result(QUALITY, short).allows(0.5)


def test_nothing_is_missing_where_the_step_is_allowed() -> None:
    seen = data(4700, 4700, 0.8, 0.8)
    assert missing(result(QUALITY, seen), seen, 1.0, alpha=0.05) is None


def test_a_loss_that_more_of_the_same_does_not_mend_is_said() -> None:
    seen = data(300, 300, 0.8, 0.7)
    found = missing(result(QUALITY, seen), seen, 1.0, alpha=0.05)
    assert found is not None
    assert (found.units, found.days) == (None, None)
    assert lacking(found) == (
        "quality: 10.0 points lower so far, so more data like this would not be enough"
    )


def test_ratings_that_come_unequally_need_the_worst_case() -> None:
    seen = data(4700, 4700, 0.8, 0.8)
    rated = np.where(seen.seen.treated, np.arange(9400) % 10 < 3, np.arange(9400) % 10 < 6)
    shares = Observations(
        seen.seen.unit, seen.seen.cell, seen.seen.treated, rated.astype(float), np.ones(9400)
    )
    found = result(QUALITY, seen._replace(rated=shares))
    assert found.ratings_differ
    assert found.least_gain < -0.2
    assert not found.allows(1.0)


def test_the_sentences() -> None:
    seen = data(5000, 60, 0.8, 0.8, part=0.1, per_day=30)
    found = missing(result(QUALITY, seen), seen, 0.5, alpha=0.05)
    assert found is not None
    assert lacking(found) == f"quality: about {found.units} more ratings, or 13 days"
    said = cannot_advance([found], 0.5, 0.1)
    assert said.startswith("Not enough evidence for 50 %. Missing, from units with the flag: ")
    assert said.endswith("is allowed now), or advance anyway with a reason.")
    assert "lower the target percentage (below 1" in said
    assert held(result(QUALITY, data(0, 0, 0, 0))) == "quality has no values to compare"
    assert worst_case([ERRORS, COST], 0.1) == (
        "Worst case of the first step, 10 % of traffic, over all traffic until harm is shown: "
        "error rate 10.0 points (margin 2.0 points), cost per request $0.002 (margin $0.001)."
    )


def test_a_margin_is_above_0() -> None:
    with pytest.raises(MarginError):
        Guard("quality", "Quality", 0.0, Direction.HIGHER, EffectInterval(0, 1))
