"""The promises of the Python API: names, order and defaults of arguments. Written out on purpose:
code that others wrote against them keeps working, so none of these lines may ever change."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from experiments.domain_router import (
    CostSavingsReport,
    CostTracker,
    DomainConfig,
    DomainRouter,
    FeatureFlags,
    Model,
    ModelCapabilities,
    ModelCost,
    ModelMetrics,
    ModelRegistry,
    ModelSelectionCriteria,
    ModelSelector,
    NoEligibleModelsError,
    RouteLLMConfig,
    RouterType,
    RoutingDecision,
    RoutingMetrics,
)

SIGNATURES: dict[Callable[..., Any], str] = {
    DomainRouter: "registry, routellm_config=None, feature_flags=None",
    DomainRouter.route_by_domain: "self, text, base_criteria=None, domain_override=None",
    DomainRouter.detect_domains: "self, text, threshold=0.3",
    DomainRouter.get_cost_savings_report: "self, period_days=30",
    DomainConfig: "name, keywords, patterns, preferred_models, required_capabilities, "
    "required_certifications, min_accuracy_score",
    RouteLLMConfig: "enabled=False, router_type='mf', threshold=0.11593, "
    "strong_model='gpt-4-1106-preview', weak_model='gpt-3.5-turbo', fallback_enabled=True, "
    "max_retry_attempts=3, timeout_seconds=30.0, cost_tracking_enabled=True, "
    "cost_optimization_target=0.5, performance_monitoring_enabled=True, "
    "metrics_retention_days=30, domain_specific_routing=True, domain_routing_overrides",
    RouteLLMConfig.get_router_model_string: "self",
    RouteLLMConfig.get_domain_override: "self, domain",
    RoutingDecision: "should_use_routellm, recommended_model=None, confidence=0.0, "
    "estimated_cost=0.0, reasoning='', domains, fallback_reason=None",
    CostTracker: "retention_days=30",
    CostTracker.track_routing_decision: "self, text, domains, routing_method, selected_model, "
    "estimated_cost, routing_latency_ms=0.0, routing_confidence=0.0, success=True, "
    "error_message=None",
    CostTracker.get_cost_savings_report: "self, period_days=30",
    Model: "name, provider, capabilities, cost, metrics=None, is_available=True",
    ModelCapabilities: "supported_tasks, context_window=4096, supports_function_calling=False, "
    "supports_structured_output=False, supports_streaming=False, languages, max_tokens=None, "
    "domains, vision_capable=False, audio_capable=False, code_specialized=False, "
    "supports_tools=False, supports_json_mode=False, accuracy_score=0.85, speed_rating='medium'",
    ModelCost: "input_cost_per_1k_tokens=0.0, output_cost_per_1k_tokens=0.0, "
    "base_cost_per_request=0.0, is_free=False",
    ModelCost.calculate_cost: "self, input_tokens, output_tokens",
    ModelMetrics: "latency_p50=0.0, latency_p95=0.0, throughput=0.0, success_rate=1.0",
    ModelRegistry: "",
    ModelRegistry.register_model: "self, model",
    ModelRegistry.unregister_model: "self, name, provider=''",
    ModelSelector: "registry",
    ModelSelector.select_model: "self, criteria",
    ModelSelectionCriteria: "required_tasks=None, required_capabilities=None, "
    "required_domains=None, min_context_window=None, required_languages=None, "
    "max_cost_per_request=None, max_cost_per_1k_tokens=None, prefer_free_models=False, "
    "max_latency_ms=None, min_accuracy_score=None, speed_preference=None, "
    "preferred_providers=None, excluded_providers=None, preferred_models=None, "
    "excluded_models=None, fallback_strategy='best_available', selection_strategy='balanced'",
    FeatureFlags.is_enabled: "self, flag",
    FeatureFlags.enable: "self, flag",
    FeatureFlags.disable: "self, flag",
    FeatureFlags.update_flags: "self, flags",
    FeatureFlags.get_all_flags: "self",
    FeatureFlags.is_domain_enabled: "self, domain",
}
FIELDS = {
    RoutingMetrics: "tracking_id, timestamp, input_text_length, detected_domains, "
    "domain_confidence, routing_method, selected_model, routing_confidence, estimated_cost, "
    "actual_cost, cost_savings_vs_baseline, routing_latency_ms, model_response_time_ms, success, "
    "error_message, response_quality_score, user_satisfaction",
    CostSavingsReport: "period_days, total_requests, routellm_requests, traditional_requests, "
    "total_estimated_cost, routellm_estimated_cost, traditional_estimated_cost, "
    "estimated_savings, savings_percentage, average_routing_latency_ms, success_rate, "
    "average_quality_score",
}
ROUTERS = {
    "MATRIX_FACTORIZATION": "mf",
    "BERT_CLASSIFIER": "bert",
    "CAUSAL_LLM": "causal_llm",
    "SIMILARITY_WEIGHTED": "sw_ranking",
    "RANDOM": "random",
    "LOCAL": "local",
    "LOCAL_MF": "local_mf",
}
DOMAINS = ("medical", "legal", "creative", "technical", "scientific", "financial", "educational")
FLAGS = (
    "enabled",
    "cost_tracking",
    "performance_monitoring",
    *(f"{domain}_domain" for domain in DOMAINS),
    "dynamic_threshold",
    "a_b_testing",
    "quality_feedback",
)
METHODS = (
    "register_domain",
    "get_domain_info",
    "list_domains",
    "analyze_text",
    "get_routellm_config",
    "update_routellm_config",
    "get_feature_flags",
    "update_feature_flags",
    "is_routellm_enabled",
    "get_routellm_status",
    "get_routing_metrics_summary",
)


@pytest.mark.parametrize("promised", SIGNATURES, ids=lambda promised: promised.__qualname__)
def test_the_arguments_are_those_promised(promised: Callable[..., Any]) -> None:
    """In this order, with these defaults; a value that is created each time shows none."""
    found = [_described(parameter) for parameter in inspect.signature(promised).parameters.values()]
    wanted = [part for part in SIGNATURES[promised].split(", ") if part]
    for have, want in zip(found, wanted, strict=False):
        assert have == want or have.partition("=")[0] == want
    assert len(found) >= len(wanted)


@pytest.mark.parametrize("promised", SIGNATURES, ids=lambda promised: promised.__qualname__)
def test_whatever_was_added_is_optional(promised: Callable[..., Any]) -> None:
    wanted = len([part for part in SIGNATURES[promised].split(", ") if part])
    added = list(inspect.signature(promised).parameters.values())[wanted:]
    assert all(parameter.default is not inspect.Parameter.empty for parameter in added)


@pytest.mark.parametrize("record", FIELDS, ids=lambda record: record.__name__)
def test_the_fields_are_those_promised(record: Any) -> None:
    wanted = FIELDS[record].split(", ")
    assert [field.name for field in fields(record)][: len(wanted)] == wanted


def test_the_router_types_are_those_promised() -> None:
    assert {name: kind.value for name, kind in RouterType.__members__.items()} == ROUTERS


def test_the_flags_are_those_promised_and_off_but_for_the_tracking() -> None:
    flags = FeatureFlags()
    for name in FLAGS:
        key = getattr(FeatureFlags, f"ROUTELLM_{name.upper()}")
        assert key == f"routellm_{name}"
        assert flags.is_enabled(key) is (name in ("cost_tracking", "performance_monitoring"))


def test_only_routing_and_selecting_are_coroutines() -> None:
    assert inspect.iscoroutinefunction(DomainRouter.route_by_domain)
    assert inspect.iscoroutinefunction(ModelSelector.select_model)
    for name in METHODS:
        assert not inspect.iscoroutinefunction(getattr(DomainRouter, name))


def test_the_attributes_are_those_promised() -> None:
    router = DomainRouter(ModelRegistry())
    assert isinstance(router.registry, ModelRegistry)
    assert isinstance(router.selector, ModelSelector)
    assert isinstance(router.routellm_config, RouteLLMConfig)
    assert isinstance(router.feature_flags, FeatureFlags)
    assert isinstance(router.cost_tracker, CostTracker)
    assert tuple(router.domains) == DOMAINS
    assert list(router.cost_tracker.metrics) == []


def test_a_registry_refuses_the_same_model_twice_and_keys_by_provider() -> None:
    registry = ModelRegistry()
    model = Model("gpt-4", "openai", ModelCapabilities(["chat"]), ModelCost())
    registry.register_model(model)
    assert registry.models == {"openai:gpt-4": model}
    with pytest.raises(ValueError, match="already registered"):
        registry.register_model(model)


def test_no_model_to_select_is_an_error_of_its_own() -> None:
    with pytest.raises(NoEligibleModelsError):
        ModelSelector(ModelRegistry()).select()


def _described(parameter: inspect.Parameter) -> str:
    default = parameter.default
    if default is inspect.Parameter.empty:
        return parameter.name
    if isinstance(default, RouterType):
        default = default.value
    return f"{parameter.name}={default!r}"
