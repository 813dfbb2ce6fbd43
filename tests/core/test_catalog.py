"""Models, their prices and the registry."""

import pytest

from experiments.core.catalog import (
    Model,
    ModelCapabilities,
    ModelCost,
    ModelMetrics,
    ModelRegistry,
)


def make_model(name: str = "gpt-4", provider: str = "openai") -> Model:
    return Model(name, provider, ModelCapabilities(["text_generation"]), ModelCost(0.03, 0.06))


def test_it_works() -> None:
    registry = ModelRegistry()
    registry.register_model(make_model())
    assert list(registry.models) == ["openai:gpt-4"]


def test_a_duplicate_is_refused() -> None:
    registry = ModelRegistry()
    registry.register_model(make_model())
    with pytest.raises(ValueError, match="'openai:gpt-4' is already registered"):
        registry.register_model(make_model())


def test_the_same_name_of_two_providers_is_two_models() -> None:
    registry = ModelRegistry()
    registry.register_model(make_model(provider="openai"))
    registry.register_model(make_model(provider="azure"))
    assert sorted(registry.models) == ["azure:gpt-4", "openai:gpt-4"]


def test_unregister_by_name_and_by_provider() -> None:
    registry = ModelRegistry()
    registry.register_model(make_model(provider="openai"))
    registry.register_model(make_model(provider="azure"))
    registry.unregister_model("gpt-4", "azure")
    registry.unregister_model("gpt-4")
    assert registry.models == {}


def test_unregister_an_ambiguous_name_asks_for_the_provider() -> None:
    registry = ModelRegistry()
    registry.register_model(make_model(provider="openai"))
    registry.register_model(make_model(provider="azure"))
    with pytest.raises(ValueError, match=r"offered by azure, openai\. Pass the provider"):
        registry.unregister_model("gpt-4")


def test_unregister_an_unknown_model_names_the_known_ones() -> None:
    registry = ModelRegistry()
    registry.register_model(make_model())
    with pytest.raises(ValueError, match="Known: openai:gpt-4"):
        registry.unregister_model("gpt-9")


def test_a_model_answers_to_its_name_with_and_without_provider() -> None:
    registry = ModelRegistry()
    model = make_model()
    registry.register_model(model)
    assert registry.get_model("gpt-4") is model
    assert registry.get_model("openai/gpt-4") is model
    assert registry.get_model("azure/gpt-4") is None


def test_cost_of_a_call() -> None:
    assert ModelCost(0.03, 0.06).calculate_cost(1000, 500) == pytest.approx(0.06)
    assert ModelCost(0.03, 0.06, 0.01).calculate_cost(0, 0) == 0.01


def test_a_free_model_costs_nothing_and_is_priced() -> None:
    cost = ModelCost(0.03, 0.06, is_free=True)
    assert cost.calculate_cost(1000, 1000) == 0.0
    assert cost.highest_per_1k_tokens == 0.0
    assert cost.is_priced


def test_no_price_is_unknown_not_free() -> None:
    assert not ModelCost().is_priced
    assert ModelCost(base_cost_per_request=0.01).is_priced


def test_defaults_of_capabilities() -> None:
    capabilities = ModelCapabilities(["chat"])
    assert capabilities.context_window == 4096
    assert capabilities.languages == ["en"]
    assert capabilities.accuracy_score == 0.85
    assert capabilities.speed_rating == "medium"


@pytest.mark.parametrize("name", ["vision", "Vision-Capable", "supports_tools", "tools", "Summary"])
def test_a_capability_is_known_by_flag_or_task(name: str) -> None:
    capabilities = ModelCapabilities(["summary"], vision_capable=True, supports_tools=True)
    assert capabilities.has(name)


def test_a_missing_capability() -> None:
    assert not ModelCapabilities(["summary"]).has("audio")


def test_latency_bound_prefers_the_95th_percentile() -> None:
    assert ModelMetrics(latency_p50=100, latency_p95=300).latency_bound == 300
    assert ModelMetrics(latency_p50=100).latency_bound == 100
    assert ModelMetrics().latency_bound is None
