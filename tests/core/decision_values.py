"""A small policy and requests to it, for tests of the decision."""

from dataclasses import replace
from datetime import date
from typing import Any

from experiments.core.assignment import HashedBuckets, Unit
from experiments.core.catalog import Model, ModelCapabilities, ModelCost
from experiments.core.decision import decide
from experiments.core.detection import Candidate, DomainConfig
from experiments.core.money import Price
from experiments.core.policy import (
    FlagRule,
    Method,
    Policy,
    PolicyDomain,
    PolicyRouter,
    RoutingPolicy,
)
from experiments.core.values import DecisionInputs, Failure, PromptDecision, Score

ALL = 10_000
STRONG, WEAK, OTHER = "a/strong", "a/weak", "b/other"
ROUTED = RoutingPolicy(Method.ROUTELLM, "local", 0.5, STRONG, WEAK)


def model(name: str, accuracy: float = 0.9, **values: Any) -> Model:
    capabilities = ModelCapabilities((), accuracy_score=accuracy)
    return Model(name, name.partition("/")[0], capabilities, ModelCost(), **values)


def domain(
    name: str, share: int = ALL, policy: RoutingPolicy = ROUTED, **values: Any
) -> PolicyDomain:
    flag = FlagRule(f"routellm_{name}_domain", share, f"seed-{name}")
    return PolicyDomain(DomainConfig(name), flag, policy, **values)


def policy(*domains: PolicyDomain, **values: Any) -> Policy:
    """Two models of a pair, and one that the domain selector prefers; the flags are on."""
    everything = [domain("general"), domain("code"), *domains]
    fields: dict[str, Any] = {
        "revision": 7,
        "master": FlagRule("routellm_enabled", ALL, "seed-master"),
        "domains": {each.name: each for each in everything},
        "models": {
            name: model(name, accuracy)
            for name, accuracy in ((STRONG, 0.9), (WEAK, 0.8), (OTHER, 0.99))
        },
        "prices": {
            STRONG: (Price(10_000_000_000, 30_000_000_000),),
            WEAK: (Price(1_000_000_000, 3_000_000_000),),
        },
        "routers": {"local": PolicyRouter("local", "local", True)},
    }
    return Policy(**{**fields, **values})


def situation(unit_id: str = "user-42", **values: Any) -> DecisionInputs:
    fields: dict[str, Any] = {
        "decision_id": f"decision-of-{unit_id}",
        "unit": Unit(HashedBuckets(unit_id), f"hash-of-{unit_id}"),
        "candidates": [Candidate("code", 0.8), Candidate("general", 0.2)],
        "input_tokens": 1000,
        "day": date(2026, 11, 22),
    }
    return DecisionInputs(**{**fields, **values})


def scoring(value: float) -> Any:
    return lambda router: Score(value, f"sha-of-{router}")


def failing(reason: str) -> Any:
    return lambda router: Failure(reason, "it is broken")


def decided(rules: Policy | None = None, score: float | Any = 0.4, **values: Any) -> PromptDecision:
    ask = scoring(score) if isinstance(score, float) else score
    return decide(rules or policy(), situation(**values), ask)


def unavailable(rules: Policy, *names: str) -> Policy:
    """The same policy with these models switched off."""
    down = {name: replace(rules.models[name], is_available=False) for name in names}
    return replace(rules, models={**rules.models, **down})
