"""Aggregates units for the analysis: exact sums, divided once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.experiment.summaries import (
    CovariateRatioSummary,
    MeanSummary,
    RatioSummary,
    Summary,
    plain_mean,
)
from experiments.experimentation.columns import Column
from experiments.experimentation.metrics import MetricSpec
from experiments.experimentation.units import UnitSums, Weights
from experiments.models.sums import FIXED_POINT

LARGEST = 2**63 - 1
# A request of a unit that is cut at the cap counts in parts of this.
PARTS = 10_000


def summarise(units: UnitSums, spec: MetricSpec, *, history: bool = False) -> Summary:
    """The units as one aggregate; `history` adds their values from before the experiment."""
    return running(units, spec, [units.n], history=history)[0]


def running(
    units: UnitSums, spec: MetricSpec, ends: Sequence[int], *, history: bool = False
) -> list[Summary]:
    """The aggregate of the first n units, for each n of `ends`, in one pass over the columns."""
    if spec.per_unit:
        return list(_per_unit(units, spec, ends))
    if history:
        return list(_with_history(units, spec, ends))
    return list(_ratios(units, spec, ends))


def ratio(units: UnitSums, spec: MetricSpec) -> RatioSummary:
    return _ratios(units, spec, [units.n])[0]


def mean(units: UnitSums, spec: MetricSpec) -> float | None:
    """None if nothing was counted."""
    summary = plain_mean(summarise(units, spec))
    return summary.mean if summary is not None and summary.n else None


def observed(units: UnitSums, spec: MetricSpec) -> int:
    """Units that have a value at all."""
    return int((units.column(spec.denominator) > 0).sum())


def _ratios(units: UnitSums, spec: MetricSpec, ends: Sequence[int]) -> list[RatioSummary]:
    (y, x), (numerator_scale, denominator_scale) = _weighed(units, spec)
    sums = [totals(y, ends), dots(y, y, ends), totals(x, ends), dots(x, x, ends), dots(x, y, ends)]
    return [
        RatioSummary.from_sums(
            n, *at_n, numerator_scale=numerator_scale, denominator_scale=denominator_scale
        )
        for n, *at_n in zip(ends, *sums, strict=True)
    ]


def _with_history(
    units: UnitSums, spec: MetricSpec, ends: Sequence[int]
) -> list[CovariateRatioSummary]:
    now, scales = _weighed(units, spec)
    columns = [*now, *_weighed(units, spec, earlier=True)[0]]
    sums = [totals(column, ends) for column in columns]
    products = {(i, j): dots(columns[i], columns[j], ends) for i in range(4) for j in range(i, 4)}
    return [
        CovariateRatioSummary.from_sums(
            n,
            [column[at] for column in sums],
            [[products[min(i, j), max(i, j)][at] for j in range(4)] for i in range(4)],
            scales=(*scales, *scales),
        )
        for at, n in enumerate(ends)
    ]


def _weighed(
    units: UnitSums, spec: MetricSpec, *, earlier: bool = False
) -> tuple[tuple[Column, Column], tuple[int, int]]:
    """Numerator and denominator with their scales, of requests up to the cap if there is one."""
    column = units.earlier if earlier else units.column
    y, x = column(spec.numerator), column(spec.denominator)
    if units.weights is None:
        return (y, x), (spec.scale, 1)
    weights = units.weights[1 if earlier else 0]
    finer = 1 if spec.scale > 1 else PARTS  # money and ratings are in small parts already
    return (_times(y, finer * weights), _times(x, PARTS * weights)), (spec.scale * finer, PARTS)


def _times(column: Column, weights: Weights) -> Column:
    return np.rint(column * weights).astype(np.int64)


def _per_unit(units: UnitSums, spec: MetricSpec, ends: Sequence[int]) -> list[MeanSummary]:
    """Units that were rated, each with the mean of its ratings."""
    total, rated = units.column(spec.numerator), units.column(spec.denominator)
    is_rated = rated > 0
    values = np.where(is_rated, np.rint(total / np.maximum(rated, 1)), 0).astype(np.int64)
    counts = totals(is_rated.astype(np.int64), ends)
    if spec.boolean:
        yes = totals((is_rated & (2 * values >= FIXED_POINT)).astype(np.int64), ends)
        return [MeanSummary.from_successes(n, k) for n, k in zip(counts, yes, strict=True)]
    sums = zip(counts, totals(values, ends), dots(values, values, ends), strict=True)
    return [MeanSummary.from_sums(n, y, yy, scale=spec.scale) for n, y, yy in sums]


def totals(column: Column, ends: Sequence[int]) -> list[int]:
    """Sums of the first n numbers, for each n of `ends`."""
    return dots(column, np.ones(len(column), np.int64), ends)


def dots(one: Column, other: Column, ends: Sequence[int]) -> list[int]:
    """Exact sums of the first n products: in 64 bits if they fit, else in Python's integers.
    Squares of nano-dollars often exceed 64 bits."""
    largest = _largest(one) * _largest(other) * len(one)
    products = one * other if largest <= LARGEST else one.astype(object) * other
    sums: NDArray[np.object_] = np.concatenate([[0], np.cumsum(products)])
    return [int(sums[n]) for n in ends]


def _largest(column: Column) -> int:
    return max(int(column.max()), -int(column.min())) if len(column) else 0
