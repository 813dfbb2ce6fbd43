"""What routing is worth on a domain's traffic, from pairs only: both answers to the same prompt.

The bounds are always valid (asymptotic confidence sequences): they hold however often one looks.
Pairs count with the inverse of their odds, and the pairs of one unit together.
"""

from enum import StrEnum
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.experiment.sequential import half_width
from experiments.analysis.learning.schedule import PAIRS_AT_FULL_RATE

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

LEVEL = 0.05
FEWEST_PAIRS = 10
AS_GOOD = 0.05
"""The largest loss of quality at which the weak model counts as good as the strong one."""
CHEAPER = 0.9
"""Routing can pay only if the weak model costs less than this share of the strong one."""


class Bounded(NamedTuple):
    """An estimate and its always-valid 95 % bounds."""

    value: float
    lower: float
    upper: float


class Worth(NamedTuple):
    """What a router recovers on `pairs` pairs.

    `gap` is the strong model's quality minus the weak one's. `recovered` is the share of it that
    routing keeps (PGR), None while the gap may be 0. `advantage` is routing's quality minus that of
    random routing with the same strong share. `cost` is routing's share of always strong, `weak`
    the weak model's, None without prices.
    """

    pairs: int
    share: float
    gap: Bounded
    recovered: Bounded | None
    advantage: Bounded
    cost: float | None
    weak_cost: float | None


class Finding(StrEnum):
    """What the pairs say."""

    TOO_FEW = "too_few"
    WEAK_AS_GOOD = "weak_as_good"
    RECOVERS = "recovers"
    NO_BETTER = "no_better"
    DOES_NOT_PAY = "does_not_pay"


def worth_of(
    chosen: Floats,
    gains: Floats,
    odds: Floats,
    units: Rows,
    costs: tuple[Floats, Floats],
) -> Worth | None:
    """None with fewer than ten pairs.

    `chosen` is the probability with which routing sends each pair's prompt to the strong model,
    `gains` how much better its answer was, `costs` those of the strong and the weak model's
    answers, NaN where there is no price.
    """
    if len(gains) < FEWEST_PAIRS:
        return None
    weights = 1 / odds
    share = float(np.average(chosen, weights=weights))
    gap = _mean(gains, weights, units)
    advantage = _mean(gains * (chosen - share), weights, units)
    strong, weak = costs
    return Worth(
        pairs=len(gains),
        share=share,
        gap=gap,
        recovered=_ratio(gains * chosen, gains, weights, units) if gap.lower > 0 else None,
        advantage=advantage,
        cost=_part(np.where(np.isnan(weak), np.nan, chosen * strong + (1 - chosen) * weak), strong),
        weak_cost=_part(weak, strong),
    )


def finding_of(worth: Worth | None) -> Finding:
    """In the order in which an operator would act on them."""
    if worth is None:
        return Finding.TOO_FEW
    if worth.gap.upper <= AS_GOOD:
        return Finding.WEAK_AS_GOOD
    saves_nothing = worth.weak_cost is not None and worth.weak_cost >= CHEAPER
    if saves_nothing or worth.advantage.upper < 0:
        return Finding.DOES_NOT_PAY
    if worth.recovered is not None and worth.advantage.lower > 0:
        return Finding.RECOVERS
    if worth.pairs >= PAIRS_AT_FULL_RATE and worth.gap.lower > 0:
        return Finding.DOES_NOT_PAY
    return Finding.NO_BETTER


def _mean(values: Floats, weights: Floats, units: Rows) -> Bounded:
    mean = float(np.average(values, weights=weights))
    half = _half(values - mean, weights, units)
    return Bounded(mean, mean - half, mean + half)


def _ratio(over: Floats, under: Floats, weights: Floats, units: Rows) -> Bounded:
    """A ratio of means, by the delta method."""
    mean = float(np.average(under, weights=weights))
    ratio = float(np.average(over, weights=weights)) / mean
    half = _half((over - ratio * under) / mean, weights, units, surprise=1 / mean)
    return Bounded(ratio, ratio - half, ratio + half)


def _half(residuals: Floats, weights: Floats, units: Rows, surprise: float = 1.0) -> float:
    """Half the width, from the sums of each unit. One more pair counts with the largest residual
    there is, so that a few equal pairs do not look certain."""
    _, at = np.unique(units, return_inverse=True)
    sums = np.bincount(at, weights * residuals)
    count = len(sums)
    if count < 2:
        return float("inf")
    spread = float((sums**2).sum()) + (surprise * float(weights.mean())) ** 2
    error = sqrt(spread * count / (count - 1)) / float(weights.sum())
    return half_width(error, count, alpha=LEVEL, tuning_sample_size=PAIRS_AT_FULL_RATE)


def _part(costs: Floats, strong: Floats) -> float | None:
    known = ~(np.isnan(costs) | np.isnan(strong))
    total = float(strong[known].sum())
    return float(costs[known].sum()) / total if total > 0 else None
