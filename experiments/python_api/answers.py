"""Results of the Python API, with amounts in dollars."""

from dataclasses import dataclass
from typing import Any

from experiments.core.money import NANO
from experiments.core.policy import Method
from experiments.core.values import Fallback, PromptDecision
from experiments.python_api.record import Record
from experiments.python_api.routellm_config import RoutingDecision


@dataclass(frozen=True, eq=False)
class TextAnalysis(Record):
    """The decision for a text and its analysis. Nothing is tracked.

    `detected_domains` are `{"domain": name, "confidence": share}` from 0.1 up, best first;
    `primary_domain` is the first of them or the caller's, else None; `domain` is the one that
    decides, `general` where none is detected with a confidence of 0.3. `complexity` is the score of
    the domain's router, how likely the strong model answers better, in [0, 1], and None if no
    router was called. `recommended_model` is None if no model may answer. Costs are US dollars,
    None if the price is unknown.

    The last four are part of the mapping only while RouteLLM is on. `complexity_score` is
    `complexity`, or the shipped local router's score if the domain's router gave none;
    `recommended_routing` is `strong_model` or `weak_model`; `routing_confidence` is the score for
    the strong model and 1 minus the score for the weak one.
    """

    text_length: int
    word_count: int
    estimated_tokens: int
    detected_domains: list[dict[str, Any]]
    primary_domain: str | None
    multi_domain: bool
    domain: str
    complexity: float | None
    threshold: float | None
    confidence: float
    routing_method: str
    recommended_model: str | None
    estimated_cost: float | None
    baseline_cost: float | None
    estimated_savings: float | None
    reasoning: str
    fallback_reason: str | None
    routellm_enabled: bool = False
    complexity_score: float | None = None
    recommended_routing: str | None = None
    routing_confidence: float | None = None

    def _names(self) -> tuple[str, ...]:
        return tuple(
            name for name in super()._names() if self.routellm_enabled or name not in _ROUTELLM_ONLY
        )


_ROUTELLM_ONLY = frozenset(
    {"routellm_enabled", "complexity_score", "recommended_routing", "routing_confidence"}
)


@dataclass(frozen=True, eq=False)
class RouteLLMStatus(Record):
    """The configuration and its problems, each with what to do.

    `enabled` means configured and the flag is on. The controller loads and calls routers. The first
    decision that needs it initializes it; it is available while its router can answer, else
    `controller_error` has the reason. `router_ready` is the same, with None for "not called yet".
    `realised_savings` is the share of the baseline's cost saved so far, None until a decision
    has a price.
    """

    enabled: bool
    config_enabled: bool
    feature_flag_enabled: bool
    controller_initialized: bool
    controller_available: bool
    controller_error: str | None
    cost_tracking_enabled: bool
    router_type: str
    router_model_string: str
    router_ready: bool | None
    threshold: float
    strong_model: str
    weak_model: str
    fallback_enabled: bool
    enabled_domains: list[str]
    domain_detector: str
    cost_optimization_target: float
    realised_savings: float | None
    problems: list[str]


def dollars(nano: int | None) -> float | None:
    return None if nano is None else nano / NANO


def explain(decision: PromptDecision) -> RoutingDecision:
    """A decision of `decide`, in the form of the Python API."""
    choice = decision.choice
    routed = choice.method is Method.ROUTELLM and choice.score is not None
    return RoutingDecision(
        should_use_routellm=routed,
        recommended_model=decision.model,
        confidence=(
            _confidence(choice.score.value, choice.reason) if choice.score else decision.confidence
        ),
        estimated_cost=dollars(decision.costs.chosen),
        reasoning=_reasoning(decision),
        domains=[(name, confidence) for name, confidence in decision.candidates],
        fallback_reason="; ".join(map(_described, decision.fallbacks)) or None,
        score=choice.score.value if choice.score else None,
        threshold=choice.threshold,
        baseline_cost=dollars(decision.costs.baseline),
        baseline_model=decision.costs.baseline_model,
    )


def router_fallbacks(decision: PromptDecision) -> list[str]:
    """Why no router decided; empty if one did."""
    return [_described(fallback) for fallback in decision.fallbacks if fallback.stage == "router"]


def _confidence(score: float, reason: str) -> float:
    """The score if the strong model was chosen, else 1 minus the score."""
    return score if reason == "score_at_or_above_threshold" else 1 - score


def _reasoning(decision: PromptDecision) -> str:
    domain = f"Domain '{decision.domain.name}' (confidence {decision.confidence:.2f})."
    choice = decision.choice
    if choice.score is None or choice.threshold is None:
        return f"{domain} The domain selector chose {decision.model}: {choice.reason}."
    side = "at or above" if choice.score.value >= choice.threshold else "below"
    tier = "strong" if choice.score.value >= choice.threshold else "weak"
    return (
        f"{domain} Router '{choice.router}' scored {choice.score.value:.3f}, {side} the threshold "
        f"{choice.threshold:g}: the {tier} model {choice.model}."
    )


def _described(fallback: Fallback) -> str:
    return f"{fallback.reason}: {fallback.detail}" if fallback.detail else fallback.reason
