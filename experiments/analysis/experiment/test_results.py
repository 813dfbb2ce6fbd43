"""The results of one treatment for the primary metric and for each guardrail.

All values are gains: above 0 the treatment is better, whichever direction of the metric is better.
`least_gain` and `most_gain` are one-sided always-valid bounds, at the levels for shipping and for
rolling back; None where the data give no bound.
"""

from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from experiments.analysis.experiment import sequential
from experiments.analysis.experiment.covariates import ArmMeans, compared
from experiments.analysis.experiment.effects import (
    Effect,
    EffectInterval,
    difference,
    difference_in_means,
    one_sided_bounds,
    relative_sequential_interval,
    shrunken_lift,
    without_certainty,
)
from experiments.analysis.experiment.health import MINIMUM_SHOWN
from experiments.analysis.experiment.lee_bounds import LeeBounds, lee_bounds, rated_shares_differ
from experiments.analysis.experiment.plan import (
    MINIMUM_EVENTS,
    ArmData,
    Direction,
    Guardrail,
    Levels,
    MeasuredGuardrail,
    Plan,
    both_rated,
)
from experiments.analysis.experiment.summaries import (
    CovariateMeanSummary,
    CovariateRatioSummary,
    MeanSummary,
    RatioSummary,
    Summary,
    plain_mean,
    smoothed_variance,
)


class GuardrailStatus(StrEnum):
    INSIDE = "inside"
    BROKEN = "broken"
    UNDECIDED = "undecided"
    NO_RESULT = "no_result"


class PrimaryResult(NamedTuple):
    """`relative_interval` is the lift's always-valid interval, `shrunken` the lift to expect
    afterwards; `observations` of the arm with fewer."""

    name: str
    better: Direction
    effect: Effect
    relative_interval: EffectInterval | None
    least_gain: float | None
    most_gain: float | None
    observations: int
    shrunken: float | None = None


class GuardrailResult(NamedTuple):
    """`worst_case` is set if the arms have different shares of ratings; `least_gain` includes it.

    `fewest_events` counts events or non-events, whichever are fewer, in the arm with fewer; None
    unless the metric is boolean.
    """

    guardrail: Guardrail
    effect: Effect
    status: GuardrailStatus
    least_gain: float | None
    most_gain: float | None
    observations: int
    fewest_events: int | None
    ratings_differ: bool
    worst_case: LeeBounds | None

    @property
    def name(self) -> str:
        return self.guardrail.name


def primary_result(
    plan: Plan, levels: Levels, control: Summary, treatment: Summary
) -> PrimaryResult:
    """The primary metric, its interval at the level for shipping."""
    tuning, sign = plan.tuning_sample_size, plan.primary.better.sign
    least_scale = plan.primary.target_effect
    effect = difference(
        control,
        treatment,
        alpha=levels.ship,
        tuning_sample_size=tuning,
        least_scale=least_scale,
    )
    pair = compared(control, treatment)
    relative = shrunken = None
    if pair is not None:
        pair = without_certainty(pair, least_scale)
        relative = relative_sequential_interval(pair, alpha=levels.ship, tuning_sample_size=tuning)
        shrunken = shrunken_lift(pair, plan.prior_sd)
    return PrimaryResult(
        plan.primary.name,
        plan.primary.better,
        effect,
        relative,
        _gain_bounds(effect, sign, levels.ship, tuning)[0],
        _gain_bounds(effect, sign, levels.roll_back, tuning)[1],
        _fewer_observations(control, treatment),
        shrunken,
    )


def guardrail_results(
    plan: Plan, levels: Levels, control: ArmData, treatment: ArmData
) -> tuple[GuardrailResult, ...]:
    """All guardrails of one treatment, in plan order."""
    return tuple(
        guardrail_result(plan, levels, guardrail, before, after)
        for guardrail, before, after in zip(
            plan.guardrails, control.guardrails, treatment.guardrails, strict=True
        )
    )


def guardrail_result(
    plan: Plan,
    levels: Levels,
    guardrail: Guardrail,
    control: MeasuredGuardrail,
    treatment: MeasuredGuardrail,
) -> GuardrailResult:
    """One guardrail: inside its margin, broken, or not yet known."""
    tuning, sign = plan.tuning_sample_size, guardrail.better.sign
    effect = _bounded_difference(guardrail, control.summary, treatment.summary, levels.ship, tuning)
    least = _gain_bounds(effect, sign, levels.ship, tuning)[0]
    most = _gain_bounds(effect, sign, levels.roll_back, tuning)[1]

    rated = both_rated(control, treatment)
    differ = bool(rated and rated_shares_differ(rated, tuning_sample_size=tuning))
    worst = _worst_case(guardrail, control, treatment) if differ else None
    if differ:
        n = effect.n_control + effect.n_treatment
        allowed = _least_gain_of(worst, sign, n, levels.ship, tuning)
        least = None if least is None or allowed is None else min(least, allowed)

    result = GuardrailResult(
        guardrail,
        effect,
        GuardrailStatus.UNDECIDED,
        least,
        most,
        _fewer_observations(control.summary, treatment.summary),
        _fewest_events(control.summary, treatment.summary) if guardrail.boolean else None,
        differ,
        worst,
    )
    pooled = _pooled_events(control.summary, treatment.summary) if guardrail.boolean else None
    return result._replace(status=_status(plan, result, pooled))


def _status(plan: Plan, result: GuardrailResult, pooled_events: int | None) -> GuardrailStatus:
    shown = result.observations >= MINIMUM_SHOWN
    certain = pooled_events is None or pooled_events >= MINIMUM_EVENTS
    limit = -result.guardrail.margin
    if shown and certain and result.most_gain is not None and result.most_gain < limit:
        return GuardrailStatus.BROKEN
    too_rare = result.fewest_events is not None and result.fewest_events < MINIMUM_EVENTS
    if too_rare or result.effect.problem or result.observations < plan.enough_units:
        return GuardrailStatus.NO_RESULT
    inside = result.least_gain is not None and result.least_gain > limit
    return GuardrailStatus.INSIDE if inside else GuardrailStatus.UNDECIDED


def _bounded_difference(
    guardrail: Guardrail, control: Summary, treatment: Summary, alpha: float, tuning: float
) -> Effect:
    pair = compared(control, treatment)
    if pair is None or guardrail.bounds is None:
        return difference(
            control,
            treatment,
            alpha=alpha,
            tuning_sample_size=tuning,
            least_scale=guardrail.margin,
        )
    arms = ArmMeans(*(_not_certain(arm, guardrail.bounds) for arm in pair))
    return difference_in_means(*arms, alpha=alpha, tuning_sample_size=tuning)


def _not_certain(arm: MeanSummary, bounds: EffectInterval) -> MeanSummary:
    """Gives an arm of identical units the variance with one more success and one more failure.

    Otherwise an arm that never fails, or always does, would have no variance, and two such arms
    would have no result at any distance.
    """
    if arm.variance > 0 or arm.n < 2:
        return arm
    width = bounds.upper - bounds.lower
    share = min(max((arm.mean - bounds.lower) / width, 0.0), 1.0)
    return replace(arm, variance=width * width * smoothed_variance(arm.n, share * arm.n))


def _gain_bounds(
    effect: Effect, sign: int, alpha: float, tuning: float
) -> tuple[float | None, float | None]:
    bounds = one_sided_bounds(effect, alpha=alpha, tuning_sample_size=tuning)
    if bounds is None:
        return None, None
    return (bounds.lower, bounds.upper) if sign > 0 else (-bounds.upper, -bounds.lower)


def _worst_case(
    guardrail: Guardrail, control: MeasuredGuardrail, treatment: MeasuredGuardrail
) -> LeeBounds | None:
    if guardrail.bounds is None or control.rated is None or treatment.rated is None:
        return None
    metric = plain_mean(control.summary), plain_mean(treatment.summary)
    rated = plain_mean(control.rated), plain_mean(treatment.rated)
    if metric[0] is None or metric[1] is None or rated[0] is None or rated[1] is None:
        return None
    return lee_bounds(metric[0], metric[1], rated[0], rated[1], guardrail.bounds)


def _least_gain_of(
    worst: LeeBounds | None, sign: int, n: int, alpha: float, tuning: float
) -> float | None:
    if worst is None:
        return None
    end, error = (worst.lower, worst.lower_error) if sign > 0 else (-worst.upper, worst.upper_error)
    half = sequential.one_sided_half_width(error, n, alpha=alpha, tuning_sample_size=tuning)
    return end - half


def _fewer_observations(control: Summary, treatment: Summary) -> int:
    return min(_observations(control), _observations(treatment))


def _observations(summary: Summary) -> int:
    """The number of units with values; at most the number of ratings."""
    match summary:
        case RatioSummary():
            return min(summary.n, round(summary.n * summary.denominator_mean))
        case CovariateRatioSummary():
            return _observations(summary.plain())
        case _:
            return summary.n


def _events(summary: Summary) -> tuple[int, int]:
    match summary:
        case RatioSummary():
            yes = round(summary.n * summary.numerator_mean)
            return yes, round(summary.n * summary.denominator_mean) - yes
        case CovariateMeanSummary() | CovariateRatioSummary():
            return _events(summary.plain())
        case MeanSummary():
            yes = round(summary.n * summary.mean)
            return yes, summary.n - yes


def _fewest_events(control: Summary, treatment: Summary) -> int:
    return min(*_events(control), *_events(treatment))


def _pooled_events(control: Summary, treatment: Summary) -> int:
    pairs = zip(_events(control), _events(treatment), strict=True)
    return min(sum(pair) for pair in pairs)
