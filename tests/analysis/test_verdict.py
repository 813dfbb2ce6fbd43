"""Verdicts: each outcome, its rule, its minimums, its words."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from experiments.analysis.errors import LevelError, MarginError, PlanError
from experiments.analysis.experiment.effects import EffectInterval
from experiments.analysis.experiment.health import (
    CheckStatus,
    Health,
    HealthCheck,
    HealthCode,
    check_traffic,
)
from experiments.analysis.experiment.plan import (
    ArmData,
    Direction,
    Guardrail,
    MeasuredGuardrail,
    Plan,
    Primary,
)
from experiments.analysis.experiment.summaries import MeanSummary, RatioSummary
from experiments.analysis.experiment.test_results import GuardrailStatus
from experiments.analysis.experiment.verdict import ReasonCode, Verdict, VerdictCode, judge
from experiments.experimentation.text import (
    expectation,
    reason_message,
    verdict_expectation,
    verdict_sentence,
)

QUALITY = Guardrail("quality", 0.02, boolean=True)
ERRORS = Guardrail("error rate", 0.01, Direction.LOWER, boolean=True)
LATENCY = Guardrail("latency", 200.0, Direction.LOWER, unit="ms")
PLAN = Plan(
    Primary(target_effect=0.0001),
    (QUALITY,),
    tuning_sample_size=10_000,
    planned_units=20_000,
)


def cost(n: int, mean: float) -> RatioSummary:
    """Ten requests a unit on average, skewed cost."""
    return RatioSummary(n, 10 * mean, 160 * mean * mean, 10.0, 20.0, 20 * mean)


def share(n: int, value: float) -> RatioSummary:
    """Five answers a unit on average, some units harder than others."""
    variance = 5 * value * (1 - value) + 2 * value * value
    return RatioSummary(n, 5 * value, variance, 5.0, 2.0, 2 * value)


def arm(
    n: int,
    cost_mean: float,
    *guardrails: float | MeasuredGuardrail | RatioSummary,
    name: str = "local",
) -> ArmData:
    measured = tuple(
        g
        if isinstance(g, MeasuredGuardrail)
        else MeasuredGuardrail(share(n, g) if isinstance(g, float) else g)
        for g in guardrails
    )
    return ArmData(name, n, cost(n, cost_mean), measured)


def verdict(
    n: int, cost_mean: float, quality: float, *, plan: Plan = PLAN, days: float = 9.0
) -> Verdict:
    return judge(plan, arm(n, 0.001, 0.8), [arm(n, cost_mean, quality)], days=days)


def codes(result: Verdict) -> list[ReasonCode]:
    return [reason.code for reason in result.reasons]


def test_ship_when_cheaper_and_inside_the_margin() -> None:
    result = verdict(8000, 0.00069, 0.8)
    assert (result.outcome, result.arm) == (VerdictCode.SHIP, "local")
    assert codes(result) == [ReasonCode.PRIMARY_BETTER, ReasonCode.GUARDRAIL_INSIDE]
    assert verdict_sentence(result) == (
        'Ship "local". It costs 31 % less (between 27 and 35) and quality is at most 0.9 points '
        "lower; 2.0 were allowed."
    )


def test_ship_bounds_are_the_one_sided_ones_at_the_phase_s_level() -> None:
    result = verdict(8000, 0.00069, 0.8)
    primary, (quality,) = result.arms[0].primary, result.arms[0].guardrails
    # Level .025, N = 16,000, N* = 10,000: 3.05215 standard errors below the estimate.
    assert quality.effect.standard_error == pytest.approx(0.00282843, abs=1e-8)
    assert quality.least_gain == pytest.approx(-0.00863278, abs=1e-8)
    assert primary.least_gain == pytest.approx(0.00026094505, abs=1e-10)


def test_keep_running_while_a_guardrail_is_open() -> None:
    result = verdict(8000, 0.0007, 0.785)
    assert result.outcome is VerdictCode.KEEP_RUNNING
    assert verdict_sentence(result) == (
        "Keep running: quality could still be 2.4 points lower; 2.0 were allowed."
    )


def test_keep_running_while_the_saving_is_open() -> None:
    result = verdict(8000, 0.00098, 0.8, plan=replace(PLAN, primary=Primary(0.00002)))
    assert result.outcome is VerdictCode.KEEP_RUNNING
    assert (
        verdict_sentence(result) == 'Keep running: it is not yet certain that "local" costs less.'
    )


def test_mixed_when_the_planned_size_leaves_a_guardrail_open() -> None:
    result = verdict(10_000, 0.0007, 0.785)
    assert result.outcome is VerdictCode.MIXED
    assert ReasonCode.PLANNED_SIZE_REACHED in codes(result)
    assert verdict_sentence(result) == (
        'Mixed after the planned size for "local". It costs 30 % less (between 26 and 34), but '
        "quality could still be 2.3 points lower; 2.0 were allowed. Decide by hand, or plan a "
        "larger experiment."
    )


def test_not_mixed_without_a_saving() -> None:
    assert verdict(10_000, 0.00102, 0.785).outcome is VerdictCode.KEEP_RUNNING


def test_roll_back_when_a_guardrail_is_broken() -> None:
    result = verdict(8000, 0.0007, 0.75)
    assert (result.outcome, result.arm) == (VerdictCode.ROLL_BACK, "local")
    assert ReasonCode.GUARDRAIL_BROKEN in codes(result)
    assert verdict_sentence(result) == (
        'Roll back "local": quality is at least 4.0 points lower; 2.0 were allowed.'
    )


def test_roll_back_when_more_expensive() -> None:
    result = verdict(8000, 0.0011, 0.8)
    assert result.outcome is VerdictCode.ROLL_BACK
    assert verdict_sentence(result) == (
        'Roll back "local". It costs 10 % more (between 3 and 17), and that is certain.'
    )


def test_roll_back_does_not_wait_for_days_or_the_minimum_of_units() -> None:
    result = verdict(90, 0.0007, 0.3, days=0.1)
    assert result.outcome is VerdictCode.ROLL_BACK
    assert ReasonCode.TOO_FEW_DAYS in codes(result)


def test_no_difference_when_the_cost_is_the_same() -> None:
    result = verdict(8000, 0.00101, 0.8)
    assert result.outcome is VerdictCode.NO_DIFFERENCE
    assert verdict_sentence(result).endswith("Routing this way does not pay here.")


def test_no_difference_needs_the_guardrail_inside() -> None:
    assert verdict(8000, 0.00101, 0.785).outcome is VerdictCode.KEEP_RUNNING


@pytest.mark.parametrize("n", [0, 1, 2, 49])
def test_fewer_than_fifty_units_show_nothing(n: int) -> None:
    result = verdict(n, 0.0001, 0.1)
    assert result.outcome is VerdictCode.NOT_ENOUGH_DATA
    assert f"{n} of 100 units in the smaller arm" in verdict_sentence(result)
    assert "no result yet" not in verdict_sentence(result)
    shown = [reason for reason in result.reasons if reason.metric == "cost"]
    assert [(one.code, one.value) for one in shown] == [(ReasonCode.NO_RESULT, None)]


def test_fewer_than_a_hundred_units_ship_nothing_whatever_the_plan() -> None:
    plan = replace(PLAN, minimum_units=10, guardrails=(Guardrail("quality", 0.5, boolean=True),))
    assert verdict(99, 0.0001, 0.8, plan=plan).outcome is VerdictCode.NOT_ENOUGH_DATA
    assert verdict(100, 0.0001, 0.8, plan=plan).outcome is VerdictCode.SHIP


def test_the_plan_s_own_minimum_of_units() -> None:
    assert verdict(8000, 0.00069, 0.8, plan=replace(PLAN, minimum_units=8001)).outcome is (
        VerdictCode.NOT_ENOUGH_DATA
    )


def test_minimum_of_days() -> None:
    result = verdict(8000, 0.00069, 0.8, days=6.9)
    assert result.outcome is VerdictCode.NOT_ENOUGH_DATA
    assert verdict_sentence(result) == 'Not enough data for "local" yet: 6.9 of 7 days.'


def test_days_are_rounded_down() -> None:
    """ "7 of 7 days" would be nothing to wait for."""
    assert "6.9 of 7 days" in verdict_sentence(verdict(8000, 0.00069, 0.8, days=6.997))
    assert "4.3 of 7 days" in verdict_sentence(verdict(8000, 0.00069, 0.8, days=4.39))


def test_few_ratings_are_few_observations_however_many_units() -> None:
    sparse = RatioSummary(8000, 0.0075, 0.0075, 0.01, 0.01, 0.0075)
    result = judge(PLAN, arm(8000, 0.001, sparse), [arm(8000, 0.0007, sparse)], days=9)
    assert result.outcome is VerdictCode.NOT_ENOUGH_DATA
    assert result.arms[0].guardrails[0].observations == 80


def test_no_failure_yet_is_not_certainty() -> None:
    plan = replace(PLAN, guardrails=(ERRORS,))
    result = judge(plan, arm(900, 0.001, 0.0), [arm(900, 0.0005, 0.0)], days=9)
    assert result.outcome is VerdictCode.NOT_ENOUGH_DATA
    assert verdict_sentence(result) == (
        'Not enough data for "local" yet: 0 of 10 error rate events or non-events per arm.'
    )


def test_nine_failures_in_an_arm_are_too_few() -> None:
    plan = replace(PLAN, guardrails=(replace(ERRORS, margin=0.02),))

    def failures(count: int) -> ArmData:
        return ArmData(
            "local",
            20_000,
            cost(20_000, 0.0005 if count else 0.001),
            (MeasuredGuardrail(MeanSummary.from_successes(20_000, count)),),
        )

    control = replace(failures(10), name="control", primary=cost(20_000, 0.001))
    assert judge(plan, control, [failures(9)], days=9).outcome is VerdictCode.MIXED
    assert judge(plan, control, [failures(10)], days=9).outcome is VerdictCode.SHIP
    small = replace(plan, planned_units=None)
    assert judge(small, control, [failures(9)], days=9).outcome is VerdictCode.NOT_ENOUGH_DATA


def test_an_arm_that_always_fails_is_rolled_back_though_nothing_varies() -> None:
    plan = replace(PLAN, guardrails=(ERRORS,))
    result = judge(plan, arm(200, 0.001, 0.0), [arm(200, 0.0005, 1.0)], days=1)
    assert result.outcome is VerdictCode.ROLL_BACK
    assert "error rate is at least" in verdict_sentence(result)
    assert "points higher; 1.0 were allowed" in verdict_sentence(result)


def constant(n: int, cost_mean: float, quality: float = 0.8, name: str = "local") -> ArmData:
    """Every request of every unit costs the same."""
    each = RatioSummary(n, 10 * cost_mean, 0.0, 10.0, 0.0, 0.0)
    return replace(arm(n, cost_mean, quality, name=name), primary=each)


def test_constant_costs_that_are_equal_make_no_difference() -> None:
    result = judge(PLAN, constant(8000, 0.001, name="control"), [constant(8000, 0.001)], days=9)
    assert result.outcome is VerdictCode.NO_DIFFERENCE


def test_constant_costs_that_differ_ship_the_cheaper() -> None:
    result = judge(PLAN, constant(8000, 0.001, name="control"), [constant(8000, 0.0005)], days=9)
    assert (result.outcome, result.arm) == (VerdictCode.SHIP, "local")
    assert verdict_sentence(result).startswith(
        'Ship "local". It costs 50 % less (between 50 and 50)'
    )


def test_a_constant_cost_that_rises_is_rolled_back() -> None:
    result = judge(PLAN, constant(200, 0.001, name="control"), [constant(200, 0.0015)], days=9)
    assert result.outcome is VerdictCode.ROLL_BACK


def test_costs_that_are_all_nothing_make_no_difference() -> None:
    result = judge(PLAN, constant(8000, 0.0, name="control"), [constant(8000, 0.0)], days=9)
    assert result.outcome is VerdictCode.NO_DIFFERENCE


def test_one_constant_arm_is_compared_with_one_that_varies() -> None:
    result = judge(PLAN, constant(8000, 0.001, name="control"), [arm(8000, 0.0007, 0.8)], days=9)
    assert result.outcome is VerdictCode.SHIP


def test_a_constant_cost_is_as_uncertain_as_one_unit_that_differs() -> None:
    """Of 8,000 alike one more may cost the mean more: variance 8001 / 8002^2 an arm, over n."""
    result = judge(PLAN, constant(8000, 0.001, name="control"), [constant(8000, 0.001)], days=9)
    error = result.arms[0].primary.effect.standard_error
    assert error == pytest.approx(1.7673e-07, rel=1e-4)


def test_cost_without_requests_is_not_enough_data() -> None:
    empty = RatioSummary(8000, 0.0, 0.0, 0.0, 0.0, 0.0)
    result = judge(
        PLAN, arm(8000, 0.001, 0.8), [replace(arm(8000, 0.001, 0.8), primary=empty)], days=9
    )
    assert result.outcome is VerdictCode.NOT_ENOUGH_DATA


def test_metric_that_is_to_go_down() -> None:
    plan = replace(PLAN, guardrails=(replace(ERRORS, margin=0.02),))
    worse = judge(plan, arm(8000, 0.001, 0.05), [arm(8000, 0.0007, 0.10)], days=9)
    better = judge(plan, arm(8000, 0.001, 0.10), [arm(8000, 0.0007, 0.05)], days=9)
    assert worse.outcome is VerdictCode.ROLL_BACK
    assert better.outcome is VerdictCode.SHIP
    assert verdict_sentence(better).endswith("and error rate is at least 4.4 points lower.")


def test_primary_that_is_to_go_up() -> None:
    plan = replace(PLAN, primary=Primary(0.0001, "saving", Direction.HIGHER))
    result = judge(plan, arm(8000, 0.001, 0.8), [arm(8000, 0.0013, 0.8)], days=9)
    assert result.outcome is VerdictCode.SHIP
    assert verdict_sentence(result).startswith('Ship "local". Its saving is 30 % higher (between 2')
    worse = judge(plan, arm(8000, 0.001, 0.8), [arm(8000, 0.0007, 0.8)], days=9)
    assert worse.outcome is VerdictCode.ROLL_BACK


def test_metric_in_its_own_unit() -> None:
    plan = replace(PLAN, guardrails=(LATENCY,))

    def slow(n: int, mean: float, cost_mean: float) -> ArmData:
        return ArmData(
            "local", n, cost(n, cost_mean), (MeasuredGuardrail(MeanSummary(n, mean, 4e6)),)
        )

    result = judge(plan, slow(8000, 900.0, 0.001), [slow(8000, 920.0, 0.0007)], days=9)
    assert result.outcome is VerdictCode.SHIP
    assert verdict_sentence(result).endswith(
        "and latency is at most 117 ms higher; 200 were allowed."
    )


def test_every_guardrail_must_hold_to_ship() -> None:
    plan = replace(PLAN, guardrails=(QUALITY, ERRORS))
    control = arm(8000, 0.001, 0.8, 0.02)
    both = judge(plan, control, [arm(8000, 0.0007, 0.8, 0.02)], days=9)
    one = judge(plan, control, [arm(8000, 0.0007, 0.8, 0.029)], days=9)
    assert both.outcome is VerdictCode.SHIP
    assert " and error rate is at most 0.3 points higher; 1.0 were allowed." in verdict_sentence(
        both
    )
    assert one.outcome is VerdictCode.KEEP_RUNNING
    assert [r.status for r in one.arms[0].guardrails] == [
        GuardrailStatus.INSIDE,
        GuardrailStatus.UNDECIDED,
    ]


def test_levels_are_split_by_treatments_and_for_rolling_back_by_guardrails() -> None:
    plan = replace(PLAN, guardrails=(QUALITY, ERRORS), alpha=0.06)
    assert plan.levels(1) == pytest.approx((0.03, 0.01))
    assert plan.levels(3) == pytest.approx((0.01, 0.01 / 3))
    assert replace(plan, phase=2).levels(1) == pytest.approx((0.01, 0.01 / 3))


def test_later_phase_needs_more_certainty() -> None:
    bounds = [
        verdict(8000, 0.00069, 0.8, plan=replace(PLAN, phase=phase))
        .arms[0]
        .guardrails[0]
        .least_gain
        for phase in (1, 2, 3)
    ]
    assert bounds == pytest.approx([-0.00863278, -0.00968796, -0.01029093], abs=1e-8)


def several(*outcomes: tuple[float, float]) -> Verdict:
    arms = [arm(8000, c, q, name=f"arm {i}") for i, (c, q) in enumerate(outcomes, start=1)]
    return judge(PLAN, arm(8000, 0.001, 0.8), arms, days=9)


def test_of_two_that_may_ship_the_cheaper_is_named() -> None:
    result = several((0.0008, 0.8), (0.0006, 0.8))
    assert (result.outcome, result.arm) == (VerdictCode.SHIP, "arm 2")
    assert [a.outcome for a in result.arms] == [VerdictCode.SHIP, VerdictCode.SHIP]


@pytest.mark.parametrize(
    ("arms", "outcome", "named"),
    [
        (((0.0007, 0.75), (0.0007, 0.8)), VerdictCode.SHIP, "arm 2"),
        (((0.0007, 0.75), (0.0007, 0.785)), VerdictCode.ROLL_BACK, "arm 1"),
        (((0.00101, 0.8), (0.00099, 0.785)), VerdictCode.KEEP_RUNNING, "arm 2"),
        (((0.0007, 0.785), (0.00101, 0.8)), VerdictCode.MIXED, "arm 1"),
        (((0.00101, 0.8), (0.00101, 0.8)), VerdictCode.NO_DIFFERENCE, "arm 1"),
    ],
)
def test_of_several_treatments_one_speaks_for_the_experiment(
    arms: Sequence[tuple[float, float]], outcome: VerdictCode, named: str
) -> None:
    result = several(*arms)
    assert (result.outcome, result.arm) == (outcome, named)


def test_alarm_makes_it_unhealthy_and_keeps_the_numbers() -> None:
    broken = HealthCheck(
        HealthCode.SAMPLE_RATIO, CheckStatus.ALARM, 1e9, 100.0, "law", (900, 1400), (1150, 1150)
    )
    arms = arm(8000, 0.001, 0.8), arm(8000, 0.00069, 0.8)
    result = judge(PLAN, arms[0], arms[1:], days=9, health=Health((broken,)))
    assert (result.outcome, result.arm) == (VerdictCode.UNHEALTHY, None)
    assert verdict_sentence(result).startswith(
        "Do not trust these results yet. In law 900 to 1,400 units fell into the arms where 1,150 "
    )
    assert result.reasons[0].code is ReasonCode.HEALTH
    assert result.reasons[0].metric == HealthCode.SAMPLE_RATIO
    assert ReasonCode.PRIMARY_BETTER in codes(result)


def test_stopped_traffic_says_nothing_against_the_requests_before() -> None:
    stopped = Health((check_traffic(72.0),))
    control = arm(8000, 0.001, 0.8)
    waiting = judge(PLAN, control, [arm(8000, 0.0007, 0.785)], days=9, health=stopped)
    decided = judge(PLAN, control, [arm(8000, 0.00069, 0.8)], days=9, health=stopped)
    assert waiting.outcome is VerdictCode.KEEP_RUNNING
    assert decided.outcome is VerdictCode.SHIP


def test_what_ships_says_what_to_expect() -> None:
    """log(.69) = -.3711 with a standard error of .0187; kept: .04 / (.04 + .00035) = .9913."""
    result = verdict(8000, 0.00069, 0.8)
    assert result.arms[0].primary.shrunken == pytest.approx(-0.307776, abs=1e-5)
    assert verdict_expectation(result) == expectation(result.arms[0])
    assert verdict_expectation(result) == (
        "Expect cost to be about 31 % lower from now on. Estimates that are large enough to ship "
        "are too large on average, so this one is shrunk towards no change, with the plan's "
        "standard deviation of effects (20 %)."
    )


def test_a_narrower_prior_shrinks_more() -> None:
    """kept: .0025 / (.0025 + .00035) = .877; exp(-.3711 * .877) - 1 = -.278."""
    result = verdict(8000, 0.00069, 0.8, plan=replace(PLAN, prior_sd=0.05))
    assert result.arms[0].primary.shrunken == pytest.approx(-0.277830, abs=1e-5)
    assert "about 28 % lower" in verdict_expectation(result)


def test_nothing_is_expected_of_what_does_not_ship() -> None:
    assert verdict_expectation(verdict(8000, 0.0007, 0.785)) == ""


def test_a_prior_has_some_width() -> None:
    with pytest.raises(PlanError, match="prior"):
        replace(PLAN, prior_sd=0.0)


def rated(n: int, value: float, rate: float) -> MeasuredGuardrail:
    """Ten decisions a unit, of which `rate` are rated."""
    ratings = 10 * rate
    spread = ratings * value * (1 - value)
    return MeasuredGuardrail(
        RatioSummary(
            n,
            ratings * value,
            spread + value**2 * ratings / 2,
            ratings,
            ratings / 2,
            value * ratings / 2,
        ),
        RatioSummary(n, ratings, ratings / 2, 10.0, 0.0, 0.0),
    )


def test_unequal_shares_of_ratings_need_the_worst_case_inside() -> None:
    control = arm(8000, 0.001, rated(8000, 0.8, 0.5))
    equal = judge(PLAN, control, [arm(8000, 0.0007, rated(8000, 0.8, 0.5))], days=9)
    fewer = judge(PLAN, control, [arm(8000, 0.0007, rated(8000, 0.8, 0.47))], days=9)
    assert equal.outcome is VerdictCode.SHIP
    assert fewer.outcome is VerdictCode.KEEP_RUNNING
    assert ReasonCode.RATINGS_DIFFER in codes(fewer)
    worst = fewer.arms[0].guardrails[0].worst_case
    assert worst is not None
    # Trimming the control's worst six of a hundred ratings: .8 becomes .8 / .94.
    assert worst.lower == pytest.approx(0.8 - 0.8 / 0.94)


def test_worst_case_that_is_inside_ships() -> None:
    plan = replace(PLAN, guardrails=(replace(QUALITY, margin=0.12),))
    control = arm(8000, 0.001, rated(8000, 0.8, 0.5))
    result = judge(plan, control, [arm(8000, 0.0007, rated(8000, 0.8, 0.47))], days=9)
    assert result.outcome is VerdictCode.SHIP
    assert result.arms[0].guardrails[0].ratings_differ


def test_unequal_ratings_of_a_metric_without_range_never_ship() -> None:
    plan = replace(PLAN, guardrails=(Guardrail("quality", 0.12),))
    control = arm(8000, 0.001, rated(8000, 0.8, 0.5))
    treatment = arm(8000, 0.0007, rated(8000, 0.8, 0.47))
    assert judge(plan, control, [treatment], days=9).outcome is VerdictCode.KEEP_RUNNING
    graded = replace(
        plan, guardrails=(Guardrail("quality", 0.12, value_range=EffectInterval(0, 1)),)
    )
    assert judge(graded, control, [treatment], days=9).outcome is VerdictCode.SHIP


@pytest.mark.parametrize("margin", [0.0, -0.02, float("nan")])
def test_margin_that_is_not_above_zero(margin: float) -> None:
    with pytest.raises(MarginError, match="Set it above 0: the worst loss you would accept"):
        Guardrail("quality", margin)


def test_target_effect_that_is_not_above_zero() -> None:
    with pytest.raises(MarginError, match="smallest relevant difference"):
        Primary(target_effect=0.0)


def test_plan_without_guardrail() -> None:
    with pytest.raises(PlanError, match="Add one, normally quality"):
        Plan(Primary(0.1), ())


def test_plan_that_names_a_metric_twice() -> None:
    with pytest.raises(PlanError, match="repeat a name"):
        Plan(Primary(0.1), (Guardrail("cost", 0.1),))


def test_plan_with_an_impossible_level() -> None:
    with pytest.raises(LevelError, match="between 0 and"):
        replace(PLAN, alpha=0.0)


def test_experiment_without_treatment() -> None:
    with pytest.raises(PlanError, match="at least one treatment"):
        judge(PLAN, arm(9, 0.001, 0.8), [], days=1)


def test_arm_that_lacks_a_guardrail() -> None:
    with pytest.raises(PlanError, match='arm "local" has 0 guardrails, the plan 1'):
        judge(PLAN, arm(9, 0.001, 0.8), [arm(9, 0.001)], days=1)


def test_every_reason_has_words() -> None:
    for n, mean, quality in ((40, 0.001, 0.8), (8000, 0.0007, 0.75), (10_000, 0.00101, 0.8)):
        for reason in verdict(n, mean, quality).reasons:
            assert reason_message(reason)
            assert reason.arm == "local"


def test_a_guardrail_that_is_the_same_in_every_unit_has_a_result() -> None:
    """A latency that never varies; shares have a range and had a result before."""
    plan = replace(PLAN, guardrails=(LATENCY,))

    def with_latency(milliseconds: float, cost_mean: float, name: str = "local") -> ArmData:
        each = RatioSummary(8000, 5 * milliseconds, 0.0, 5.0, 0.0, 0.0)
        return arm(8000, cost_mean, MeasuredGuardrail(each), name=name)

    control = with_latency(300.0, 0.001, "control")
    assert judge(plan, control, [with_latency(310.0, 0.0007)], days=9).outcome is VerdictCode.SHIP
    assert (
        judge(plan, control, [with_latency(900.0, 0.0007)], days=9).outcome is VerdictCode.ROLL_BACK
    )
