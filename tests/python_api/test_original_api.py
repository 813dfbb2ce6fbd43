"""What code written against the original domain router relies on: names, defaults and keys."""

import asyncio
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from experiments.domain_router import (
    CostSavingsReport,
    DomainConfig,
    DomainRouter,
    FeatureFlags,
    Model,
    ModelCapabilities,
    ModelCost,
    ModelRegistry,
    ModelSelectionCriteria,
    NoEligibleModelsError,
    RouteLLMConfig,
    RouteLLMUnavailableError,
    RouterType,
    RoutingDecision,
)

MEDICAL_TEXT = "The patient has a fever; which medication?"
SEEDED = ("medical", "legal", "creative", "technical", "scientific", "financial", "educational")


def model(name: str) -> Model:
    return Model(name, "acme", ModelCapabilities(["chat"]), ModelCost(0.01, 0.03))


def registry_of(*names: str) -> ModelRegistry:
    registry = ModelRegistry()
    for name in names:
        registry.register_model(model(name))
    return registry


class OwnSelector:
    """Any object with `select_model` will do."""

    def __init__(self, answer: Model) -> None:
        self.answer = answer
        self.asked: list[ModelSelectionCriteria | None] = []

    async def select_model(self, criteria: ModelSelectionCriteria | None = None) -> Model:
        self.asked.append(criteria)
        return self.answer


def routellm_on(router_type: str = "local", **settings: Any) -> dict[str, Any]:
    config = RouteLLMConfig(
        enabled=True,
        router_type=RouterType(router_type),
        strong_model="strong",
        weak_model="weak",
        **settings,
    )
    flags = FeatureFlags({"routellm_enabled": True, "routellm_medical_domain": True})
    return {"routellm_config": config, "feature_flags": flags}


def broken(tmp_path: Path, **settings: Any) -> dict[str, Any]:
    """A router whose checkpoint does not exist."""
    return routellm_on(router_arguments={"checkpoint_path": str(tmp_path)}, **settings)


class TestRoutingDecision:
    def test_the_defaults(self) -> None:
        decision = RoutingDecision(should_use_routellm=True)
        assert decision.recommended_model is None
        assert (decision.confidence, decision.estimated_cost) == (0.0, 0.0)
        assert (decision.reasoning, decision.domains, decision.fallback_reason) == ("", [], None)

    @pytest.mark.parametrize(
        ("used", "cost", "baseline", "expected"),
        [
            (True, 0.01, None, True),
            (True, 0.0, None, False),
            (True, None, None, False),
            (False, 0.01, None, False),
            (True, 0.01, 0.02, True),
            (True, 0.02, 0.02, False),
            (False, 0.01, 0.02, True),
        ],
    )
    def test_cost_effective(
        self, used: bool, cost: float | None, baseline: float | None, expected: bool
    ) -> None:
        decision = RoutingDecision(used, estimated_cost=cost, baseline_cost=baseline)
        assert decision.is_cost_effective is expected


class TestFlags:
    @pytest.mark.parametrize("name", SEEDED)
    def test_a_seeded_domain_follows_its_own_flag(self, name: str) -> None:
        flags = FeatureFlags({"routellm_enabled": True})
        assert not flags.is_domain_enabled(name)
        flags.enable(f"routellm_{name}_domain")
        flags.disable("routellm_enabled")
        assert flags.is_domain_enabled(name)

    @pytest.mark.parametrize("name", ["general", "cooking", ""])
    def test_any_other_name_follows_the_master_flag(self, name: str) -> None:
        flags = FeatureFlags()
        assert not flags.is_domain_enabled(name)
        flags.enable(FeatureFlags.ROUTELLM_ENABLED)
        assert flags.is_domain_enabled(name)

    def test_an_unknown_key_reads_as_off(self) -> None:
        assert not FeatureFlags().is_enabled("no_such_flag")


class TestDomainConfig:
    def test_only_the_name_is_needed(self) -> None:
        domain = DomainConfig("cooking")
        assert (domain.keywords, domain.patterns, domain.preferred_models) == ([], [], [])
        assert domain.matches_text("bread") == 0.0

    def test_matches_text_is_the_classic_confidence(self) -> None:
        domain = DomainConfig("cooking", ["salt", "oven"], [r"\bbak(e|ing)\b", r"\bflour\b"])
        assert domain.matches_text("salt") == 0.5
        assert domain.matches_text("baking with salt") == 0.6
        assert domain.matches_text("nothing") == 0.0


class TestRegistry:
    def test_any_object_with_models(self) -> None:
        registry = SimpleNamespace(models={"acme:strong": model("strong")})
        router = DomainRouter(registry)
        assert asyncio.run(router.route_by_domain("hello")).name == "strong"
        assert router.registry is registry

    def test_an_empty_one(self) -> None:
        router = DomainRouter(SimpleNamespace(models={}))
        with pytest.raises(NoEligibleModelsError):
            asyncio.run(router.route_by_domain("hello"))
        assert router.get_routellm_status()["controller_initialized"] is False


class TestSelector:
    def test_the_classic_path_asks_it_once(self) -> None:
        router = DomainRouter(registry_of("strong", "weak"))
        router.selector = own = OwnSelector(model("mine"))
        assert asyncio.run(router.route_by_domain(MEDICAL_TEXT)) is own.answer
        assert len(own.asked) == 1

    def test_a_router_that_fails_leads_to_it(self, tmp_path: Path) -> None:
        router = DomainRouter(SimpleNamespace(models={}), **broken(tmp_path))
        router.selector = own = OwnSelector(model("mine"))
        assert asyncio.run(router.route_by_domain(MEDICAL_TEXT)) is own.answer
        assert len(own.asked) == 1

    def test_its_models_need_no_price(self) -> None:
        router = DomainRouter(SimpleNamespace(models={}))
        router.selector = OwnSelector(SimpleNamespace(name="mine", cost=None))  # type: ignore[arg-type]
        assert asyncio.run(router.route_by_domain("hello")).name == "mine"


class TestFallback:
    def test_it_is_tracked_with_its_reason(self, tmp_path: Path) -> None:
        router = DomainRouter(registry_of("strong", "weak"), **broken(tmp_path))
        asyncio.run(router.route_by_domain(MEDICAL_TEXT))
        assert router.cost_tracker is not None
        (metrics,) = router.cost_tracker.metrics
        assert (metrics.routing_method, metrics.success) == ("routellm_fallback", False)
        assert str(tmp_path) in (metrics.error_message or "")
        assert metrics.selected_model in ("strong", "weak")

    def test_anything_that_goes_wrong_while_scoring_falls_back(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        router = DomainRouter(registry_of("strong", "weak"), **routellm_on())

        def explode(*_: object) -> None:
            raise ImportError("No module named 'routellm'")

        monkeypatch.setattr(router._scorers, "prepare", explode)
        assert asyncio.run(router.route_by_domain(MEDICAL_TEXT)).name in ("strong", "weak")
        assert router.cost_tracker is not None
        (metrics,) = router.cost_tracker.metrics
        assert metrics.error_message == "ImportError: No module named 'routellm'"

        router.update_routellm_config(fallback_enabled=False)
        with pytest.raises(RouteLLMUnavailableError, match="No module named 'routellm'"):
            asyncio.run(router.route_by_domain(MEDICAL_TEXT))


class TestConfiguration:
    def test_cost_tracking_configured_off(self) -> None:
        router = DomainRouter(registry_of("a"), RouteLLMConfig(cost_tracking_enabled=False))
        assert router.cost_tracker is None
        asyncio.run(router.route_by_domain("hello"))
        assert router.get_cost_savings_report() is None
        assert list(router.get_routing_metrics_summary()) == ["error"]
        assert router.get_routellm_status()["cost_tracking_enabled"] is False

    def test_replacing_the_configuration_counts_for_the_next_decision(self) -> None:
        router = DomainRouter(registry_of("strong", "weak"), **routellm_on(threshold=0.0))
        assert asyncio.run(router.route_by_domain(MEDICAL_TEXT)).name == "strong"
        assert router.get_routellm_status()["controller_initialized"] is True
        replacement = routellm_on(threshold=1.0)["routellm_config"]
        router.update_routellm_config(replacement)
        assert router.get_routellm_config() is replacement
        assert router.get_routellm_status()["controller_initialized"] is False
        assert asyncio.run(router.route_by_domain(MEDICAL_TEXT)).name == "weak"


class TestStatus:
    def test_the_controller_is_built_by_the_first_decision(self) -> None:
        router = DomainRouter(registry_of("strong", "weak"), **routellm_on())
        before = router.get_routellm_status()
        assert before["config_enabled"]
        assert before["feature_flag_enabled"]
        assert not before["controller_initialized"]
        assert not before["controller_available"]
        assert before["controller_error"] is None
        asyncio.run(router.route_by_domain(MEDICAL_TEXT))
        after = router.get_routellm_status()
        assert after["controller_initialized"]
        assert after["controller_available"]
        assert (after["router_type"], after["threshold"]) == ("local", 0.11593)
        assert (after["strong_model"], after["weak_model"]) == ("strong", "weak")

    def test_a_controller_that_cannot_be_built_says_why(self, tmp_path: Path) -> None:
        router = DomainRouter(registry_of("strong", "weak"), **broken(tmp_path))
        asyncio.run(router.route_by_domain(MEDICAL_TEXT))
        status = router.get_routellm_status()
        assert status["controller_initialized"]
        assert not status["controller_available"]
        assert str(tmp_path) in status["controller_error"]


class TestAnalysis:
    def test_with_routellm_off(self) -> None:
        analysis = DomainRouter(registry_of("a")).analyze_text(MEDICAL_TEXT)
        assert analysis["text_length"] == len(MEDICAL_TEXT)
        assert analysis["primary_domain"] == "medical"
        assert set(analysis["detected_domains"][0]) == {"domain", "confidence"}
        assert analysis["multi_domain"] is False
        for name in ("routellm_enabled", "complexity_score", "recommended_routing"):
            assert name not in analysis

    def test_without_a_domain(self) -> None:
        analysis = DomainRouter(registry_of("a")).analyze_text("hello")
        assert analysis["detected_domains"] == []
        assert analysis["primary_domain"] is None

    def test_domains_are_listed_from_a_tenth(self) -> None:
        router = DomainRouter(registry_of("a"))
        router.register_domain(DomainConfig("tenth", [f"word{n}" for n in range(10)]))
        router.register_domain(DomainConfig("less", [f"word{n}" for n in range(11)]))
        assert router.analyze_text("word3")["detected_domains"] == [
            {"domain": "tenth", "confidence": 0.1}
        ]

    @pytest.mark.parametrize("on", [False, True])
    def test_without_models(self, on: bool) -> None:
        router = DomainRouter(SimpleNamespace(models={}), **(routellm_on() if on else {}))
        analysis = router.analyze_text(MEDICAL_TEXT)
        assert analysis["recommended_model"] is None
        assert ("complexity_score" in analysis) is on

    @pytest.mark.parametrize(("threshold", "routing"), [(0.0, "strong_model"), (1.0, "weak_model")])
    def test_with_routellm_on(self, threshold: float, routing: str) -> None:
        router = DomainRouter(registry_of("strong", "weak"), **routellm_on(threshold=threshold))
        analysis = router.analyze_text(MEDICAL_TEXT)
        assert analysis["routellm_enabled"] is True
        assert 0 <= analysis["complexity_score"] <= 1
        assert analysis["recommended_routing"] == routing
        assert 0 <= analysis["routing_confidence"] <= 1

    def test_where_the_router_cannot_answer_the_local_one_does(self, tmp_path: Path) -> None:
        router = DomainRouter(registry_of("strong", "weak"), **broken(tmp_path))
        analysis = router.analyze_text(MEDICAL_TEXT)
        local = DomainRouter(registry_of("strong", "weak"), **routellm_on())
        assert analysis["complexity"] is None
        assert analysis["complexity_score"] == local.analyze_text(MEDICAL_TEXT)["complexity_score"]
        assert analysis["recommended_routing"] in ("strong_model", "weak_model")


def test_the_report_as_a_mapping() -> None:
    router = DomainRouter(registry_of("a"))
    asyncio.run(router.route_by_domain("hello"))
    report = router.get_cost_savings_report(period_days=7)
    assert isinstance(report, CostSavingsReport)
    promised = (
        "period_days total_requests routellm_requests traditional_requests estimated_savings "
        "savings_percentage success_rate average_latency_ms average_quality_score"
    )
    assert set(promised.split()) <= set(report)
    assert report["total_requests"] == report["traditional_requests"] == 1


def test_the_example_of_moving_an_application_runs() -> None:
    root = Path(__file__).resolve().parent.parent.parent
    done = subprocess.run(
        [sys.executable, "docs/examples/moving.py"],
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "the application's selector chose small" in done.stdout
    assert "RouteLLM would choose" in done.stdout
