"""The plan of an experiment and the data of its arms: the input of a verdict.

Everything is frozen and can be built from database sums (`MeanSummary.from_sums` and similar). A
verdict covers one phase: the current one.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from experiments.analysis.errors import MarginError, PlanError
from experiments.analysis.experiment.effects import EffectInterval
from experiments.analysis.experiment.lee_bounds import RatedShares
from experiments.analysis.experiment.sequential import DEFAULT_TUNING_SAMPLE_SIZE, phase_alpha
from experiments.analysis.experiment.summaries import Summary

# The fewest units of an arm for a verdict, even if the plan has a lower minimum.
MINIMUM_UNITS = 100
MINIMUM_EVENTS = 10
# The standard deviation of the logarithm of policies' effects on cost.
DEFAULT_PRIOR_SD = 0.2

SHARE = EffectInterval(0.0, 1.0)


class Direction(StrEnum):
    """Which direction of a metric is better."""

    HIGHER = "higher"
    LOWER = "lower"

    @property
    def sign(self) -> int:
        return 1 if self is Direction.HIGHER else -1


@dataclass(frozen=True, slots=True)
class Primary:
    """The metric to improve, normally cost. Effects within `target_effect` of 0 are irrelevant.

    `target_effect` is absolute, in the metric's unit, and above 0.
    """

    target_effect: float
    name: str = "cost"
    better: Direction = Direction.LOWER

    def __post_init__(self) -> None:
        if not self.target_effect > 0:
            raise MarginError(
                f"The target effect of {self.name} is {self.target_effect}. Set it above 0: the "
                "smallest relevant difference, in the metric's own unit."
            )


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A metric that must not get worse by more than `margin` (absolute, above 0).

    `boolean` metrics need ten events and ten non-events in each arm. `value_range` is the range of
    a graded metric: with it, unequal shares of ratings can be bounded; without it, they block
    shipping. `unit` is for text: None for a share, shown in points (hundredths).
    """

    name: str
    margin: float
    better: Direction = Direction.HIGHER
    boolean: bool = False
    value_range: EffectInterval | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        if not self.margin > 0:
            raise MarginError(
                f"The margin of {self.name} is {self.margin}. Set it above 0: the worst loss you "
                "would accept, for example 0.02 for two points of quality."
            )

    @property
    def bounds(self) -> EffectInterval | None:
        return SHARE if self.boolean else self.value_range


class Levels(NamedTuple):
    """One-sided levels of each bound in a verdict."""

    ship: float
    roll_back: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Fixed before the start. `minimum_units` counts per arm (never fewer than 100),
    `planned_units` all arms together, `tuning_sample_size` both arms of one comparison.
    `minimum_days` counts days on which each arm has counted units. `prior_sd` is what the estimate
    shown at `ship` is shrunk with."""

    primary: Primary
    guardrails: tuple[Guardrail, ...]
    alpha: float = 0.05
    phase: int = 1
    tuning_sample_size: float = DEFAULT_TUNING_SAMPLE_SIZE
    minimum_units: int = MINIMUM_UNITS
    minimum_days: float = 7.0
    planned_units: int | None = None
    prior_sd: float = DEFAULT_PRIOR_SD

    def __post_init__(self) -> None:
        if not self.guardrails:
            raise PlanError(
                "The plan has no guardrail, so a cheaper policy of any quality would ship. Add one"
                ", normally quality with the loss you would accept."
            )
        names = [self.primary.name, *(guardrail.name for guardrail in self.guardrails)]
        if len(set(names)) < len(names):
            raise PlanError(f"The metrics {names} repeat a name; list each once.")
        if not self.prior_sd > 0:
            raise PlanError(f"The prior's standard deviation is {self.prior_sd}; set it above 0.")
        phase_alpha(self.alpha, self.phase)

    @property
    def enough_units(self) -> int:
        return max(self.minimum_units, MINIMUM_UNITS)

    def levels(self, treatments: int) -> Levels:
        """With m treatments and G guardrails: a/m to ship (all must hold at one look, so nothing
        is split further), a/(m (G + 1)) to roll back (any may fail); a is what the phase spends."""
        each = phase_alpha(self.alpha, self.phase) / treatments
        return Levels(each, each / (len(self.guardrails) + 1))


class MeasuredGuardrail(NamedTuple):
    """A guardrail in one arm. `rated` is the share of decisions with a value, for metrics that
    come from feedback; None where nothing is missing, or only audited decisions are counted."""

    summary: Summary
    rated: Summary | None = None


@dataclass(frozen=True, slots=True)
class ArmData:
    """One arm in the current phase: units whose window has closed, guardrails in plan order."""

    name: str
    units: int
    primary: Summary
    guardrails: tuple[MeasuredGuardrail, ...]


def both_rated(control: MeasuredGuardrail, treatment: MeasuredGuardrail) -> RatedShares | None:
    """The arms' rated shares, where the metric has them."""
    if control.rated is None or treatment.rated is None:
        return None
    return RatedShares(control.rated, treatment.rated)
