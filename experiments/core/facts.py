"""What is known of one decision and of what became of it, as plain values to tell it from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from experiments.core.assignment import FlagState
from experiments.core.detection import Candidate
from experiments.core.values import Failure, Fallback, Score


class Rating(NamedTuple):
    metric: str
    value: float
    source: str


class Report(NamedTuple):
    """What an outcome brought. Costs in nano-dollars at the decision's prices; `answered_by` is
    empty where the model decided on answered, or nobody knows."""

    input_tokens: int | None
    output_tokens: int | None
    latency_ms: float | None
    success: bool | None
    error: str
    cost: int | None
    cost_baseline: int | None
    answered_by: str = ""


@dataclass(frozen=True, slots=True)
class DecisionView:
    """What is known of one decision. Costs are nano-dollars, None where unknown."""

    input_tokens: int
    text: str | None
    unit: str
    sticky: bool
    metadata: Mapping[str, str]
    domain: str
    confidence: float
    candidates: Sequence[Candidate]
    overridden: bool
    detector: str
    flags: Sequence[FlagState]
    experiment: str
    arm: str
    phase: int | None
    counted: bool
    method: str
    reason: str
    router: str
    score: float | None
    threshold: float | None
    scores: Mapping[str, Score | Failure]
    explored: bool
    epsilon: float
    propensity: float | None
    tier: str
    model: str
    intended: str
    strong: str
    weak: str
    baseline: str
    cost: int | None
    cost_strong: int | None
    cost_weak: int | None
    cost_baseline: int | None
    fallbacks: Sequence[Fallback]
    report: Report | None
    ratings: Sequence[Rating]

    @property
    def place(self) -> str:
        """Whose policy decided: the arm's, else the domain's."""
        return f"arm {self.arm}" if self.arm else self.domain

    @property
    def deciding_flag(self) -> FlagState | None:
        """The first flag that was off, else the last one looked at."""
        return next((flag for flag in self.flags if not flag.on), None) or (
            self.flags[-1] if self.flags else None
        )

    def cost_of(self, model: str) -> int | None:
        """The estimate for one of the pair."""
        return {self.strong: self.cost_strong, self.weak: self.cost_weak}.get(model)
