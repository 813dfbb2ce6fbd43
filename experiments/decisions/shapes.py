"""The shape of a decision in the REST API. Tests and mypy compare it with `payload`."""

from typing import Annotated

from typing_extensions import TypedDict

from experiments.shapes.fields import Format, OneOf, described

Money = Annotated[
    str | None, described("US dollars as a decimal string; null where a price is unknown.")
]


class CandidatePayload(TypedDict):
    name: str
    confidence: float


class DecisionDomain(TypedDict):
    name: str
    confidence: Annotated[float, described("0 to 1; 1 if the caller named the domain.")]
    candidates: list[CandidatePayload]
    overridden: Annotated[bool, described("The caller named the domain.")]


class DecisionRouter(TypedDict):
    name: str
    score: Annotated[float, described("The strong model's estimated win rate.")]
    threshold: Annotated[float, described("Scores at or above it go to the strong model.")]


class DecisionFlag(TypedDict):
    key: str
    on: bool
    reason: Annotated[str, described("deny_list, allow_list or rollout.")]
    bucket: Annotated[float, described("The unit's bucket, 0 to 0.9999.")]
    percentage: float


class DecisionExperiment(TypedDict):
    key: str
    arm: str
    phase: int


class DecisionCost(TypedDict):
    currency: str
    estimated: Money
    strong: Money
    weak: Money
    baseline: Money
    saving: Annotated[str | None, described("Baseline minus estimated.")]
    baseline_model: str | None
    priced: Annotated[bool, described("False: a price is unknown and no saving is claimed.")]


class DecisionFallback(TypedDict):
    stage: Annotated[str, described("router or model.")]
    reason: str
    detail: str
    model: Annotated[str, described("The model used instead.")]


class DecisionPayload(TypedDict):
    decision_id: Annotated[str, Format("uuid")]
    model: Annotated[str, described("The model that should answer.")]
    tier: Annotated[str, OneOf(("strong", "weak", "selected"))]
    method: Annotated[str, OneOf(("routellm", "always_strong", "always_weak", "domain_selector"))]
    reason: str
    domain: DecisionDomain
    router: DecisionRouter | None
    flags: list[DecisionFlag]
    experiment: DecisionExperiment | None
    sticky: Annotated[bool, described("The same unit gets the same buckets next time.")]
    explored: Annotated[bool, described("Exploration: the other model of the pair was chosen.")]
    propensity: float | None
    propensity_given_arm: float | None
    propensity_reason: Annotated[str | None, described("Why there is no propensity.")]
    cost: DecisionCost
    fallbacks: list[DecisionFallback]
    policy_revision: int
    latency_ms: float | None
