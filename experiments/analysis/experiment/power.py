"""How many units and days an experiment needs, from a domain's own recent variance.

An experiment is large enough when `half1(N) + z_power * se(N) <= margin - expected loss`: then,
with probability `power`, the always-valid bound lies inside the margin at N units. The price of
looking at any time is about 2.1 to 2.6 times the units of a single planned look. Fix N* (the
tuning size) to the result before the start.
"""

from collections.abc import Callable, Sequence
from math import ceil, sqrt
from statistics import NormalDist
from typing import NamedTuple

from experiments.analysis.errors import LevelError, MarginError, PlanError
from experiments.analysis.experiment import sequential
from experiments.analysis.experiment.plan import MINIMUM_UNITS, Guardrail
from experiments.analysis.experiment.sequential import phase_alpha
from experiments.analysis.experiment.summaries import Summary, plain_mean, smoothed_variance

_MOST_UNITS = 10**12


class Goal(NamedTuple):
    """One metric to decide: recent data of its units, and the distance to the margin.

    `may_be_constant` where a verdict has a result though all units are alike.
    """

    name: str
    recent: Summary
    gap: float
    may_be_constant: bool = False


class Design(NamedTuple):
    """Weights of the arms, the control's first; the levels and the traffic there will be.

    `units_per_day` counts new units in the experiment, all arms together. `window_days` is how
    long a unit's outcomes are waited for before it counts.
    """

    weights: tuple[float, ...] = (0.5, 0.5)
    alpha: float = 0.05
    power: float = 0.8
    phase: int = 1
    units_per_day: float | None = None
    window_days: float = 0.0


class SampleSize(NamedTuple):
    """`units` counts all arms; `tuning_sample_size` control and treatment of one comparison.

    `limiting` is the metric that takes most units. `days` is None where the traffic is unknown.
    """

    units: int
    tuning_sample_size: float
    single_look_units: int
    times_a_single_look: float
    limiting: str
    days: int | None
    power: float


class NoSize(NamedTuple):
    """No plan: the metrics without enough recent data, or the problem of the goals."""

    metrics: tuple[str, ...]
    problem: str = ""


class Remaining(NamedTuple):
    units: int
    days: int | None


def guardrail_goal(guardrail: Guardrail, recent: Summary, *, expected_loss: float = 0.0) -> Goal:
    """Proving that a guardrail is inside its margin when the treatment truly loses that much."""
    gap = guardrail.margin - expected_loss
    if not gap > 0:
        raise MarginError(
            f"{guardrail.name} is expected to lose {expected_loss:g} and its margin is "
            f"{guardrail.margin:g}: no number of units proves that. Accept a wider margin or "
            "choose a threshold that loses less."
        )
    return Goal(guardrail.name, recent, gap, may_be_constant=guardrail.bounds is None)


def saving_goal(name: str, recent: Summary, *, expected_saving: float) -> Goal:
    """Proving a saving of that size, absolute and above 0, per unit or request as measured."""
    if not expected_saving > 0:
        raise MarginError(
            f"The expected saving of {name} is {expected_saving:g}. Set it above 0: without a "
            "saving there is nothing to prove."
        )
    return Goal(name, recent, expected_saving, may_be_constant=True)


def plan_size(
    goals: Sequence[Goal], design: Design, *, tuning_sample_size: float | None = None
) -> SampleSize | NoSize:
    """The units that decide every goal. Without a tuning size it is set to the result."""
    _check(goals, design)
    missing = tuple(goal.name for goal in goals if _unit_variance(goal) is None)
    if missing:
        return NoSize(missing)
    needed = {goal.name: units_needed(goal, design, tuning_sample_size) for goal in goals}
    limiting = max(needed, key=lambda name: needed[name])
    compared = max(needed[limiting], _smallest_compared(design))
    single = max(single_look_units(goal, design) for goal in goals)
    units, days = _total(compared, design), None
    if design.units_per_day is not None:
        days = ceil(units / design.units_per_day + design.window_days)
    times = units / _total(single, design)
    return SampleSize(
        units,
        tuning_sample_size or float(compared),
        _total(single, design),
        times,
        limiting,
        days,
        design.power,
    )


def units_needed(goal: Goal, design: Design, tuning_sample_size: float | None = None) -> int:
    """N of one comparison, control and treatment together, that decides this goal."""
    level = phase_alpha(design.alpha, design.phase) / (len(design.weights) - 1)
    z, spread = _z(design.power), _spread(goal, design)

    def decided(n: int) -> bool:
        error = spread / sqrt(n)
        half = sequential.one_sided_half_width(
            error, n, alpha=level, tuning_sample_size=tuning_sample_size or n
        )
        return half + z * error <= goal.gap

    return _first(decided)


def single_look_units(goal: Goal, design: Design) -> int:
    """The units of a single planned look at the same alpha, for comparison."""
    z = _z(1 - design.alpha / (len(design.weights) - 1)) + _z(design.power)
    return ceil((z * _spread(goal, design) / goal.gap) ** 2)


def remaining(
    goals: Sequence[Goal], design: Design, *, tuning_sample_size: float, units_so_far: int
) -> Remaining | NoSize:
    """The units still needed while it runs, with the variance so far and the fixed N*."""
    size = plan_size(goals, design, tuning_sample_size=tuning_sample_size)
    if isinstance(size, NoSize):
        return size
    units = max(size.units - units_so_far, 0)
    per_day = design.units_per_day
    if not units:
        return Remaining(0, 0)
    return Remaining(units, ceil(units / per_day) if per_day else None)


def _check(goals: Sequence[Goal], design: Design) -> None:
    if not goals:
        raise PlanError("The plan has no goal; give at least one guardrail's goal.")
    if len(design.weights) < 2 or min(design.weights) <= 0:
        raise PlanError(
            f"The weights {design.weights} do not make an experiment; give the control and at "
            "least one treatment a weight above 0."
        )
    if not 0.5 <= design.power < 1:
        raise LevelError(f"The power is {design.power}; choose from 0.5 to below 1, such as 0.8.")
    if design.units_per_day is not None and not design.units_per_day > 0:
        raise PlanError("No units arrive per day; raise the coverage or leave the traffic out.")


def _unit_variance(goal: Goal) -> float | None:
    mean = plain_mean(goal.recent)
    if mean is None or mean.n < MINIMUM_UNITS:
        return None
    if mean.variance or not goal.may_be_constant:
        return mean.variance or None
    # As a verdict takes it: of units that are all alike, one more could differ by the mean.
    return mean.mean**2 * smoothed_variance(mean.n, mean.n) or None


def _spread(goal: Goal, design: Design) -> float:
    """se * sqrt(N): both arms vary as the recent units do, the smallest treatment decides."""
    control, treatment = design.weights[0], min(design.weights[1:])
    both = control + treatment
    variance = _unit_variance(goal) or 0.0
    return sqrt(variance * (both / control + both / treatment))


def _smallest_compared(design: Design) -> int:
    """100 units in the smaller arm, below which no verdict is given."""
    control, treatment = design.weights[0], min(design.weights[1:])
    return ceil(MINIMUM_UNITS * (control + treatment) / min(control, treatment))


def _total(compared: int, design: Design) -> int:
    share = (design.weights[0] + min(design.weights[1:])) / sum(design.weights)
    return ceil(round(compared / share, 6))


def _z(probability: float) -> float:
    return NormalDist().inv_cdf(probability)


def _first(decided: Callable[[int], bool]) -> int:
    """The smallest n that is decided; more units never undo it."""
    upper = 2
    while not decided(upper):
        upper *= 2
        if upper > _MOST_UNITS:
            raise MarginError(
                "No realistic number of units decides this; accept a wider margin or a larger "
                "target effect."
            )
    lower = upper // 2
    while upper - lower > 1:
        middle = (lower + upper) // 2
        lower, upper = (lower, middle) if decided(middle) else (middle, upper)
    return upper
