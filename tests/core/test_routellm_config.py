"""Settings of the routing: defaults, what is refused, per-domain overrides."""

from typing import Any

import pytest

from experiments.python_api.routellm_config import (
    DomainSettings,
    RouteLLMConfig,
    RouterType,
    RoutingDecision,
)


def test_defaults() -> None:
    config = RouteLLMConfig()
    assert not config.enabled
    assert config.router_type is RouterType.MATRIX_FACTORIZATION
    assert config.threshold == 0.11593
    assert config.strong_model == "gpt-4-1106-preview"
    assert config.weak_model == "gpt-3.5-turbo"
    assert config.fallback_enabled
    assert config.max_retry_attempts == 3
    assert config.timeout_seconds == 30.0
    assert config.metrics_retention_days == 30
    assert config.domain_routing_overrides == {}


def test_router_model_string() -> None:
    assert RouteLLMConfig().get_router_model_string() == "router-mf-0.11593"
    local = RouteLLMConfig(router_type=RouterType.LOCAL, threshold=0.38)
    assert local.get_router_model_string() == "router-local-0.38"


def test_router_types() -> None:
    assert [kind.value for kind in RouterType] == [
        "mf",
        "bert",
        "causal_llm",
        "sw_ranking",
        "random",
        "local",
        "local_mf",
    ]


def test_a_router_type_may_be_its_name() -> None:
    assert RouteLLMConfig(router_type="local").router_type is RouterType.LOCAL  # type: ignore[arg-type]


@pytest.mark.parametrize("threshold", [-0.01, 1.01, float("nan"), float("inf"), "0.5", True])
def test_a_threshold_outside_its_scale_is_refused(threshold: Any) -> None:
    with pytest.raises(ValueError, match=r"threshold is .* Give a number from 0 to 1"):
        RouteLLMConfig(threshold=threshold)


@pytest.mark.parametrize("threshold", [0, 1, 0.0, 1.0])
def test_the_ends_of_the_scale_are_allowed(threshold: float) -> None:
    assert RouteLLMConfig(threshold=threshold).threshold == threshold


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"router_type": "oracle"}, r"Unknown router type 'oracle'\. Known types: mf, bert"),
        ({"cost_optimization_target": 50}, "Give a number from 0 to 1"),
        ({"strong_model": " "}, "name of a registered model"),
        ({"timeout_seconds": 0}, "seconds above 0"),
        ({"domain_detector": "psychic"}, "Choose one of: classic, learned"),
        ({"max_retry_attempts": -1}, "0 or more"),
        ({"metrics_retention_days": -1}, "0 or more"),
        ({"domain_routing_overrides": {"medical": {"treshold": 0.5}}}, "sets treshold. It can set"),
        ({"domain_routing_overrides": {"medical": {"threshold": 7}}}, "number from 0 to 1"),
    ],
)
def test_a_wrong_setting_is_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RouteLLMConfig(**setting)


def test_a_later_assignment_is_checked_too() -> None:
    config = RouteLLMConfig()
    with pytest.raises(ValueError, match="from 0 to 1"):
        config.threshold = 3
    assert config.threshold == 0.11593


def test_update_changes_several_settings() -> None:
    config = RouteLLMConfig()
    config.update({"enabled": True, "router_type": "local"})
    assert config.enabled
    assert config.router_type is RouterType.LOCAL


@pytest.mark.parametrize("wrong", [{"threshold": 7}, {"treshold": 0.5}])
def test_an_update_with_a_wrong_setting_changes_nothing(wrong: dict[str, Any]) -> None:
    config = RouteLLMConfig()
    with pytest.raises(ValueError, match="threshold"):
        config.update({"enabled": True, **wrong})
    assert not config.enabled


def test_a_domain_without_an_override_has_the_common_settings() -> None:
    config = RouteLLMConfig(enabled=True)
    assert config.get_domain_override("medical") is None
    assert config.for_domain("medical") == DomainSettings(
        True, RouterType.MATRIX_FACTORIZATION, 0.11593, "gpt-4-1106-preview", "gpt-3.5-turbo"
    )


def test_an_override_changes_its_domain_only() -> None:
    config = RouteLLMConfig(
        enabled=True,
        domain_routing_overrides={"medical": {"threshold": 0.05, "router_type": "local"}},
    )
    assert config.get_domain_override("medical") == {"threshold": 0.05, "router_type": "local"}
    assert config.for_domain("medical").threshold == 0.05
    assert config.for_domain("medical").router_type is RouterType.LOCAL
    assert config.for_domain("legal").threshold == 0.11593


def test_overrides_do_not_count_without_domain_specific_routing() -> None:
    config = RouteLLMConfig(
        domain_specific_routing=False, domain_routing_overrides={"medical": {"threshold": 0.05}}
    )
    assert config.get_domain_override("medical") is None
    assert config.for_domain("medical").threshold == 0.11593


def test_an_override_turns_a_domain_off_but_never_on() -> None:
    overrides: dict[str, dict[str, Any]] = {
        "medical": {"enabled": False},
        "legal": {"enabled": True},
    }
    on = RouteLLMConfig(enabled=True, domain_routing_overrides=overrides)
    off = RouteLLMConfig(enabled=False, domain_routing_overrides=overrides)
    assert not on.for_domain("medical").enabled
    assert on.for_domain("legal").enabled
    assert not off.for_domain("legal").enabled


def decision(**values: Any) -> RoutingDecision:
    defaults: dict[str, Any] = {
        "should_use_routellm": True,
        "recommended_model": "gpt-3.5-turbo",
        "confidence": 0.9,
        "estimated_cost": 0.001,
        "reasoning": "",
    }
    return RoutingDecision(**defaults | values)


def test_high_confidence_starts_at_four_fifths() -> None:
    assert decision(confidence=0.8).is_high_confidence
    assert not decision(confidence=0.79).is_high_confidence


def test_cost_effective_means_cheaper_than_the_baseline() -> None:
    assert decision(baseline_cost=0.01).is_cost_effective
    assert not decision(baseline_cost=0.001).is_cost_effective


def test_without_a_baseline_a_routed_decision_with_a_known_cost_is_called_cost_effective() -> None:
    assert decision(baseline_cost=None).is_cost_effective
    assert not decision(baseline_cost=None, estimated_cost=0.0).is_cost_effective


def test_without_a_price_nothing_is_called_cost_effective() -> None:
    assert not decision(estimated_cost=None, baseline_cost=None).is_cost_effective
    assert not decision(estimated_cost=None, baseline_cost=0.01).is_cost_effective
