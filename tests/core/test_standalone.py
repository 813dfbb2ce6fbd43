"""The Python API's objects as a policy."""

from typing import Any

from experiments.core.catalog import Model, ModelCapabilities, ModelCost
from experiments.core.detection import DomainConfig
from experiments.core.policy import Method, Policy
from experiments.python_api.flags import FeatureFlags
from experiments.python_api.policy import Catalogue, build_policy, price_of
from experiments.python_api.routellm_config import RouteLLMConfig, RouterType

DOMAINS = {
    "medical": DomainConfig("medical", preferred_models=["acme/strong"]),
    "general": DomainConfig("general"),
}


def model(name: str, provider: str = "acme", **cost: Any) -> Model:
    return Model(name, provider, ModelCapabilities(["chat"]), ModelCost(**cost))


STRONG = model("strong", input_cost_per_1k_tokens=0.01, output_cost_per_1k_tokens=0.03)
WEAK = model("weak")
ON = FeatureFlags({"routellm_enabled": True, "routellm_medical_domain": True})


def build(flags: FeatureFlags = ON, **settings: Any) -> Policy:
    config = RouteLLMConfig(enabled=True, strong_model="strong", weak_model="weak")
    config.update(settings)
    return build_policy(Catalogue.of([STRONG, WEAK]), DOMAINS, config, flags)


def test_flags_hold_for_all_units_or_none() -> None:
    policy = build()
    assert policy.master.share == 10_000
    assert policy.domains["medical"].flag.share == 10_000
    assert policy.domains["general"].flag.share == policy.master.share


def test_the_master_flag_needs_flag_and_setting() -> None:
    assert build(enabled=False).master.share == 0
    assert build(flags=FeatureFlags()).master.share == 0


def test_a_domains_policy() -> None:
    routing = build(router_type="local", threshold=0.38).domains["medical"].policy
    assert routing.method is Method.ROUTELLM
    assert (routing.router, routing.threshold) == ("local", 0.38)
    assert (routing.strong, routing.weak) == ("strong", "weak")


def test_an_override_reaches_its_domain_only() -> None:
    overrides = {"medical": {"threshold": 0.1, "router_type": "local"}}
    policy = build(domain_routing_overrides=overrides)
    assert policy.domains["medical"].policy.threshold == 0.1
    assert policy.domains["general"].policy.threshold == 0.11593
    assert sorted(policy.routers) == ["local", "mf"]


def test_an_override_can_turn_a_domain_off() -> None:
    policy = build(domain_routing_overrides={"medical": {"enabled": False}})
    assert policy.domains["medical"].policy.method is Method.DOMAIN_SELECTOR


def test_routers_have_the_published_checkpoints_by_default() -> None:
    published = build(router_type="mf").routers["mf"]
    assert published.arguments == {"checkpoint_path": "routellm/mf_gpt4_augmented"}
    own = build(router_type="mf", router_arguments={"checkpoint_path": "/models/mf"})
    assert own.routers["mf"].arguments == {"checkpoint_path": "/models/mf"}
    assert build(router_type=RouterType.RANDOM).routers["random"].arguments == {}


def test_the_timeout_reaches_the_router() -> None:
    assert build(timeout_seconds=0.25).routers["mf"].timeout_seconds == 0.25


def test_prices_in_nano_dollars_for_a_million_tokens() -> None:
    price = price_of(ModelCost(0.01, 0.03, 0.002))
    assert price.input_per_million == 10_000_000_000
    assert price.output_per_million == 30_000_000_000
    assert price.per_request == 2_000_000


def test_an_unpriced_model_has_no_price() -> None:
    assert set(build().prices) == {"strong"}


def test_a_free_model_costs_nothing() -> None:
    assert price_of(ModelCost(0.01, 0.03, is_free=True)).cost(1000, 1000) == 0


def test_preferred_models_are_named_as_registered() -> None:
    assert build().domains["medical"].config.preferred_models == ["strong"]


def test_two_providers_with_one_name_stay_two_models() -> None:
    openai, azure = model("gpt-4", "openai"), model("gpt-4", "azure")
    catalogue = Catalogue.of([openai, azure])
    assert dict(catalogue.models) == {"openai/gpt-4": openai, "azure/gpt-4": azure}
    assert catalogue.resolve("azure:gpt-4") == "azure/gpt-4"
    assert catalogue.renamed()["azure/gpt-4"].name == "azure/gpt-4"


def test_an_unknown_name_resolves_to_itself() -> None:
    assert Catalogue.of([STRONG]).resolve("gone") == "gone"
