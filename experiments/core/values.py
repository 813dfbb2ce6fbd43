"""The values of a decision: its inputs, the result of each step, and the decision itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from experiments.core.assignment import Assignment, Cohort, FlagState, Unit
from experiments.core.bucketing import BUCKETS
from experiments.core.detection import Candidate
from experiments.core.money import Price
from experiments.core.policy import Method, PolicyDomain, RoutingPolicy
from experiments.core.selection import ModelSelectionCriteria


class Score(NamedTuple):
    """A router's score: `value` in [0, 1], and the sha256 of its checkpoint."""

    value: float
    checkpoint: str | None = None


class Failure(NamedTuple):
    """Why a router gave no score: `router_failed`, `router_timeout`, `router_not_ready`,
    `invalid_score` or `broken_configuration`."""

    reason: str
    detail: str = ""


class Fallback(NamedTuple):
    """One departure from the intended choice: the stage, the reason, and the model used instead."""

    stage: str
    reason: str
    detail: str
    model: str


class Pair(NamedTuple):
    strong: str
    weak: str


class Choice(NamedTuple):
    """A routing policy's choice for a prompt. `pair` is None if it chose outside a pair."""

    model: str
    method: Method
    reason: str
    pair: Pair | None = None
    router: str | None = None
    score: Score | None = None
    threshold: float | None = None
    fallbacks: tuple[Fallback, ...] = ()

    @property
    def other(self) -> str | None:
        """The model of the pair that was not chosen: exploration uses it."""
        if self.pair is None:
            return None
        return self.pair.weak if self.model == self.pair.strong else self.pair.strong


class Propensity(NamedTuple):
    """P(intended model = m) under the logging policy, for each m; or why there is none."""

    by_model: Mapping[str, float] | None
    intended: float | None
    given_arm: float | None
    reason: str | None = None


class Costs(NamedTuple):
    """Nano-dollars at current prices; None is unknown. `prices` are those used."""

    chosen: int | None
    strong: int | None
    weak: int | None
    baseline: int | None
    baseline_model: str | None
    prices: Mapping[str, Price]
    output_tokens: Mapping[str, int]

    @property
    def priced(self) -> bool:
        return self.chosen is not None and self.baseline is not None

    @property
    def saving(self) -> int | None:
        """Baseline minus chosen; negative if the choice costs more."""
        if self.chosen is None or self.baseline is None:
            return None
        return self.baseline - self.chosen


class RequestedTarget(NamedTuple):
    """The caller's own choice: a model, or a router with its threshold, as in RouteLLM's model
    strings."""

    model: str | None = None
    router: str | None = None
    threshold: float | None = None


class ScoreCut(NamedTuple):
    """Scores above `threshold` go to the strong model; of equal ones the share `tie_share` does.

    `tie_share` has four decimals, as ties are drawn among 10,000 buckets.
    """

    threshold: float
    tie_share: float = 1.0

    def strong_probability(self, score: float) -> float:
        """The probability that this score goes to the strong model."""
        if score == self.threshold:
            return self.tie_share
        return float(score > self.threshold)


class TableKey(NamedTuple):
    """What a threshold table belongs to. `checkpoint` is the sha256 of a score, or ""."""

    domain: str
    router: str
    checkpoint: str


class NumberedTable(NamedTuple):
    """One threshold table: the cut of each strong share that some policy aims at.

    Every policy of the domain reads the same table, so tables depend on scores, never on who chose
    what. `experiments.learning.thresholds` moves them.
    """

    number: int
    cuts: Mapping[float, ScoreCut]


Tables = Mapping[TableKey, NumberedTable]
NO_TABLES: Tables = {}


def share_of_target(share: float) -> float:
    """A strong share as tables know it: four decimals."""
    return round(share, 4)


def random_cut(score: float, share: float) -> ScoreCut:
    """Without a table nothing is known about scores: this share goes to the strong model."""
    return ScoreCut(score, round(share * BUCKETS) / BUCKETS)


@dataclass(frozen=True, slots=True)
class DecisionInputs:
    """Everything about one request that is not in the policy. All of it is stored.

    `input_tokens` is counted or estimated. `output_tokens` are expected per (domain, model), with
    `default_output_tokens` where nothing is known. `unavailable` models cannot answer now; with
    `pair_stands_in`, the other model of the pair is their first replacement. `day` selects the
    prices. `asked` is the caller's own choice. `unknown_language`: the detector does not know the
    prompt's language or script. `tables` are the newest threshold tables; the numbers of those
    that count for the decision are stored.
    """

    decision_id: str
    unit: Unit
    candidates: Sequence[Candidate]
    input_tokens: int
    day: date
    domain_override: str | None = None
    criteria: ModelSelectionCriteria | None = None
    force_arm: str | None = None
    unavailable: frozenset[str] = frozenset()
    pair_stands_in: bool = False
    asked: RequestedTarget | None = None
    unknown_language: bool = False
    output_tokens: Mapping[tuple[str, str], int] = field(default_factory=dict)
    default_output_tokens: int = 300
    tables: Tables = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PromptDecision:
    """The decision for one prompt, and everything that explains it.

    `cohort` is its group in a guarded rollout. The ratings of `audited` decisions are the quality
    metric of their experiment. `choice` is the policy's choice, `intended` the model after
    exploration, `model` the one that answers after fallbacks. `listed` and `forced` units are never
    counted. `cautious` is the domain that decided instead of the detected one. `tables` has the
    number of the threshold table of each router whose threshold follows one, on any path.
    """

    id: str
    revision: int
    domain: PolicyDomain
    confidence: float
    candidates: tuple[Candidate, ...]
    overridden: bool
    flags: tuple[FlagState, ...]
    assignment: Assignment | None
    cohort: Cohort | None
    audited: bool
    policy: RoutingPolicy
    choice: Choice
    intended: str
    model: str
    explored: bool
    propensity: Propensity
    scores: Mapping[str, Score | Failure]
    fallbacks: tuple[Fallback, ...]
    costs: Costs
    pair: Pair | None
    sticky: bool
    listed: bool
    forced: bool
    cautious: PolicyDomain | None = None
    tables: Mapping[str, int] = field(default_factory=dict)

    @property
    def method(self) -> Method:
        return self.choice.method

    @property
    def tier(self) -> str:
        """`strong` or `weak` if a model of the routed pair answers, else `selected`."""
        if self.choice.pair is None or self.model not in self.choice.pair:
            return "selected"
        return "strong" if self.model == self.choice.pair.strong else "weak"
