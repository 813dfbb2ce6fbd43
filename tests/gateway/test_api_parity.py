"""The Python API and the web application give the same answers for the same configuration."""

import asyncio
from typing import Any

import pytest

from experiments.configuration.policy_store import store
from experiments.core.choice import pair_of
from experiments.core.money import NANO
from experiments.core.policy import Method, Policy, PolicyDomain
from experiments.domain_router import (
    DomainRouter,
    FeatureFlags,
    Model,
    ModelCost,
    ModelRegistry,
    RouteLLMConfig,
)
from experiments.routing.route import RouteRequest, route
from experiments.routing.runtime import engine

PROMPTS = (
    "Prove that there are infinitely many prime numbers.",
    "Write a haiku about the first snow.",
    "Which index makes this query on two million rows fast?",
    "hi",
    "",
)


def same_configuration(policy: Policy) -> DomainRouter:
    """A DomainRouter with the models, prices, domains, flags and policies of a revision."""
    registry = ModelRegistry()
    for model in policy.models.values():
        registry.register_model(_priced(policy, model))
    config = RouteLLMConfig(
        enabled=True,
        router_type="local",  # type: ignore[arg-type]
        domain_routing_overrides={
            domain.name: _override(policy, domain) for domain in policy.domains.values()
        },
    )
    flags = {domain.flag.key: domain.flag.share == 10_000 for domain in policy.domains.values()}
    router = DomainRouter(registry, config, FeatureFlags({"routellm_enabled": True, **flags}))
    for domain in policy.domains.values():
        router.register_domain(domain.config)
    return router


def _override(policy: Policy, domain: PolicyDomain) -> dict[str, Any]:
    pair = pair_of(policy, domain, domain.policy)
    assert pair is not None
    return {
        "enabled": domain.policy.method is Method.ROUTELLM,
        "threshold": domain.policy.threshold,
        "strong_model": pair.strong,
        "weak_model": pair.weak,
    }


def _priced(policy: Policy, model: Model) -> Model:
    price = policy.prices[model.name][0]
    per_thousand = 1000 * NANO
    cost = ModelCost(
        price.input_per_million / per_thousand, price.output_per_million / per_thousand
    )
    return Model(model.name, model.provider, model.capabilities, cost, model.metrics)


@pytest.mark.parametrize("text", PROMPTS)
def test_both_apis_choose_the_same_model_at_the_same_cost(seeded: None, text: str) -> None:
    policy = store.current()
    engine.warm_up(policy)
    router = same_configuration(policy)
    methods = set()
    for name in policy.domains:
        row = route(RouteRequest(text, domain=name, dry_run=True))
        model = asyncio.run(router.route_by_domain(text, domain_override=name))
        analysis = router.analyze_text(text, domain_override=name)
        assert (model.name, analysis.routing_method) == (row.model, row.method), name
        assert analysis.complexity == (row.score if row.method == "routellm" else None)
        assert round((analysis.estimated_cost or 0) * NANO) == row.cost
        methods.add(row.method)
    assert methods == {"routellm", "domain_selector"}
