"""Guarded rollouts: what each guard allows, what harm is shown, what is missing for a step.

A step to a share s of all traffic is taken when, for every guard, s times the lower always-valid
bound of the gain is above minus that guard's margin. All traffic together then never loses more
than the margin, and early steps move with little evidence. Without data the bound is the metric's
whole range. Gains are above 0 where the treated are better, whichever way the metric is to go.
"""

from dataclasses import dataclass
from math import ceil, sqrt
from typing import NamedTuple

from experiments.analysis.errors import MarginError
from experiments.analysis.experiment import sequential
from experiments.analysis.experiment.effects import EffectInterval
from experiments.analysis.experiment.health import MINIMUM_SHOWN
from experiments.analysis.experiment.lee_bounds import lee_bounds
from experiments.analysis.experiment.plan import Direction
from experiments.analysis.experiment.sequential import DEFAULT_TUNING_SAMPLE_SIZE
from experiments.analysis.rollout.failing import StepCounts, counts_by_step, shows_harm
from experiments.analysis.rollout.stratified import (
    Ints,
    Observations,
    StratifiedComparison,
    compare,
)

# Before the first values: the variance of a yes-or-no metric at 80 %, as a part of the range.
_EXPECTED_VARIANCE = 0.16
_LARGEST = 1e9


@dataclass(frozen=True, slots=True)
class Guard:
    """A metric that must not get worse by more than `margin`, absolute and above 0.

    `is_share` metrics are yes or no for each call and need no feedback: harm is tested exactly,
    from the first calls on. `unit` is for sentences.
    """

    name: str
    label: str
    margin: float
    better: Direction
    value_range: EffectInterval
    is_share: bool = False
    unit: str | None = None

    def __post_init__(self) -> None:
        if not self.margin > 0:
            raise MarginError(f"The margin of {self.name} is {self.margin}; it must be above 0.")

    @property
    def width(self) -> float:
        return self.value_range.upper - self.value_range.lower


class GuardData(NamedTuple):
    """What a guard has seen.

    `step_of_cell` numbers each cell's step. `rated` counts values of decisions, for metrics that
    come from feedback. `treated_part` is the part of compared units that is treated in the step it
    is at, `per_day` how many treated units bring a value on a day of it.
    """

    seen: Observations
    step_of_cell: Ints
    rated: Observations | None = None
    treated_part: float = 0.5
    per_day: float = 0.0


class GuardResult(NamedTuple):
    """`units` have a value, on the side with fewer. The bounds of the gain are always valid."""

    guard: Guard
    estimate: float | None
    least_gain: float
    most_gain: float
    units: int
    is_harmful: bool
    ratings_differ: bool = False
    comparison: StratifiedComparison | None = None

    def allows(self, share: float) -> bool:
        """Whether `share` of all traffic may be treated."""
        return share * self.least_gain > -self.guard.margin

    @property
    def largest_share(self) -> float:
        """No share at or above this one is allowed, unless it is 1."""
        return min(1.0, self.guard.margin / -self.least_gain) if self.least_gain < 0 else 1.0


class MissingUnits(NamedTuple):
    """Why a guard does not allow a share.

    `units` more treated units with a value are needed, in about `days` (None: none arrive);
    None where more of the same would not be enough.
    """

    result: GuardResult
    units: int | None
    days: float | None


def worst_loss(guard: Guard, share: float) -> float:
    """What all traffic together can lose at `share` before anything is known."""
    return share * guard.width


def guard_result(
    guard: Guard,
    data: GuardData,
    *,
    alpha: float,
    guards: int = 1,
    tuning_sample_size: float = DEFAULT_TUNING_SAMPLE_SIZE,
) -> GuardResult:
    """One of `guards` guards. The lower bound spends alpha (every guard must hold before a step),
    the test for harm alpha / guards (any one rolls back)."""
    found = compare(data.seen, guard.value_range)
    sign, width = guard.better.sign, guard.width
    harmful_share = guard.is_share and shows_harm(
        _failures(guard, data), guard.margin, alpha / guards
    )
    if found is None:
        units = _units_with_values(data.seen)
        return GuardResult(guard, None, -width, width, units, harmful_share)
    gain = sign * found.estimate
    least = max(-width, gain - found.half_width(alpha, tuning_sample_size))
    most = min(width, gain + found.half_width(alpha / guards, tuning_sample_size))
    differ, allowed = _ratings(guard, found, data.rated, alpha, tuning_sample_size)
    shown = not guard.is_share and found.units >= MINIMUM_SHOWN and most < -guard.margin
    return GuardResult(
        guard,
        gain,
        least if allowed is None else max(-width, min(least, allowed)),
        most,
        found.units,
        harmful_share or shown,
        differ,
        found,
    )


def missing(
    result: GuardResult,
    data: GuardData,
    share: float,
    *,
    alpha: float,
    tuning_sample_size: float = DEFAULT_TUNING_SAMPLE_SIZE,
) -> MissingUnits | None:
    """None where the guard allows the share."""
    if result.allows(share):
        return None
    guard, found = result.guard, result.comparison
    room = min(result.estimate or 0.0, 0.0) + guard.margin / share
    if room <= 0 or result.ratings_differ:
        return MissingUnits(result, None, None)
    variance = found.standard_error**2 * found.information if found else 0.0
    deviation = sqrt(variance) if variance > 0 else guard.width * sqrt(_EXPECTED_VARIANCE)
    needed = _information(room, deviation, alpha, tuning_sample_size)
    more = needed - (found.information if found else 0.0)
    units = max(1, ceil(more / max(1.0 - data.treated_part, 1e-9)))
    return MissingUnits(result, units, units / data.per_day if data.per_day > 0 else None)


def _information(room: float, deviation: float, alpha: float, tuning: float) -> float:
    """Sum of weights at which the bound is `room` away from the estimate."""
    low, high = 0.0, 1.0
    while high < _LARGEST and _half_width(high, deviation, alpha, tuning) > room:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        wide = _half_width(middle, deviation, alpha, tuning) > room
        low, high = (middle, high) if wide else (low, middle)
    return high


def _half_width(information: float, deviation: float, alpha: float, tuning: float) -> float:
    return sequential.one_sided_half_width(
        deviation / sqrt(information),
        max(1, round(4 * information)),
        alpha=alpha,
        tuning_sample_size=tuning,
    )


def _failures(guard: Guard, data: GuardData) -> tuple[StepCounts, ...]:
    """Values as failures between 0 and 1, where a failure is what must not become more."""
    seen, (low, _) = data.seen, guard.value_range
    total = (seen.total - low * seen.count) / guard.width
    if guard.better is Direction.HIGHER:
        total = seen.count - total
    rows = Observations(seen.unit, seen.cell, seen.treated, total, seen.count)
    return counts_by_step(rows, data.step_of_cell)


def _ratings(
    guard: Guard,
    found: StratifiedComparison,
    rated: Observations | None,
    alpha: float,
    tuning: float,
) -> tuple[bool, float | None]:
    """Whether the sides are rated unequally, and the least gain that leaves room for it."""
    shares = compare(rated, EffectInterval(0.0, 1.0)) if rated is not None else None
    if shares is None:
        return False, None
    z, n = shares.estimate / shares.standard_error, shares.size
    level = {"alpha": alpha, "tuning_sample_size": tuning}
    if sequential.p_value(z, n, **level) >= alpha:
        return False, None
    worst = lee_bounds(
        found.control, found.treated, shares.control, shares.treated, guard.value_range
    )
    if worst is None:
        return True, -guard.width
    higher = guard.better is Direction.HIGHER
    end, error = (worst.lower, worst.lower_error) if higher else (-worst.upper, worst.upper_error)
    return True, end - sequential.one_sided_half_width(error, found.size, **level)


def _units_with_values(seen: Observations) -> int:
    rows = seen.with_values()
    return min(
        len(set(rows.unit[rows.treated].tolist())), len(set(rows.unit[~rows.treated].tolist()))
    )
