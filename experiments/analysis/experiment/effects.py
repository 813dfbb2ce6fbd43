"""The effect of a treatment: differences of means and of ratios, with intervals.

Every comparison becomes two means with one unit's variance each: a ratio is linearized (delta
method), a covariate is subtracted (CUPED), then Welch's test applies. The fixed-horizon interval
and p-value are valid for one look planned in advance; the sequential ones at every look.

Effects are treatment minus control, in the metric's own unit.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from math import exp, hypot, isfinite, log, sqrt
from typing import NamedTuple

from scipy.special import stdtr, stdtrit

from experiments.analysis.errors import LevelError
from experiments.analysis.experiment import sequential
from experiments.analysis.experiment.covariates import ArmMeans, compared
from experiments.analysis.experiment.sequential import DEFAULT_TUNING_SAMPLE_SIZE
from experiments.analysis.experiment.summaries import (
    CovariateMeanSummary,
    CovariateRatioSummary,
    MeanSummary,
    RatioSummary,
    Summary,
    smoothed_variance,
)

__all__ = [
    "CovariateMeanSummary",
    "CovariateRatioSummary",
    "Effect",
    "EffectInterval",
    "EffectProblem",
    "MeanSummary",
    "RatioSummary",
    "Summary",
    "adjusted_difference_in_means",
    "adjusted_difference_in_ratios",
    "difference",
    "difference_in_means",
    "difference_in_ratios",
    "one_sided_bounds",
    "relative_sequential_interval",
    "shrunken_lift",
    "without_certainty",
]

# A smaller standard error relative to the means is the rounding error of a constant.
_ROUNDING = 1e-14
# exp(100): a wider relative interval is useless and may overflow.
_WIDEST_LOG = 100.0


class EffectInterval(NamedTuple):
    lower: float
    upper: float


class EffectProblem(StrEnum):
    """Why an effect has no interval and p-value."""

    TOO_FEW_UNITS = "too_few_units"
    NO_DENOMINATOR = "no_denominator"
    NO_VARIATION = "no_variation"


@dataclass(frozen=True, slots=True)
class Effect:
    """Treatment minus control. Unknown values are None, never NaN.

    `relative` is the lift over the control's mean with a fixed-horizon interval on the log scale;
    None unless the control's mean is above 0 (its interval: both means).
    """

    estimate: float | None
    standard_error: float | None
    p_value: float | None
    confidence_interval: EffectInterval | None
    sequential_interval: EffectInterval | None
    sequential_p_value: float | None
    relative: float | None
    relative_interval: EffectInterval | None
    n_control: int
    n_treatment: int

    @property
    def problem(self) -> EffectProblem | None:
        """Why there is no interval; None if there is one."""
        if min(self.n_control, self.n_treatment) < 2:
            return EffectProblem.TOO_FEW_UNITS
        if self.estimate is None:
            return EffectProblem.NO_DENOMINATOR
        return EffectProblem.NO_VARIATION if self.confidence_interval is None else None


def difference_in_means(
    control: MeanSummary,
    treatment: MeanSummary,
    *,
    alpha: float = 0.05,
    tuning_sample_size: float = DEFAULT_TUNING_SAMPLE_SIZE,
) -> Effect:
    """Welch's test of a value per unit, and the always-valid interval."""
    if not 0 < alpha < 1:
        raise LevelError(f"The level alpha is {alpha}; it must lie between 0 and 1.")
    counts = (control.n, treatment.n)
    estimate = treatment.mean - control.mean
    if min(counts) < 2 or not isfinite(estimate):
        return _nothing(*counts)
    relative = _relative(control, treatment)
    error = _standard_error(control, treatment)
    if error <= _ROUNDING * max(abs(control.mean), abs(treatment.mean)):
        return Effect(estimate, 0.0, None, None, None, None, relative, None, *counts)

    n, z = sum(counts), estimate / error
    freedom = _degrees_of_freedom(control, treatment)
    half = error * float(stdtrit(freedom, 1 - alpha / 2))
    level = {"alpha": alpha, "tuning_sample_size": tuning_sample_size}
    return Effect(
        estimate=estimate,
        standard_error=error,
        p_value=2 * float(stdtr(freedom, -abs(z))),
        confidence_interval=_around(estimate, half),
        sequential_interval=_around(estimate, sequential.half_width(error, n, **level)),
        sequential_p_value=sequential.p_value(z, n, **level),
        relative=relative,
        relative_interval=_relative_interval(control, treatment, alpha),
        n_control=control.n,
        n_treatment=treatment.n,
    )


def difference_in_ratios(
    control: RatioSummary,
    treatment: RatioSummary,
    *,
    alpha: float = 0.05,
    tuning_sample_size: float = DEFAULT_TUNING_SAMPLE_SIZE,
) -> Effect:
    """A ratio of unit sums, such as cost per request, with the delta method's variance."""
    return difference(control, treatment, alpha=alpha, tuning_sample_size=tuning_sample_size)


def adjusted_difference_in_means(
    control: CovariateMeanSummary,
    treatment: CovariateMeanSummary,
    *,
    alpha: float = 0.05,
    tuning_sample_size: float = DEFAULT_TUNING_SAMPLE_SIZE,
) -> Effect:
    """A value per unit, adjusted for the unit's earlier value (CUPED)."""
    return difference(control, treatment, alpha=alpha, tuning_sample_size=tuning_sample_size)


def adjusted_difference_in_ratios(
    control: CovariateRatioSummary,
    treatment: CovariateRatioSummary,
    *,
    alpha: float = 0.05,
    tuning_sample_size: float = DEFAULT_TUNING_SAMPLE_SIZE,
) -> Effect:
    """A ratio, adjusted for the units' earlier ratio (CUPED, linearized).

    The plain ratio if an arm has no history.
    """
    return difference(control, treatment, alpha=alpha, tuning_sample_size=tuning_sample_size)


def difference(
    control: Summary,
    treatment: Summary,
    *,
    alpha: float = 0.05,
    tuning_sample_size: float = DEFAULT_TUNING_SAMPLE_SIZE,
    least_scale: float | None = None,
) -> Effect:
    """The difference for any kind of summary; both arms must be of the same kind.

    With `least_scale` constant arms have a result too (`without_certainty`).
    """
    pair = compared(control, treatment)
    if pair is None:
        return _nothing(control.n, treatment.n)
    if least_scale is not None:
        pair = without_certainty(pair, least_scale)
    return difference_in_means(*pair, alpha=alpha, tuning_sample_size=tuning_sample_size)


def one_sided_bounds(
    effect: Effect, *, alpha: float, tuning_sample_size: float = DEFAULT_TUNING_SAMPLE_SIZE
) -> EffectInterval | None:
    """A lower and an upper always-valid bound, each wrong with probability alpha at most."""
    if effect.estimate is None or effect.problem is not None or effect.standard_error is None:
        return None
    half = sequential.one_sided_half_width(
        effect.standard_error,
        effect.n_control + effect.n_treatment,
        alpha=alpha,
        tuning_sample_size=tuning_sample_size,
    )
    return _around(effect.estimate, half)


def relative_sequential_interval(
    pair: ArmMeans, *, alpha: float, tuning_sample_size: float = DEFAULT_TUNING_SAMPLE_SIZE
) -> EffectInterval | None:
    """The always-valid interval of the lift over control, for text that is read on any day."""
    log_error = _log_error(*pair)
    if log_error is None:
        return None
    n = pair.control.n + pair.treatment.n
    half = sequential.half_width(log_error, n, alpha=alpha, tuning_sample_size=tuning_sample_size)
    return _lift(pair, half)


def shrunken_lift(pair: ArmMeans, prior_sd: float) -> float | None:
    """The lift over control, shrunk towards 0: what to expect after shipping.

    An estimate that stops the experiment because it is large enough is too large on average. If
    effects have the standard deviation `prior_sd` on the log scale, the log of the lift is
    multiplied by `prior_sd^2 / (prior_sd^2 + se^2)`.
    """
    log_error = _log_error(*pair)
    if log_error is None:
        return None
    kept = prior_sd**2 / (prior_sd**2 + log_error**2)
    return exp(kept * log(pair.treatment.mean / pair.control.mean)) - 1


def without_certainty(pair: ArmMeans, least_scale: float) -> ArmMeans:
    """Gives an arm in which every unit costs the same the variance of one unit that differs.

    Otherwise constant costs would have no interval and no verdict. The unit differs by the larger
    of both means, or by `least_scale` if both are smaller.
    """
    scale = max(abs(pair.control.mean), abs(pair.treatment.mean), least_scale)
    return ArmMeans(*(_not_constant(arm, scale) for arm in pair))


def _not_constant(arm: MeanSummary, scale: float) -> MeanSummary:
    if arm.n < 2 or sqrt(arm.variance / arm.n) > _ROUNDING * abs(arm.mean):
        return arm
    return replace(arm, variance=scale * scale * smoothed_variance(arm.n, arm.n))


def _standard_error(control: MeanSummary, treatment: MeanSummary) -> float:
    return sqrt(control.variance / control.n + treatment.variance / treatment.n)


def _degrees_of_freedom(control: MeanSummary, treatment: MeanSummary) -> float:
    spread = control.variance / control.n + treatment.variance / treatment.n
    share = control.variance / control.n / spread
    return 1 / (share**2 / (control.n - 1) + (1 - share) ** 2 / (treatment.n - 1))


def _relative(control: MeanSummary, treatment: MeanSummary) -> float | None:
    if control.mean <= 0:
        return None
    relative = treatment.mean / control.mean - 1
    return relative if isfinite(relative) else None


def _log_error(control: MeanSummary, treatment: MeanSummary) -> float | None:
    """Standard error of the log of the means' ratio; None if the log is undefined."""
    if min(control.n, treatment.n) < 2 or min(control.mean, treatment.mean) <= 0:
        return None
    error = hypot(_relative_error(control), _relative_error(treatment))
    return error if 0 < error < _WIDEST_LOG else None


def _relative_error(summary: MeanSummary) -> float:
    return sqrt(summary.variance / summary.n) / summary.mean


def _relative_interval(
    control: MeanSummary, treatment: MeanSummary, alpha: float
) -> EffectInterval | None:
    log_error = _log_error(control, treatment)
    if log_error is None:
        return None
    shares = [(_relative_error(arm) / log_error) ** 2 for arm in (control, treatment)]
    freedom = 1 / (shares[0] ** 2 / (control.n - 1) + shares[1] ** 2 / (treatment.n - 1))
    half = log_error * float(stdtrit(freedom, 1 - alpha / 2))
    return _lift(ArmMeans(control, treatment), half)


def _lift(pair: ArmMeans, half: float) -> EffectInterval | None:
    ratio = pair.treatment.mean / pair.control.mean
    if half > _WIDEST_LOG or not isfinite(ratio * exp(half)):
        return None
    return EffectInterval(ratio * exp(-half) - 1, ratio * exp(half) - 1)


def _around(centre: float, half: float) -> EffectInterval:
    return EffectInterval(centre - half, centre + half)


def _nothing(n_control: int, n_treatment: int) -> Effect:
    return Effect(None, None, None, None, None, None, None, None, n_control, n_treatment)
