"""The Python API as an application uses it: no settings, no database."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.domain_router import (
    CostSavingsReport,
    DomainConfig,
    DomainRouter,
    FeatureFlags,
    InvalidPatternError,
    MetricsSummary,
    Model,
    ModelCapabilities,
    ModelCost,
    ModelRegistry,
    ModelSelectionCriteria,
    ModelSelector,
    NoEligibleModelsError,
    RouteLLMConfig,
    RouteLLMUnavailableError,
    RoutingMetrics,
    UnknownDomainError,
)
from experiments.routers.local import calibrated_thresholds

MEDICAL_TEXT = "The patient has a fever; which medication?"
SMALL_TALK = "hello there"


def make_registry(*, priced: bool = True) -> ModelRegistry:
    registry = ModelRegistry()
    strong_cost = ModelCost(0.01, 0.03) if priced else ModelCost()
    weak_cost = ModelCost(0.0005, 0.0015) if priced else ModelCost()
    registry.register_model(
        Model("strong", "acme", ModelCapabilities(["chat"], accuracy_score=0.95), strong_cost)
    )
    registry.register_model(
        Model(
            "weak",
            "acme",
            ModelCapabilities(["chat"], accuracy_score=0.8, speed_rating="fast"),
            weak_cost,
        )
    )
    return registry


def make_router(registry: ModelRegistry | None = None, **settings: Any) -> DomainRouter:
    """The local router, on for medical and general: always strong at 0, always weak at 1."""
    defaults: dict[str, Any] = {
        "enabled": True,
        "router_type": "local",
        "threshold": 0.0,
        "strong_model": "strong",
        "weak_model": "weak",
    }
    flags = FeatureFlags(
        {
            "routellm_enabled": True,
            "routellm_medical_domain": True,
            "routellm_general_domain": True,
        }
    )
    return DomainRouter(registry or make_registry(), RouteLLMConfig(**defaults | settings), flags)


def route(router: DomainRouter, text: str = MEDICAL_TEXT, **arguments: Any) -> str:
    return asyncio.run(router.route_by_domain(text, **arguments)).name


def test_it_needs_neither_django_nor_routellm() -> None:
    code = """
import asyncio, sys
from experiments.domain_router import DomainRouter, Model, ModelCapabilities, ModelCost
from experiments.domain_router import ModelRegistry
registry = ModelRegistry()
registry.register_model(Model("m", "p", ModelCapabilities(["chat"]), ModelCost(1, 1)))
assert asyncio.run(DomainRouter(registry).route_by_domain("hello")).name == "m"
print(*{"django", "rest_framework", "routellm", "torch", "numpy"} & set(sys.modules))
"""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert process.stdout.split() == [], process.stderr
    assert process.returncode == 0, process.stderr


def tracked(router: DomainRouter) -> list[RoutingMetrics]:
    assert router.cost_tracker is not None
    return router.cost_tracker.metrics


def report_of(router: DomainRouter) -> CostSavingsReport:
    report = router.get_cost_savings_report()
    assert report is not None
    return report


def summary_of(router: DomainRouter) -> MetricsSummary:
    summary = router.get_routing_metrics_summary()
    assert isinstance(summary, MetricsSummary)
    return summary


class TestClassicPath:
    def test_it_works(self) -> None:
        router = DomainRouter(make_registry())
        model = asyncio.run(router.route_by_domain(MEDICAL_TEXT))
        assert model is router.registry.models["acme:strong"]

    def test_the_domain_decides_how_accurate_the_model_must_be(self) -> None:
        router = DomainRouter(make_registry())
        assert route(router, MEDICAL_TEXT) == "strong"
        assert route(router, SMALL_TALK) == "weak"

    def test_an_override_replaces_detection(self) -> None:
        assert (
            route(DomainRouter(make_registry()), SMALL_TALK, domain_override="medical") == "strong"
        )

    def test_general_may_be_named(self) -> None:
        assert route(DomainRouter(make_registry()), domain_override="general") == "weak"

    def test_an_unknown_override_names_the_domains_there_are(self) -> None:
        with pytest.raises(ValueError, match=r"Unknown domain 'cooking'.*creative.*general.*med"):
            route(DomainRouter(make_registry()), domain_override="cooking")

    def test_an_empty_override_is_unknown(self) -> None:
        with pytest.raises(UnknownDomainError):
            route(DomainRouter(make_registry()), domain_override="")

    def test_the_callers_criteria_hold(self) -> None:
        criteria = ModelSelectionCriteria(excluded_models=["strong"])
        assert route(DomainRouter(make_registry()), base_criteria=criteria) == "weak"

    def test_no_eligible_model(self) -> None:
        router = DomainRouter(ModelRegistry())
        with pytest.raises(NoEligibleModelsError, match="register_model"):
            route(router)
        (metrics,) = tracked(router)
        assert not metrics.success
        assert "register_model" in (metrics.error_message or "")

    @pytest.mark.parametrize(
        "text", ["", "   ", "🙂", "\x00\x01", "\ud800", "x" * 100_000, "مرحبا"]
    )
    def test_any_text_is_routed(self, text: str) -> None:
        assert route(DomainRouter(make_registry()), text) == "weak"

    def test_a_text_that_is_no_string_is_refused(self) -> None:
        with pytest.raises(TypeError, match="Give the prompt as a string"):
            route(DomainRouter(make_registry()), None)  # type: ignore[arg-type]

    def test_a_replaced_selector_is_asked(self) -> None:
        router = DomainRouter(make_registry())

        class AlwaysWeak(ModelSelector):
            async def select_model(self, criteria: ModelSelectionCriteria | None = None) -> Model:
                assert criteria is not None
                assert criteria.required_domains == ("medical",)
                return self.registry.models["acme:weak"]

        router.selector = AlwaysWeak(router.registry)
        assert route(router) == "weak"


class TestDomains:
    def test_the_seven_are_there(self) -> None:
        assert DomainRouter(make_registry()).list_domains() == [
            "medical",
            "legal",
            "creative",
            "technical",
            "scientific",
            "financial",
            "educational",
        ]

    def test_detection_above_a_threshold(self) -> None:
        router = DomainRouter(make_registry())
        router.register_domain(DomainConfig("cooking", ["pan", "salt", "oven", "flour"]))
        assert router.detect_domains("salt in the oven") == [("cooking", 0.5)]
        assert router.detect_domains("salt in the oven", threshold=0.6) == []
        assert router.detect_domains("only salt") == []
        assert router.detect_domains("only salt", threshold=0.25) == [("cooking", 0.25)]

    def test_a_threshold_outside_its_scale(self) -> None:
        with pytest.raises(ValueError, match="from 0 to 1"):
            DomainRouter(make_registry()).detect_domains("x", threshold=1.5)

    def test_a_domain_of_ones_own_is_routed(self) -> None:
        router = DomainRouter(make_registry())
        router.register_domain(DomainConfig("cooking", ["oven"], preferred_models=["acme/strong"]))
        assert route(router, "preheat the oven") == "strong"
        assert router.get_domain_info("cooking") is router.domains["cooking"]

    def test_registering_again_replaces(self) -> None:
        router = DomainRouter(make_registry())
        router.register_domain(DomainConfig("medical", ["unicorn"]))
        assert router.detect_domains(MEDICAL_TEXT) == []
        assert router.detect_domains("unicorn") == [("medical", 1.0)]
        assert len(router.list_domains()) == 7

    def test_routers_do_not_share_their_domains(self) -> None:
        DomainRouter(make_registry()).register_domain(DomainConfig("cooking", ["oven"]))
        assert "cooking" not in DomainRouter(make_registry()).domains

    def test_a_broken_pattern_never_gets_registered(self) -> None:
        with pytest.raises(InvalidPatternError, match=r"Domain 'cooking': .*missing"):
            DomainRouter(make_registry()).register_domain(DomainConfig("cooking", [], ["(oven"]))

    def test_an_unknown_domain_has_no_info(self) -> None:
        assert DomainRouter(make_registry()).get_domain_info("cooking") is None


class TestRouteLLM:
    def test_at_or_above_the_threshold_goes_to_the_strong_model(self) -> None:
        assert route(make_router(threshold=0.0)) == "strong"

    def test_below_the_threshold_goes_to_the_weak_model(self) -> None:
        assert route(make_router(threshold=1.0)) == "weak"

    @pytest.mark.parametrize(("threshold", "model"), [(0.0, "strong"), (1.0, "weak")])
    def test_matrix_factorisation_without_a_key(self, threshold: float, model: str) -> None:
        router = make_router(router_type="local_mf", threshold=threshold)
        assert route(router) == model
        assert router.get_routellm_status().router_ready

    def test_it_is_off_by_default(self) -> None:
        router = DomainRouter(make_registry())
        assert not router.is_routellm_enabled()
        route(router)
        assert summary_of(router).requests_by_method == {"domain_selector": 1}

    def test_a_domain_whose_flag_is_off_stays_on_the_classic_path(self) -> None:
        router = make_router(threshold=1.0)
        router.feature_flags.disable("routellm_medical_domain")
        assert router.is_routellm_enabled()
        assert not router.is_routellm_enabled("medical")
        assert route(router, MEDICAL_TEXT) == "strong"
        assert route(router, SMALL_TALK) == "weak"

    def test_an_override_of_a_domain(self) -> None:
        router = make_router(
            threshold=1.0, domain_routing_overrides={"medical": {"threshold": 0.0}}
        )
        assert route(router, MEDICAL_TEXT) == "strong"
        assert route(router, SMALL_TALK) == "weak"

    def test_a_pair_named_with_its_provider(self) -> None:
        assert route(make_router(strong_model="acme/strong", weak_model="acme:weak")) == "strong"

    def test_an_excluded_model_is_not_chosen_by_a_router_either(self) -> None:
        criteria = ModelSelectionCriteria(excluded_models=["strong"])
        assert route(make_router(threshold=0.0), base_criteria=criteria) == "weak"

    def test_a_name_of_two_providers_is_excluded_for_both(self) -> None:
        registry = make_registry()
        twin = Model("strong", "globex", ModelCapabilities(["chat"]), ModelCost(0.01, 0.03))
        registry.register_model(twin)
        criteria = ModelSelectionCriteria(excluded_models=["strong"])
        assert route(make_router(registry, strong_model="globex/strong")) == "strong"
        router = make_router(registry, strong_model="globex/strong")
        assert route(router, base_criteria=criteria) == "weak"

    def test_an_uncertified_model_is_not_chosen_by_a_router_either(self) -> None:
        registry = make_registry()
        certified = ModelCapabilities(["chat"], certifications=["HIPAA"])
        registry.register_model(Model("certified", "acme", certified, ModelCost(0.1, 0.1)))
        router = make_router(registry, threshold=0.0)
        assert route(router, MEDICAL_TEXT) == "certified"
        assert route(router, SMALL_TALK) == "strong"

    def test_a_model_that_is_down_is_replaced(self) -> None:
        router = make_router(threshold=0.0)
        router.registry.models["acme:strong"].is_available = False
        assert route(router) == "weak"
        assert "model_unavailable" in (router.analyze_text(MEDICAL_TEXT).fallback_reason or "")

    def test_no_model_at_all(self) -> None:
        with pytest.raises(NoEligibleModelsError):
            route(make_router(ModelRegistry()))

    @pytest.mark.parametrize("text", ["", "x" * 100_000, "\ud800", "🙂"])
    def test_any_text_is_scored(self, text: str) -> None:
        assert route(make_router(threshold=1.0), text) == "weak"


class TestDynamicThreshold:
    def thresholds(self, **settings: Any) -> list[float | None]:
        router = make_router(**settings)
        router.feature_flags.enable(FeatureFlags.ROUTELLM_DYNAMIC_THRESHOLD)
        texts = (MEDICAL_TEXT, SMALL_TALK)
        return [router.analyze_text(text).threshold for text in texts]

    def test_domains_follow_their_calibration(self) -> None:
        calibrated = calibrated_thresholds()
        assert self.thresholds() == [calibrated["medical"], calibrated["general"]]

    def test_a_threshold_of_the_domains_own_stays(self) -> None:
        overrides = {"medical": {"threshold": 0.25}}
        assert self.thresholds(domain_routing_overrides=overrides)[0] == 0.25


class TestLearnedDetector:
    def test_route_by_domain_uses_it_and_detect_domains_does_not(self) -> None:
        text = "My knee swells up every time I go for a run. Should I see somebody about it?"
        router = DomainRouter(make_registry(), RouteLLMConfig(domain_detector="learned"))
        assert router.detect_domains(text) == []
        assert router.analyze_text(text).primary_domain == "medical"

    def test_an_unknown_language_needs_every_domains_flag(self) -> None:
        text = "부작용은 무엇인가요?"
        router = make_router(domain_detector="learned")
        assert router.analyze_text(text).routing_method == "domain_selector"
        router = make_router(domain_detector="learned")
        for name in router.domains:
            router.feature_flags.update_flags({FeatureFlags.domain_flag(name): True})
        assert router.analyze_text(text).routing_method == "routellm"

    def test_a_domain_of_ones_own_keeps_its_keywords(self) -> None:
        router = DomainRouter(make_registry(), RouteLLMConfig(domain_detector="learned"))
        router.register_domain(DomainConfig("cooking", ["simmer"]))
        assert router.analyze_text("Let it simmer.").primary_domain == "cooking"


class TestFallback:
    def test_a_router_without_its_checkpoint_falls_back_and_says_so(self, tmp_path: Path) -> None:
        router = make_router(router_arguments={"checkpoint_path": str(tmp_path)})
        assert route(router, SMALL_TALK) == "weak"
        analysis = router.analyze_text(SMALL_TALK)
        assert analysis.routing_method == "domain_selector"
        assert (analysis.fallback_reason or "").startswith("router_not_ready")
        assert analysis.complexity is None
        status = router.get_routellm_status()
        assert status.router_ready is False
        assert str(tmp_path) in status.problems[0]

    def test_without_fallback_it_raises_what_to_do(self, tmp_path: Path) -> None:
        arguments = {"checkpoint_path": str(tmp_path)}
        router = make_router(router_arguments=arguments, fallback_enabled=False)
        with pytest.raises(RouteLLMUnavailableError, match="Set fallback_enabled"):
            route(router)
        assert report_of(router).success_rate == 0.0

    def test_a_pair_that_is_not_registered_falls_back(self) -> None:
        router = make_router(strong_model="gpt-4-1106-preview")
        assert route(router, SMALL_TALK) == "weak"
        assert "gpt-4-1106-preview" in (router.analyze_text(SMALL_TALK).fallback_reason or "")

    def test_a_pair_that_is_not_registered_raises_without_fallback(self) -> None:
        router = make_router(strong_model="gpt-4-1106-preview", fallback_enabled=False)
        with pytest.raises(RouteLLMUnavailableError, match="gpt-4-1106-preview"):
            route(router)


class TestSettings:
    def test_update_some_settings(self) -> None:
        router = make_router()
        router.update_routellm_config(threshold=1.0)
        assert router.get_routellm_config().threshold == 1.0
        assert route(router) == "weak"

    def test_update_with_a_mapping_or_a_whole_config(self) -> None:
        router = make_router()
        router.update_routellm_config({"threshold": 0.25})
        assert router.routellm_config.threshold == 0.25
        replacement = RouteLLMConfig(metrics_retention_days=7)
        router.update_routellm_config(replacement)
        assert router.routellm_config is replacement
        assert router.cost_tracker is not None
        assert router.cost_tracker.retention_days == 7

    def test_a_threshold_outside_its_scale_changes_nothing(self) -> None:
        router = make_router()
        with pytest.raises(ValueError, match="from 0 to 1"):
            router.update_routellm_config(enabled=False, threshold=2.0)
        assert router.routellm_config.enabled

    def test_flags(self) -> None:
        router = DomainRouter(make_registry())
        router.update_feature_flags({"routellm_enabled": True})
        assert router.get_feature_flags()["routellm_enabled"] is True
        assert router.feature_flags.is_enabled(FeatureFlags.ROUTELLM_ENABLED)

    def test_status(self) -> None:
        status = make_router().get_routellm_status()
        assert status.enabled
        assert status.router_model_string == "router-local-0.0"
        assert status.enabled_domains == ["medical", "general"]
        assert status.router_ready is None
        assert status.problems == []

    def test_status_names_models_that_are_missing(self) -> None:
        problems = DomainRouter(make_registry()).get_routellm_status().problems
        assert problems[0].startswith(
            "strong_model is 'gpt-4-1106-preview', which is not registered"
        )


class TestAnalysis:
    def test_complexity_and_confidence_come_from_the_score(self) -> None:
        analysis = make_router(threshold=1.0).analyze_text(MEDICAL_TEXT)
        assert analysis.complexity is not None
        assert analysis.confidence == 1 - analysis.complexity
        assert analysis.recommended_model == "weak"
        assert analysis.routing_method == "routellm"
        assert "below the threshold 1" in analysis.reasoning

    def test_savings_come_from_prices(self) -> None:
        # 42 characters are 10 tokens; 300 are expected to come out.
        analysis = make_router(threshold=1.0).analyze_text(MEDICAL_TEXT)
        assert analysis.estimated_tokens == 10
        assert analysis.estimated_cost == pytest.approx(0.000455)
        assert analysis.baseline_cost == pytest.approx(0.0091)
        assert analysis.estimated_savings == pytest.approx(0.008645)

    def test_without_prices_nothing_is_claimed(self) -> None:
        router = make_router(make_registry(priced=False))
        analysis = router.analyze_text(MEDICAL_TEXT)
        assert analysis.estimated_cost is None
        assert analysis.estimated_savings is None

    def test_the_classic_path_has_no_complexity(self) -> None:
        analysis = DomainRouter(make_registry()).analyze_text(MEDICAL_TEXT)
        assert analysis.complexity is None
        assert analysis.detected_domains == [
            {"domain": "medical", "confidence": analysis.confidence}
        ]

    def test_nothing_is_tracked(self) -> None:
        router = make_router()
        router.analyze_text(MEDICAL_TEXT)
        assert tracked(router) == []

    def test_it_agrees_with_the_route(self) -> None:
        for threshold in (0.0, 1.0):
            router = make_router(threshold=threshold)
            assert router.analyze_text(MEDICAL_TEXT).recommended_model == route(router)


class TestReports:
    def test_savings_against_always_strong(self) -> None:
        router = make_router(threshold=1.0)
        route(router)
        report = report_of(router)
        assert report.routellm_requests == 1
        assert report.savings_percentage == pytest.approx(95.0)
        assert (report.priced_requests, report.unpriced_requests) == (1, 0)

    def test_an_unpriced_model_is_said_to_be_unpriced(self) -> None:
        router = make_router(make_registry(priced=False))
        route(router)
        report = report_of(router)
        assert report.total_estimated_cost is None
        assert report.estimated_savings == 0.0
        assert (report.priced_requests, report.unpriced_requests) == (0, 1)

    def test_the_domain_is_recorded(self) -> None:
        router = DomainRouter(make_registry())
        route(router, MEDICAL_TEXT)
        route(router, SMALL_TALK)
        assert summary_of(router).requests_by_domain == {
            "medical": 1,
            "general": 1,
        }

    def test_without_cost_tracking_no_costs_are_kept(self) -> None:
        router = make_router()
        router.feature_flags.disable(FeatureFlags.ROUTELLM_COST_TRACKING)
        route(router)
        (metrics,) = tracked(router)
        assert metrics.estimated_cost is None
        assert metrics.routing_latency_ms is not None

    def test_without_monitoring_no_timings_are_kept(self) -> None:
        router = DomainRouter(make_registry(), RouteLLMConfig(performance_monitoring_enabled=False))
        route(router)
        (metrics,) = tracked(router)
        assert metrics.routing_latency_ms is None
        assert metrics.estimated_cost is not None

    def test_without_both_nothing_is_kept(self) -> None:
        router = DomainRouter(
            make_registry(),
            RouteLLMConfig(performance_monitoring_enabled=False, cost_tracking_enabled=False),
        )
        route(router)
        assert router.cost_tracker is None
        assert router.get_cost_savings_report() is None
        assert "error" in router.get_routing_metrics_summary()


def test_many_routes_at_the_same_time() -> None:
    router = make_router(threshold=1.0)

    async def many() -> list[Model]:
        return await asyncio.gather(*(router.route_by_domain(f"question {n}") for n in range(20)))

    assert {model.name for model in asyncio.run(many())} == {"weak"}
    assert len(tracked(router)) == 20
