"""Missing ratings: different shares of ratings, and their worst case (Lee's bounds).

Whether a user rates depends on the answer. If more units rate in one arm, the extra ratings come
from units that would not have rated in the other. Trimming the best (or the worst) such share from
that arm bounds the effect on units that rate in either arm (Lee 2009, "Training, Wages, and Sample
Selection"). Only means are known here, so the trimmed mean is bounded by the worst distribution
with this mean and range: for a yes-or-no metric that is Lee's bound itself, for a graded one it is
wider, never narrower.
"""

from math import hypot, sqrt
from typing import NamedTuple

from experiments.analysis.errors import CountError
from experiments.analysis.experiment.effects import EffectInterval, EffectProblem, difference
from experiments.analysis.experiment.sequential import DEFAULT_TUNING_SAMPLE_SIZE
from experiments.analysis.experiment.summaries import MeanSummary, Summary


class RatedShares(NamedTuple):
    """Share of decisions (or units) with a rating, in both arms."""

    control: Summary
    treatment: Summary


class LeeBounds(NamedTuple):
    """Treatment minus control among those who rate in either arm; errors of the two ends."""

    lower: float
    upper: float
    lower_error: float
    upper_error: float


class _Arm(NamedTuple):
    """Mean as a share of the range, share rated, and their standard errors."""

    mean: float
    mean_error: float
    rated: float
    rated_error: float


class _Trimmed(NamedTuple):
    value: float
    from_own_arm: float
    from_other_arm: float


def rated_shares_differ(
    rated: RatedShares,
    *,
    alpha: float = 0.05,
    tuning_sample_size: float = DEFAULT_TUNING_SAMPLE_SIZE,
) -> bool | None:
    """Whether the arms' rated shares differ significantly, at any look; None: too little data."""
    effect = difference(*rated, alpha=alpha, tuning_sample_size=tuning_sample_size)
    if effect.problem is EffectProblem.NO_VARIATION:
        return effect.estimate != 0
    if effect.sequential_p_value is None:
        return None
    return effect.sequential_p_value < alpha


def lee_bounds(
    control: MeanSummary,
    treatment: MeanSummary,
    rated_control: MeanSummary,
    rated_treatment: MeanSummary,
    value_range: EffectInterval,
) -> LeeBounds | None:
    """Bounds on a metric that lies within `value_range`; None if an arm has no ratings.

    The errors make no assumption on the correlation of ratings and of rating at all: within an arm
    they are added (Cauchy-Schwarz), so they are conservative.
    """
    width = value_range.upper - value_range.lower
    if width <= 0:
        raise CountError(f"The range {value_range} is empty; give the lowest and highest value.")
    arms = [
        _Arm(
            (metric.mean - value_range.lower) / width,
            _error(metric) / width,
            rated.mean,
            _error(rated),
        )
        for metric, rated in ((control, rated_control), (treatment, rated_treatment))
        if min(metric.n, rated.n) > 1 and rated.mean > 0
    ]
    if len(arms) < 2:
        return None
    return _scaled(_bounds(*arms), width)


def _bounds(control: _Arm, treatment: _Arm) -> LeeBounds:
    if treatment.rated >= control.rated:
        low, high = _trimmed(treatment, control.rated, control.rated_error)
        return LeeBounds(
            low.value - control.mean,
            high.value - control.mean,
            _together(low, control.mean_error),
            _together(high, control.mean_error),
        )
    low, high = _trimmed(control, treatment.rated, treatment.rated_error)
    return LeeBounds(
        treatment.mean - high.value,
        treatment.mean - low.value,
        _together(high, treatment.mean_error),
        _together(low, treatment.mean_error),
    )


def _trimmed(arm: _Arm, kept: float, kept_error: float) -> tuple[_Trimmed, _Trimmed]:
    """Mean of the arm's worst and of its best ratings, `kept / arm.rated` of them."""
    bad, good = _grown(1 - arm.mean, arm, kept, kept_error), _grown(arm.mean, arm, kept, kept_error)
    return bad._replace(value=1 - bad.value), good


def _grown(mass: float, arm: _Arm, kept: float, kept_error: float) -> _Trimmed:
    """The share `mass` of all ratings as a share of those kept, if none of it is trimmed."""
    grown = mass * arm.rated / kept
    own = (arm.rated * arm.mean_error + mass * arm.rated_error) / kept
    return _Trimmed(min(grown, 1.0), own, grown * kept_error / kept)


def _together(trimmed: _Trimmed, other_mean_error: float) -> float:
    return hypot(trimmed.from_own_arm, trimmed.from_other_arm + other_mean_error)


def _error(summary: MeanSummary) -> float:
    return sqrt(summary.variance / summary.n)


def _scaled(bounds: LeeBounds, width: float) -> LeeBounds:
    return LeeBounds(*(value * width for value in bounds))
