"""Prepares two arms of a metric for comparison: linearized ratios, covariate adjustment (CUPED)."""

from typing import NamedTuple

from experiments.analysis.errors import SummaryError
from experiments.analysis.experiment.summaries import (
    CovariateMeanSummary,
    CovariateRatioSummary,
    MeanSummary,
    Summary,
    plain_mean,
    without_rounding,
)


class ArmMeans(NamedTuple):
    """Both arms of one metric as means, ready to be compared."""

    control: MeanSummary
    treatment: MeanSummary


def compared(control: Summary, treatment: Summary) -> ArmMeans | None:
    """Both arms as means with one unit's variance; None if a denominator is missing."""
    match control, treatment:
        case CovariateMeanSummary(), CovariateMeanSummary():
            return _adjusted(control, treatment)
        case CovariateRatioSummary(), CovariateRatioSummary():
            linear = control.linearised(), treatment.linearised()
            if linear[0] is not None and linear[1] is not None:
                return _adjusted(linear[0], linear[1])
        case _ if type(control) is not type(treatment):
            raise SummaryError(
                f"A {type(control).__name__} cannot be compared with a {type(treatment).__name__}; "
                "summarize both arms the same way."
            )
    plain = plain_mean(control), plain_mean(treatment)
    return None if plain[0] is None or plain[1] is None else ArmMeans(plain[0], plain[1])


def covariate_coefficient(control: CovariateMeanSummary, treatment: CovariateMeanSummary) -> float:
    """theta = cov / var of the covariate, pooled within the arms; 0 without variation."""
    freedom = [max(arm.n - 1, 0) for arm in (control, treatment)]
    variance = sum(
        f * arm.covariate_variance for f, arm in zip(freedom, (control, treatment), strict=True)
    )
    covariance = sum(
        f * arm.covariance for f, arm in zip(freedom, (control, treatment), strict=True)
    )
    return covariance / variance if variance > 0 else 0.0


def _adjusted(control: CovariateMeanSummary, treatment: CovariateMeanSummary) -> ArmMeans:
    theta = covariate_coefficient(control, treatment)
    n = control.n + treatment.n
    # Only the difference counts; the common centre keeps the adjusted means near the plain ones.
    centre = (
        (control.n * control.covariate_mean + treatment.n * treatment.covariate_mean) / n
        if n
        else 0.0
    )

    def arm(summary: CovariateMeanSummary) -> MeanSummary:
        gross = summary.variance + theta * theta * summary.covariate_variance
        return MeanSummary(
            summary.n,
            summary.mean - theta * (summary.covariate_mean - centre),
            without_rounding(gross - 2 * theta * summary.covariance, gross),
        )

    return ArmMeans(arm(control), arm(treatment))
