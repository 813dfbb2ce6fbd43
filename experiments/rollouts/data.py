"""The data of a guarded rollout: one row per unit, day and phase, for its analysis.

A row is a unit on one day of one phase. A unit seen on both sides of one phase is left out of that
phase and counted; that a unit is a control in one phase and treated in a later one is the plan.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.rollout.stratified import Floats, Ints, Observations
from experiments.experimentation.columns import codes
from experiments.experimentation.metrics import MetricSpec
from experiments.models import MetricSum, UnitSum

CONTROL, TREATED = "control", "treated"
CHUNK = 10_000


class PhaseCounts(NamedTuple):
    """Units of one phase on each side, and those left out because they were on both."""

    phase: int
    controls: int
    treated: int
    excluded: int


class RolloutData(NamedTuple):
    """Rows and their counters; `phase_of_cell` numbers each cell's phase from 0."""

    unit: Ints
    cell: Ints
    treated: NDArray[np.bool_]
    counters: dict[str, Ints]
    phase_of_cell: Ints
    phases: tuple[PhaseCounts, ...]

    @property
    def units(self) -> tuple[int, int]:
        """Different units on each side, in any phase: controls, treated."""
        controls, treated = self.unit[~self.treated], self.unit[self.treated]
        return np.unique(controls).size, np.unique(treated).size

    @property
    def excluded(self) -> int:
        return sum(phase.excluded for phase in self.phases)

    def observed(self, spec: MetricSpec, cap: float | None) -> Observations:
        """A metric's values in its own unit, each call counting for at most `cap`."""
        count = self._column(spec.denominator)
        total = self._column(spec.numerator) / spec.scale
        if spec.numerator == "saving":
            total = (self._column("baseline") - self._column("cost")) / spec.scale
        if cap is not None:
            total = np.clip(total, -cap * count, cap * count)
        if spec.per_unit:
            count, total = _one_a_unit(count, total, boolean=spec.boolean)
        return Observations(self.unit, self.cell, self.treated, total, count)

    def rated(self, spec: MetricSpec) -> Observations:
        """How many decisions have a value."""
        rated, decisions = self._column(spec.denominator), self._column("decisions")
        return Observations(self.unit, self.cell, self.treated, rated, decisions)

    def in_phase(self, phase: int) -> NDArray[np.bool_]:
        numbers = [one.phase for one in self.phases]
        if phase not in numbers:
            return np.zeros(len(self.unit), np.bool_)
        found: NDArray[np.bool_] = self.phase_of_cell[self.cell] == numbers.index(phase)
        return found

    def _column(self, name: str) -> Floats:
        column = self.counters.get(name)
        return np.zeros(len(self.unit)) if column is None else column.astype(np.float64)


def read_rollout(key: str, specs: Iterable[MetricSpec], as_of: date) -> RolloutData:
    """Two queries where a metric is a row, else one."""
    specs = tuple(specs)
    where = {"experiment": key, "day__lte": as_of}
    counters = _counters(specs)
    names = ("unit_hash", "phase", "day", "arm", *counters)
    rows = list(UnitSum.objects.filter(**where).order_by().values_list(*names).iterator(CHUNK))
    if not rows:
        none = np.zeros(0, np.int64)
        return RolloutData(none, none, np.zeros(0, np.bool_), {}, none, ())
    columns = list(zip(*rows, strict=True))
    unit_of, units = codes(columns[0])
    cell_of, cells = codes(zip(columns[1], columns[2], strict=True))
    treated = np.array([arm == TREATED for arm in columns[3]], np.bool_)
    number, first, place = _merged(unit_of, cell_of, treated, len(cells))
    sums = {
        name: _added(np.array(column, np.int64), place, len(first))
        for name, column in zip(counters, columns[4:], strict=True)
    }
    ratings = {spec.name for spec in specs if spec.numerator.startswith("metric:")}
    if ratings:
        sums |= _ratings(where, ratings, units, cells, number)
    phases = sorted({phase for phase, _ in cells})
    phase_of_cell = np.array([phases.index(phase) for phase, _ in cells], np.int64)
    return _without_both(
        unit_of[first], cell_of[first], treated[first], sums, phase_of_cell, phases
    )


def _counters(specs: Sequence[MetricSpec]) -> list[str]:
    wanted = {"decisions"}
    for spec in specs:
        wanted |= {spec.numerator, spec.denominator}
    if "saving" in wanted:
        wanted |= {"baseline", "cost"}
    return sorted(name for name in wanted - {"saving"} if not name.startswith("metric:"))


def _merged(
    unit: Ints, cell: Ints, treated: NDArray[np.bool_], cells: int
) -> tuple[Ints, Ints, Ints]:
    """Rows of one unit, cell and side together, whatever their domain: keys, firsts, places."""
    return np.unique(_key(unit, cell, treated, cells), return_index=True, return_inverse=True)


def _key(unit: Ints, cell: Ints, treated: NDArray[np.bool_], cells: int) -> Ints:
    key: Ints = (unit * cells + cell) * 2 + treated
    return key


def _added(values: Ints, place: Ints, rows: int) -> Ints:
    sums = np.zeros(rows, np.int64)
    np.add.at(sums, place, values)
    return sums


def _ratings(
    where: dict[str, object],
    metrics: set[str],
    units: dict[str, int],
    cells: dict[tuple[int, date], int],
    number: Ints,
) -> dict[str, Ints]:
    """Custom metrics, in the rows of the units' other sums."""
    names = ("unit_hash", "phase", "day", "arm", "metric", "total", "rated")
    rows = MetricSum.objects.filter(**where, metric__in=metrics).order_by().values_list(*names)
    found: dict[str, Ints] = {}
    for unit, phase, day, arm, metric, total, rated in rows.iterator(CHUNK):
        if unit not in units or (phase, day) not in cells:
            continue
        key = (units[unit] * len(cells) + cells[phase, day]) * 2 + (arm == TREATED)
        at = int(np.searchsorted(number, key))
        if at == len(number) or number[at] != key:
            continue
        for name, value in (("total", total), ("rated", rated)):
            column = found.setdefault(f"metric:{metric}:{name}", np.zeros(len(number), np.int64))
            column[at] += value
    return found


def _without_both(
    unit: Ints,
    cell: Ints,
    treated: NDArray[np.bool_],
    counters: dict[str, Ints],
    phase_of_cell: Ints,
    phases: Sequence[int],
) -> RolloutData:
    """Leaves units out of a phase in which they were on both sides."""
    key = unit * len(phases) + phase_of_cell[cell]
    keys, place = np.unique(key, return_inverse=True)
    on = np.bincount(place, treated)
    off = np.bincount(place, ~treated)
    both = (on > 0) & (off > 0)
    phase = keys % len(phases)
    counts = tuple(
        PhaseCounts(
            number,
            int(((off > 0) & ~both & (phase == index)).sum()),
            int(((on > 0) & ~both & (phase == index)).sum()),
            int((both & (phase == index)).sum()),
        )
        for index, number in enumerate(phases)
    )
    kept = ~both[place]
    kept_counters = {name: column[kept] for name, column in counters.items()}
    return RolloutData(unit[kept], cell[kept], treated[kept], kept_counters, phase_of_cell, counts)


def _one_a_unit(count: Floats, total: Floats, *, boolean: bool) -> tuple[Floats, Floats]:
    """Units that were rated, each with the mean of its ratings."""
    is_rated = count > 0
    mean = np.where(is_rated, total / np.maximum(count, 1), 0.0)
    values = ((mean >= 0.5) & is_rated).astype(np.float64) if boolean else mean
    return is_rated.astype(np.float64), values
