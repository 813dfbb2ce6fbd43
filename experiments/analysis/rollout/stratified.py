"""Treated against controls, compared within steps and days and then combined.

A guarded rollout changes its shares from step to step, and traffic changes from day to day. So
units are only compared inside a cell (one step on one day), where both sides saw the same traffic.
Cell differences are combined with weights n_c n_t / (n_c + n_t). A unit's contributions over all
cells are added before the variance: one that comes back every day, or that was a control before it
was treated, counts as one unit.

Bounds are always valid. The clock of the boundary is 4 times the sum of the weights: the number of
units of a 50:50 comparison with the same information. As steps only add units to the treated,
contributions of the same unit at different times never have a negative covariance, so looking
often crosses a boundary at most as often as with independent increments (Slepian's inequality).
"""

from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.experiment import sequential
from experiments.analysis.experiment.effects import EffectInterval
from experiments.analysis.experiment.summaries import MeanSummary

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Observations:
    """One row per unit and cell: `total` of `count` values, such as failures of calls.

    Units and cells are numbered from 0. Rows with a count of 0 have no value and are left out.
    """

    unit: Ints
    cell: Ints
    treated: NDArray[np.bool_]
    total: Floats
    count: Floats

    def with_values(self) -> "Observations":
        return self.take(self.count > 0)

    def take(self, which: NDArray[np.bool_]) -> "Observations":
        if which.all():
            return self
        return Observations(
            self.unit[which],
            self.cell[which],
            self.treated[which],
            self.total[which],
            self.count[which],
        )


class StratifiedComparison(NamedTuple):
    """Treated minus control. `control` and `treated` are means standardized to the same cells.

    `information` is the sum of the weights; `rows` are values of units in a cell.
    """

    estimate: float
    standard_error: float
    information: float
    control: MeanSummary
    treated: MeanSummary
    treated_rows: int

    @property
    def size(self) -> int:
        """Units of a 50:50 comparison with the same information: the clock of the bounds."""
        return max(1, round(4 * self.information))

    @property
    def units(self) -> int:
        """Units with a value, on the side that has fewer."""
        return min(self.control.n, self.treated.n)

    def half_width(self, alpha: float, tuning_sample_size: float) -> float:
        """Distance to a one-sided bound that is wrong, ever, with probability alpha at most."""
        return sequential.one_sided_half_width(
            self.standard_error, self.size, alpha=alpha, tuning_sample_size=tuning_sample_size
        )


def compare(seen: Observations, value_range: EffectInterval) -> StratifiedComparison | None:
    """None where no cell has both sides, or too few rows for a variance.

    Each side's variance is that with one more unit at each end of the range: a side in which
    nothing failed yet is not taken for one that cannot fail.
    """
    rows = _comparable(seen.with_values())
    if not rows.unit.size:
        return None
    cells = _cells(rows)
    estimate = float((cells.weights * (cells.mean[1] - cells.mean[0])).sum() / cells.weights.sum())
    freedom = rows.unit.size - cells.weights.size - 1
    if freedom < 1:
        return None
    correction = rows.unit.size / freedom
    influence = _influence(rows, cells, estimate)
    means = (cells.weights * cells.mean).sum(axis=1) / cells.weights.sum()
    sides = []
    for side in (0, 1):
        own = rows.treated == bool(side)
        by_unit = np.bincount(rows.unit[own], influence[own])
        n = int(np.count_nonzero(np.bincount(rows.unit[own])))
        unseen = _unseen(float(means[side]), n, value_range)
        variance = correction * float((by_unit**2).sum()) + unseen
        sides.append((MeanSummary(n, float(means[side]), n * variance), unseen))
    (control, unseen_c), (treated, unseen_t) = sides
    by_unit = np.bincount(rows.unit, influence)
    variance = correction * float((by_unit**2).sum()) + unseen_c + unseen_t
    return StratifiedComparison(
        estimate,
        sqrt(variance),
        float(cells.weights.sum()),
        control,
        treated,
        int(rows.treated.sum()),
    )


class _Cells(NamedTuple):
    """Per cell: units, values and mean of both sides (rows 0 and 1), and the cell's weight."""

    n: Floats
    counts: Floats
    mean: Floats
    weights: Floats


def _comparable(rows: Observations) -> Observations:
    """Rows of cells that have both sides, with cells numbered without gaps."""
    cells = int(rows.cell.max()) + 1 if rows.cell.size else 0
    n = _by_side(rows, cells, None)
    both: NDArray[np.bool_] = np.min(n, axis=0, initial=np.inf) > 0
    kept = rows.take(both[rows.cell]) if cells else rows
    number = np.cumsum(both) - 1
    return Observations(kept.unit, number[kept.cell], kept.treated, kept.total, kept.count)


def _cells(rows: Observations) -> _Cells:
    cells = int(rows.cell.max()) + 1
    n = _by_side(rows, cells, None)
    counts = _by_side(rows, cells, rows.count)
    mean = _by_side(rows, cells, rows.total) / counts
    return _Cells(n, counts, mean, n[0] * n[1] / n.sum(axis=0))


def _by_side(rows: Observations, cells: int, values: Floats | None) -> Floats:
    side = rows.cell + cells * rows.treated
    sums: Floats = np.bincount(side, values, minlength=2 * cells).reshape(2, cells).astype(float)
    return sums


def _influence(rows: Observations, cells: _Cells, estimate: float) -> Floats:
    """What each row adds to the estimate's error, with one effect in all cells."""
    n, mean = cells.n, cells.mean
    base = (n[0] * mean[0] + n[1] * (mean[1] - estimate)) / n.sum(axis=0)
    expected = base[rows.cell] + estimate * rows.treated
    side = rows.treated.astype(np.int64)
    share = (cells.weights / cells.weights.sum())[rows.cell] / cells.counts[side, rows.cell]
    influence: Floats = np.where(rows.treated, 1.0, -1.0) * share
    influence *= rows.total - expected * rows.count
    return influence


def _unseen(mean: float, n: int, value_range: EffectInterval) -> float:
    """What one unit at each end of the range would add to the variance of the side's mean."""
    low, high = value_range
    return ((high - mean) ** 2 + (mean - low) ** 2) / n**2
