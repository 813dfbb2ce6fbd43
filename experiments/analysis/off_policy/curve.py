"""The doubly robust estimate at every threshold of one router, in one pass over sorted scores.

From one threshold to the next, only requests with a score between them change sides, so the sums by
unit change only by these.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.analysis.off_policy.estimates import (
    GOOD,
    LEAST_ODDS,
    LEAST_PART,
    MIN_EXPLORATIONS,
    NOTHING,
    PARTS,
    RARE,
    STRONG,
    WEAK,
    Bounds,
    Evidence,
    MetricEvidence,
    Rows,
    interval,
    parts_of,
    unseen_variance,
    within,
)
from experiments.analysis.off_policy.nuisance import Floats, Ints

LEAST_OVERLAP = 0.95
"""Below this share a point would cover other requests than its neighbors, so it has no value."""


class CurvePoint(NamedTuple):
    """The effect of one threshold. Quality and cost have no value without overlap."""

    threshold: float
    strong_share: float
    overlap: float
    quality: Bounds
    cost: Bounds
    explorations: int


class _Sums:
    """Sums by unit of one metric while requests move from the strong side to the weak one."""

    def __init__(self, known: Evidence, metric: MetricEvidence, rows: Rows) -> None:
        log = known.log
        self._units = log.units
        self._n_units = int(log.units.max()) + 1 if len(log) else 0
        self._can = [rows & metric.rows & (log.odds[:, side] >= LEAST_ODDS) for side in (0, 1)]
        self._worth = [metric.robust(side) for side in (WEAK, STRONG)]
        self._seen = [metric.weight[:, side] > 0 for side in (WEAK, STRONG)]
        self._rare = [log.odds[:, side] <= RARE for side in (WEAK, STRONG)]
        self._part = [parts_of(log.odds[:, side]) for side in (WEAK, STRONG)]
        self._limits = metric.limits
        self.parts, self.seen_parts = np.zeros(PARTS), np.zeros(PARTS)
        self.totals, self.counts = np.zeros(self._n_units), np.zeros(self._n_units)
        self._square = np.square(metric.weight)
        self._good = metric.value > GOOD
        self._is_yes_or_no = metric.is_yes_or_no
        self.n = self.matching = self.explorations = self.rare = self.good = 0
        self.squares = 0.0

    def add(self, rows: "np.ndarray[tuple[int], np.dtype[np.intp]]", side: int, sign: int) -> None:
        rows = rows[self._can[side][rows]]
        units = self._units[rows]
        np.add.at(self.totals, units, sign * self._worth[side][rows])
        np.add.at(self.counts, units, float(sign))
        seen, rare = self._seen[side][rows], self._rare[side][rows]
        self.n += sign * len(rows)
        self.matching += sign * int(seen.sum())
        part = self._part[side][rows]
        self.parts += sign * np.bincount(part, minlength=PARTS + 1)[:PARTS]
        self.seen_parts += sign * np.bincount(part, seen, PARTS + 1)[:PARTS]
        explored = seen & rare
        self.explorations += sign * int(explored.sum())
        self.good += sign * int((explored & self._good[rows]).sum())
        self.squares += sign * float(self._square[rows[explored], side].sum())
        self.rare += sign * int(rare.sum())

    def bounds(self, alpha: float) -> Bounds:
        if self.n == 0:
            return NOTHING
        value = float(self.totals.sum()) / self.n
        if not self._has_enough():
            return within(Bounds(value), self._limits)
        influence = self.totals - value * self.counts
        units = int((self.counts > 0.5).sum())
        found = interval(value, influence, units, self.n, alpha, self._unseen())
        return within(found, self._limits)

    def _unseen(self) -> float:
        if not self._is_yes_or_no:
            return 0.0
        return unseen_variance(self.good, self.explorations) * max(self.squares, 0.0)

    def _has_enough(self) -> bool:
        """Like `Estimates.has_enough`."""
        counted = self.parts >= LEAST_PART * self.n
        total = self.explorations if self.rare else self.matching
        return total >= MIN_EXPLORATIONS and bool(
            (self.seen_parts[counted] >= MIN_EXPLORATIONS).all()
        )


def curve(
    known: Evidence, thresholds: Sequence[float], *, rows: Rows | None = None, alpha: float = 0.05
) -> tuple[CurvePoint, ...]:
    """A point for each threshold, ascending, over the requests that have a score."""
    log = known.log
    scored = np.isfinite(log.score) & (np.ones(len(log), bool) if rows is None else rows)
    order = np.flatnonzero(scored)
    order = order[np.argsort(log.score[order], kind="stable")]
    if not len(order):
        return ()
    grid = np.sort(np.asarray(thresholds, np.float64))
    ends = np.searchsorted(log.score[order], grid, side="left")
    sums = [_Sums(known, metric, scored) for metric in (known.quality, known.cost)]
    for one in sums:
        one.add(order, STRONG, 1)
    overlap = _overlaps(log.odds[order], ends)
    points, start = [], 0
    for threshold, end, share in zip(grid, ends, overlap, strict=True):
        for one in sums:
            one.add(order[start:end], STRONG, -1)
            one.add(order[start:end], WEAK, 1)
        start = end
        strong_share = 1 - int(end) / len(order)
        points.append(_point(float(threshold), strong_share, sums, float(share), alpha))
    return tuple(points)


def _overlaps(odds: Floats, ends: Ints) -> Floats:
    """The share of requests with overlap, if those before each of `ends`, in order of score, go to
    the weak side."""
    weak, strong = (np.r_[0, np.cumsum(odds[:, side] >= LEAST_ODDS)] for side in (WEAK, STRONG))
    return np.asarray((weak[ends] + strong[-1] - strong[ends]) / len(odds), np.float64)


def thresholds_of(scores: Floats, steps: int = 50) -> list[float]:
    """Thresholds at even strong shares: quantiles of the scores, from all-strong to all-weak."""
    known = np.sort(scores[np.isfinite(scores)])
    if not len(known):
        return []
    places = np.linspace(0, len(known) - 1, steps + 1).round().astype(np.int64)
    return sorted({0.0, *known[places].tolist(), float(np.nextafter(known[-1], 2.0))})


def _point(
    threshold: float, strong_share: float, sums: Sequence[_Sums], overlap: float, alpha: float
) -> CurvePoint:
    quality, cost = sums
    if overlap < LEAST_OVERLAP:
        return CurvePoint(threshold, strong_share, overlap, NOTHING, NOTHING, quality.explorations)
    return CurvePoint(
        threshold,
        strong_share,
        overlap,
        quality.bounds(alpha) if quality.matching else NOTHING,
        cost.bounds(alpha) if cost.matching else NOTHING,
        quality.explorations,
    )
