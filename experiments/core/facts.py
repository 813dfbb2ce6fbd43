"""One decision and its outcome, as plain values for explanations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from experiments.core.assignment import FlagState
from experiments.core.detection import Candidate
from experiments.core.values import Failure, Fallback, Score


class ShownRating(NamedTuple):
    metric: str
    value: float
    source: str


class Report(NamedTuple):
    """A reported outcome. Costs are nano-dollars at the decision's prices. `answered_by` is
    empty if the chosen model answered, or if that is unknown."""

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
    """One stored decision. Costs are nano-dollars, None if unknown. `tables` has the number of the
    threshold table of each router whose threshold follows one."""

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
    ratings: Sequence[ShownRating]
    cautious: str = ""
    tables: Mapping[str, int] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The arm or domain whose policy decided."""
        return f"arm {self.arm}" if self.arm else self.cautious or self.domain

    @property
    def deciding_flag(self) -> FlagState | None:
        """The first flag that was off, else the last one evaluated."""
        return next((flag for flag in self.flags if not flag.on), None) or (
            self.flags[-1] if self.flags else None
        )

    def cost_of(self, model: str) -> int | None:
        """The estimated cost of one model of the pair."""
        return {self.strong: self.cost_strong, self.weak: self.cost_weak}.get(model)
