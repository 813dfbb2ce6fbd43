"""Size of an experiment: literal numbers, the equation itself, and tea-tasting for one look."""

from math import sqrt
from typing import Any

import pytest
import tea_tasting
from hypothesis import given
from hypothesis import strategies as st
from tea_tasting.aggr import Aggregates

from experiments.analysis.errors import LevelError, MarginError, PlanError
from experiments.analysis.experiment import sequential
from experiments.analysis.experiment.plan import Guardrail
from experiments.analysis.experiment.power import (
    Design,
    Goal,
    NoSize,
    Remaining,
    SampleSize,
    guardrail_goal,
    plan_size,
    remaining,
    saving_goal,
    single_look_units,
    units_needed,
)
from experiments.analysis.experiment.summaries import MeanSummary, RatioSummary
from experiments.experimentation.text import plan_sentence, remaining_sentence

QUALITY = Guardrail("quality", 0.02)
RECENT = MeanSummary(5000, 0.8, 0.16)
GOAL = guardrail_goal(QUALITY, RECENT)
SAVING = saving_goal("cost", MeanSummary(5000, 0.001, 1e-6), expected_saving=0.0003)


def size(goals: list[Goal], design: Design, tuning: float | None = None) -> SampleSize:
    result = plan_size(goals, design, tuning_sample_size=tuning)
    assert isinstance(result, SampleSize)
    return result


def test_units_and_days() -> None:
    result = size([GOAL], Design(units_per_day=900.0, window_days=7.0))
    assert (result.units, result.days, result.limiting) == (24_125, 34, "quality")
    assert result.tuning_sample_size == 24_125
    assert plan_sentence(result) == (
        "24,125 units, about 34 days, decide quality with 80 % power. A single planned look would "
        "take 41 % of that; the rest is the price of checking every day."
    )


def test_size_solves_its_equation() -> None:
    # Level .025 (first phase), z .8416; se = sqrt(4 * .16 / N).
    for n, inside in ((24_125, True), (24_124, False)):
        error = sqrt(0.64 / n)
        half = sequential.one_sided_half_width(error, n, alpha=0.025, tuning_sample_size=n)
        assert (half + 0.8416212335729143 * error <= 0.02) is inside


@pytest.mark.parametrize(
    ("power", "tuning", "times"), [(0.8, None, 2.44), (0.9, None, 2.18), (0.8, 5000, 2.59)]
)
def test_looking_every_day_takes_two_to_two_and_a_half_times_the_units(
    power: float, tuning: float | None, times: float
) -> None:
    result = size([GOAL], Design(power=power), tuning)
    assert result.times_a_single_look == pytest.approx(times, abs=0.005)


def test_single_look_is_tea_tastings() -> None:
    metric: Any = tea_tasting.Mean(
        "y", alternative="greater", alpha=0.05, power=0.8, effect_size=0.02
    )
    aggregates = Aggregates(5000, {"y": 0.8}, {"y": 0.16})
    other = metric.solve_power_from_aggregates(aggregates, "n_obs")
    assert single_look_units(GOAL, Design()) == 9893
    assert other[0].n_obs == pytest.approx(9893, abs=5)


def test_expected_loss_leaves_less_room() -> None:
    goal = guardrail_goal(QUALITY, RECENT, expected_loss=0.01)
    assert goal.gap == pytest.approx(0.01)
    assert size([goal], Design()).units == pytest.approx(4 * 24_125, rel=1e-3)


@pytest.mark.parametrize("loss", [0.02, 0.03])
def test_expected_loss_that_uses_up_the_margin(loss: float) -> None:
    with pytest.raises(MarginError, match="Accept a wider margin"):
        guardrail_goal(QUALITY, RECENT, expected_loss=loss)


def test_saving_that_is_not_above_zero() -> None:
    with pytest.raises(MarginError, match="nothing to prove"):
        saving_goal("cost", RECENT, expected_saving=0.0)


def test_the_hardest_goal_decides() -> None:
    both = size([SAVING, GOAL], Design())
    assert both.limiting == "quality"
    assert both.units == 24_125
    assert size([SAVING], Design()).units == 671


def test_two_treatments_share_alpha_and_traffic() -> None:
    result = size([GOAL], Design(weights=(0.34, 0.33, 0.33)))
    assert (result.units, result.tuning_sample_size) == (40_614, 27_211)


def test_small_control_needs_more_units() -> None:
    assert size([GOAL], Design(weights=(0.1, 0.9))).units == 67_012


def test_later_phase_spends_less_and_needs_more() -> None:
    assert size([GOAL], Design(phase=2)).units > size([GOAL], Design()).units


def test_never_below_a_hundred_units_an_arm() -> None:
    goal = guardrail_goal(Guardrail("quality", 0.5), RECENT)
    assert size([goal], Design()).units == 200
    assert size([goal], Design(weights=(0.9, 0.1))).units == 1000


def test_ratio_of_unit_sums_plans_with_its_linearised_variance() -> None:
    ratio = RatioSummary(5000, 4.0, 1.0 + 2 * 0.64, 5.0, 2.0, 1.6)
    goal = guardrail_goal(QUALITY, ratio)
    # (2.28 - 2 * .8 * 1.6 + .64 * 2) / 25 = .04 is a quarter of .16.
    assert size([goal], Design()).units == pytest.approx(24_125 / 4, abs=1)


@pytest.mark.parametrize(
    "recent",
    [MeanSummary(99, 0.8, 0.16), MeanSummary(5000, 1.0, 0.0), RatioSummary(500, 0, 0, 0, 0, 0)],
)
def test_too_little_recent_data_is_a_value(recent: MeanSummary | RatioSummary) -> None:
    result = plan_size([GOAL, Goal("errors", recent, 0.01)], Design())
    assert isinstance(result, NoSize)
    assert result.metrics == ("errors",)
    assert "not enough recent data of errors" in plan_sentence(result)


def test_remaining_days() -> None:
    design = Design(units_per_day=900.0)
    result = remaining([GOAL], design, tuning_sample_size=24_125, units_so_far=16_500)
    assert result == Remaining(7625, 9)
    assert remaining_sentence(result) == "About 9 more days."


def test_remaining_units_where_traffic_is_unknown() -> None:
    result = remaining([GOAL], Design(), tuning_sample_size=24_125, units_so_far=24_000)
    assert result == Remaining(125, None)
    assert remaining_sentence(result) == "About 125 more units."


def test_planned_size_reached() -> None:
    result = remaining([GOAL], Design(), tuning_sample_size=24_125, units_so_far=30_000)
    assert result == Remaining(0, 0)
    assert remaining_sentence(result) == "The planned size is reached."


def test_remaining_without_data() -> None:
    goal = Goal("errors", MeanSummary(3, 0.5, 0.2), 0.01)
    assert isinstance(remaining([goal], Design(), tuning_sample_size=900, units_so_far=3), NoSize)


@pytest.mark.parametrize("weights", [(1.0,), (0.5, 0.0), ()])
def test_weights_that_make_no_experiment(weights: tuple[float, ...]) -> None:
    with pytest.raises(PlanError, match="a weight above 0"):
        plan_size([GOAL], Design(weights=weights))


def test_nothing_to_plan_for() -> None:
    with pytest.raises(PlanError, match="at least one guardrail's goal"):
        plan_size([], Design())


@pytest.mark.parametrize("power", [0.3, 1.0])
def test_power_outside_its_range(power: float) -> None:
    with pytest.raises(LevelError, match=r"such as 0\.8"):
        plan_size([GOAL], Design(power=power))


def test_no_traffic() -> None:
    with pytest.raises(PlanError, match="raise the coverage"):
        plan_size([GOAL], Design(units_per_day=0.0))


def test_gap_that_no_number_of_units_decides() -> None:
    with pytest.raises(MarginError, match="No realistic number"):
        plan_size([GOAL._replace(gap=1e-9)], Design())


@given(gap=st.floats(0.001, 0.5), variance=st.floats(0.001, 10.0), tuning=st.integers(100, 10**6))
def test_tuning_to_the_result_never_needs_more_than_any_other_tuning(
    gap: float, variance: float, tuning: int
) -> None:
    goal = Goal("quality", MeanSummary(5000, 0.5, variance), gap)
    # The tuning formula is optimal up to an approximation of less than a percent.
    assert units_needed(goal, Design()) <= 1.01 * units_needed(goal, Design(), tuning) + 2


def test_a_constant_cost_is_planned_for() -> None:
    """Before, it counted as missing data, and there was no plan and no verdict."""
    size = plan_size(
        [saving_goal("cost", MeanSummary(5000, 0.002, 0.0), expected_saving=0.0001)], Design()
    )
    assert isinstance(size, SampleSize)
    assert size.units == 200
