"""A routed pair is held to what the domain and the caller never give up."""

from datetime import date

from experiments.core.assignment import HashedBuckets, Unit
from experiments.core.catalog import Model, ModelCapabilities, ModelCost
from experiments.core.decision import DecisionInputs, PromptDecision, Score, decide
from experiments.core.detection import DomainConfig
from experiments.core.policy import FlagRule, Method, Policy, PolicyDomain, RoutingPolicy
from experiments.core.selection import GENERAL, ModelSelectionCriteria

ALL = 10_000


def model(name: str, *certifications: str) -> Model:
    return Model(name, "p", ModelCapabilities(certifications=certifications), ModelCost(1, 1))


def decided(criteria: ModelSelectionCriteria | None = None) -> PromptDecision:
    config = DomainConfig("medical", required_certifications=("HIPAA",))
    pair = RoutingPolicy(Method.ALWAYS_STRONG, strong="plain", weak="certified")
    domains = {
        "medical": PolicyDomain(config, FlagRule("routellm_medical_domain", ALL, "a"), pair),
        GENERAL: PolicyDomain(
            DomainConfig(GENERAL), FlagRule("routellm_general_domain", ALL, "b"), pair
        ),
    }
    models = {
        m.name: m for m in (model("plain"), model("certified", "HIPAA"), model("c2", "HIPAA"))
    }
    policy = Policy(1, FlagRule("routellm_enabled", ALL, "m"), domains, models, {})
    situation = DecisionInputs(
        "d",
        Unit(HashedBuckets("u"), "h"),
        [],
        10,
        date(2026, 11, 22),
        domain_override="medical",
        criteria=criteria,
    )
    return decide(policy, situation, lambda _: Score(0.5))


def test_uncertified_model_of_the_pair_is_replaced() -> None:
    decision = decided()
    assert decision.intended == "plain"
    assert decision.model in {"certified", "c2"}
    assert [f.reason for f in decision.fallbacks] == ["model_unavailable"]
    assert "not certified" in decision.fallbacks[0].detail


def test_excluded_model_of_the_pair_is_replaced() -> None:
    decision = decided(ModelSelectionCriteria(excluded_models=["plain", "certified"]))
    assert decision.model == "c2"
