"""Decisions of the Python API in words and in dollars."""

from dataclasses import dataclass

from experiments.core.money import NANO
from experiments.core.policy import Method
from experiments.core.records import Record
from experiments.core.routellm_config import RoutingDecision
from experiments.core.values import Decision, Fallback


@dataclass(frozen=True)
class TextAnalysis(Record):
    """What would be decided for a text, and what was seen in it. Nothing is tracked.

    `complexity` is the router's score: how likely the strong model answers better, in [0, 1]. It is
    None where no router was asked; no other measure is made up for it. `estimated_cost` is in US
    dollars, None where the price is unknown.
    """

    text_length: int
    word_count: int
    estimated_tokens: int
    detected_domains: list[tuple[str, float]]
    primary_domain: str
    complexity: float | None
    threshold: float | None
    confidence: float
    routing_method: str
    recommended_model: str
    estimated_cost: float | None
    baseline_cost: float | None
    estimated_savings: float | None
    reasoning: str
    fallback_reason: str | None


@dataclass(frozen=True)
class RouteLLMStatus(Record):
    """What is configured and whether it can work. `problems` say what to do about each.

    `router_ready` is None until the router was asked for the first time. `realised_savings` is the
    share of the baseline's cost saved so far, None while nothing has been priced.
    """

    enabled: bool
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


def explain(decision: Decision) -> RoutingDecision:
    """A decision of `decide`, as the Python API tells it."""
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
        fallback_reason="; ".join(map(_told, decision.fallbacks)) or None,
        score=choice.score.value if choice.score else None,
        threshold=choice.threshold,
        baseline_cost=dollars(decision.costs.baseline),
        baseline_model=decision.costs.baseline_model,
    )


def router_fallbacks(decision: Decision) -> list[Fallback]:
    """The fallbacks that mean no router decided."""
    return [fallback for fallback in decision.fallbacks if fallback.stage == "router"]


def _confidence(score: float, reason: str) -> float:
    """The score where the strong model was chosen, else what is left of it."""
    return score if reason == "score_at_or_above_threshold" else 1 - score


def _reasoning(decision: Decision) -> str:
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


def _told(fallback: Fallback) -> str:
    return f"{fallback.reason}: {fallback.detail}" if fallback.detail else fallback.reason
