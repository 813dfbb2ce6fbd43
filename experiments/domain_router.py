"""The Python API: which registered model should answer a prompt, without Django or a database.

    router = DomainRouter(registry)
    model = await router.route_by_domain("Is this mole dangerous?")

A thin door on `experiments.core`: with RouteLLM on for a domain the same `decide` answers as in the
web application; otherwise the classic selector does, with the domain's needs as criteria.
"""

import time
from collections.abc import Mapping
from typing import Any

from experiments.core.catalog import (
    Model,
    ModelCapabilities,
    ModelCost,
    ModelMetrics,
    ModelRegistry,
    Registry,
    find_model,
)
from experiments.core.costs import estimate_tokens
from experiments.core.detection import (
    Candidate,
    DomainConfig,
    InvalidDomainError,
    InvalidPatternError,
    detect,
)
from experiments.core.selection import (
    GENERAL,
    ModelSelectionCriteria,
    ModelSelector,
    NoEligibleModelsError,
)
from experiments.python_api.answers import (
    RouteLLMStatus,
    TextAnalysis,
)
from experiments.python_api.decider import (
    AnalyzedPrompt,
    Complexity,
    DecidedPrompt,
    DomainDecider,
    RouteLLMUnavailableError,
    UnknownDomainError,
    checked_text,
)
from experiments.python_api.flags import FeatureFlags, UnknownFlagError
from experiments.python_api.policy import (
    DETECTION_THRESHOLD,
)
from experiments.python_api.routellm_config import RouteLLMConfig, RouterType, RoutingDecision
from experiments.python_api.scorers import Scorers
from experiments.python_api.tracking import (
    DOMAIN_SELECTOR,
    ROUTELLM,
    ROUTELLM_FALLBACK,
    CostSavingsReport,
    CostTracker,
    MetricsSummary,
    RoutingMetrics,
)

# Domains with less confidence are not listed by `analyze_text`.
LISTED_CONFIDENCE = 0.1

__all__ = [
    "Candidate",
    "CostSavingsReport",
    "CostTracker",
    "DomainConfig",
    "DomainRouter",
    "FeatureFlags",
    "InvalidDomainError",
    "InvalidPatternError",
    "MetricsSummary",
    "Model",
    "ModelCapabilities",
    "ModelCost",
    "ModelMetrics",
    "ModelRegistry",
    "ModelSelectionCriteria",
    "ModelSelector",
    "NoEligibleModelsError",
    "RouteLLMConfig",
    "RouteLLMStatus",
    "RouteLLMUnavailableError",
    "RouterType",
    "RoutingDecision",
    "RoutingMetrics",
    "TextAnalysis",
    "UnknownDomainError",
    "UnknownFlagError",
]


class DomainRouter(DomainDecider):
    """Routes prompts among the models of a registry by domain, and by RouteLLM where it is on."""

    def __init__(
        self,
        registry: Registry,
        routellm_config: RouteLLMConfig | None = None,
        feature_flags: FeatureFlags | None = None,
    ) -> None:
        super().__init__(registry, routellm_config, feature_flags)
        self.cost_tracker: CostTracker | None = None
        self._follow_settings()

    async def route_by_domain(
        self,
        text: str,
        base_criteria: ModelSelectionCriteria | None = None,
        domain_override: str | None = None,
    ) -> Model:
        """The model that should answer. The decision is tracked, the text is not kept.

        With `fallback_enabled` a router that fails never raises: the domain selector answers, and
        the decision is tracked as `routellm_fallback`, not successful, with the reason.

        Raises UnknownDomainError (a ValueError), NoEligibleModelsError, and, only without
        `fallback_enabled`, RouteLLMUnavailableError.
        """
        started = time.perf_counter()
        prompt = self._look_at(text, base_criteria, domain_override)
        try:
            outcome = await self._decide(prompt)
        except (NoEligibleModelsError, RouteLLMUnavailableError) as error:
            self._track_failure(prompt, error, started)
            raise
        self._track(prompt, outcome, started)
        return outcome.model

    def detect_domains(
        self, text: str, threshold: float = DETECTION_THRESHOLD
    ) -> list[tuple[str, float]]:
        """Domains by keywords and patterns with at least this confidence, best first."""
        if not 0.0 <= threshold <= 1.0:
            raise ValueError(f"threshold is {threshold}. Give a number from 0 to 1.")
        found = detect(checked_text(text), self.domains.values())
        return [(name, confidence) for name, confidence in found if confidence >= threshold]

    def register_domain(self, domain: DomainConfig) -> None:
        """Adds a domain, or replaces the one of that name."""
        self.domains[domain.name] = domain

    def get_domain_info(self, name: str) -> DomainConfig | None:
        """The domain of that name, or None."""
        return self.domains.get(name)

    def list_domains(self) -> list[str]:
        return list(self.domains)

    def analyze_text(self, text: str, domain_override: str | None = None) -> TextAnalysis:
        """What `route_by_domain` would decide, explained. Nothing is tracked."""
        prompt = self._look_at(text, None, domain_override)
        decision = self._expected_decision(prompt)
        cost, baseline = decision.estimated_cost, decision.baseline_cost
        detected = [each for each in prompt.candidates if each.confidence >= LISTED_CONFIDENCE]
        complexity = self._complexity(prompt) if self.is_routellm_enabled() else None
        return TextAnalysis(
            text_length=len(text),
            word_count=len(text.split()),
            estimated_tokens=estimate_tokens(text),
            detected_domains=[{"domain": d.name, "confidence": d.confidence} for d in detected],
            primary_domain=domain_override or (detected[0].name if detected else None),
            multi_domain=len(detected) > 1,
            domain=prompt.domain.name,
            complexity=decision.score,
            threshold=decision.threshold,
            confidence=decision.confidence,
            routing_method=_method(decision),
            recommended_model=decision.recommended_model,
            estimated_cost=cost,
            baseline_cost=baseline,
            estimated_savings=None if cost is None or baseline is None else baseline - cost,
            reasoning=decision.reasoning,
            fallback_reason=decision.fallback_reason,
            **_routellm_part(complexity),
        )

    def _expected_decision(self, prompt: AnalyzedPrompt) -> RoutingDecision:
        """Without a coroutine; where no model may answer, a decision without one."""
        try:
            if self._is_routed(prompt):
                return self._route(prompt).decision
            return self._explain(prompt, ModelSelector(self.registry).select(prompt.criteria).model)
        except NoEligibleModelsError as error:
            return RoutingDecision(
                should_use_routellm=False,
                confidence=prompt.confidence,
                estimated_cost=None,
                reasoning=str(error),
                domains=prompt.candidates,
            )

    def get_routellm_config(self) -> RouteLLMConfig:
        return self.routellm_config

    def update_routellm_config(
        self, config: RouteLLMConfig | Mapping[str, Any] | None = None, **settings: Any
    ) -> None:
        """Replaces the settings, or changes some: `update_routellm_config(threshold=0.4)`.

        Raises ValueError, and then changes nothing.
        """
        if isinstance(config, RouteLLMConfig):
            config.update(settings)
            self.routellm_config = config
            self._scorers = Scorers()
        else:
            self.routellm_config.update({**(config or {}), **settings})
        self._follow_settings()

    def _follow_settings(self) -> None:
        """What was tracked is kept, unless tracking is configured off."""
        if not self.routellm_config.cost_tracking_enabled:
            self.cost_tracker = None
        elif self.cost_tracker is None:
            self.cost_tracker = CostTracker(self.routellm_config.metrics_retention_days)
        else:
            self.cost_tracker.retention_days = self.routellm_config.metrics_retention_days

    def get_feature_flags(self) -> FeatureFlags:
        return self.feature_flags

    def update_feature_flags(self, flags: Mapping[str, bool] | None = None, **more: bool) -> None:
        """Turns flags on and off by their keys. Raises UnknownFlagError, and then changes none."""
        self.feature_flags.update_flags({**(flags or {}), **more})

    def get_routellm_status(self) -> RouteLLMStatus:
        """What is configured, whether it can work, and what to do where it cannot."""
        config = self.routellm_config
        report = self.get_cost_savings_report(config.metrics_retention_days)
        name = config.router_type.value
        ready = self._scorers.is_ready(name)
        return RouteLLMStatus(
            enabled=self.is_routellm_enabled(),
            config_enabled=config.enabled,
            feature_flag_enabled=self.feature_flags.is_enabled(FeatureFlags.ROUTELLM_ENABLED),
            controller_initialized=self._scorers.is_built,
            controller_available=ready is True,
            controller_error=self._scorers.problem(name),
            cost_tracking_enabled=config.cost_tracking_enabled,
            router_type=name,
            router_model_string=config.get_router_model_string(),
            router_ready=ready,
            threshold=config.threshold,
            strong_model=config.strong_model,
            weak_model=config.weak_model,
            fallback_enabled=config.fallback_enabled,
            enabled_domains=[d for d in (*self.domains, GENERAL) if self.is_routellm_enabled(d)],
            domain_detector=config.domain_detector,
            cost_optimization_target=config.cost_optimization_target,
            realised_savings=_realized(report),
            problems=self._problems(),
        )

    def get_cost_savings_report(self, period_days: int = 30) -> CostSavingsReport | None:
        """Costs and savings, from prices only: what has no price is counted as unpriced. None while
        cost tracking is configured off."""
        if self.cost_tracker is None:
            return None
        return self.cost_tracker.get_cost_savings_report(period_days)

    def get_routing_metrics_summary(self) -> MetricsSummary | dict[str, str]:
        """What was tracked, counted; `{"error": ...}` while cost tracking is configured off."""
        if self.cost_tracker is None:
            return {"error": "Cost tracking is off. Set cost_tracking_enabled to turn it on."}
        return self.cost_tracker.get_metrics_summary()

    def _problems(self) -> list[str]:
        config = self.routellm_config
        problems = [
            f"{role} is '{name}', which is not registered. Register it, or set {role} to another."
            for role, name in (
                ("strong_model", config.strong_model),
                ("weak_model", config.weak_model),
            )
            if find_model(self.registry, name) is None
        ]
        router = self._scorers.problem(config.router_type.value)
        return [*problems, f"Router '{config.router_type}': {router}"] if router else problems

    def _track(self, prompt: AnalyzedPrompt, outcome: DecidedPrompt, started: float) -> None:
        decision, failure = outcome.decision, outcome.router_failure
        self._remember(
            prompt,
            started,
            routing_method=ROUTELLM_FALLBACK if failure else _method(decision),
            selected_model=outcome.model.name,
            routing_confidence=decision.confidence,
            estimated_cost=decision.estimated_cost,
            baseline_cost=decision.baseline_cost,
            success=failure is None,
            error_message=failure,
        )

    def _track_failure(self, prompt: AnalyzedPrompt, error: Exception, started: float) -> None:
        self._remember(
            prompt,
            started,
            routing_method=ROUTELLM if self._is_routed(prompt) else DOMAIN_SELECTOR,
            selected_model="",
            routing_confidence=0.0,
            estimated_cost=None,
            success=False,
            error_message=str(error),
        )

    def _remember(self, prompt: AnalyzedPrompt, started: float, **values: Any) -> None:
        """Keeps a decision, without costs or timings where the flags and settings say so."""
        config, flags = self.routellm_config, self.feature_flags
        costs = flags.is_enabled(flags.ROUTELLM_COST_TRACKING)
        timings = config.performance_monitoring_enabled and flags.is_enabled(
            flags.ROUTELLM_PERFORMANCE_MONITORING
        )
        if self.cost_tracker is None or not (costs or timings):
            return
        if not costs:
            values |= {"estimated_cost": None, "baseline_cost": None}
        latency = (time.perf_counter() - started) * 1000
        self.cost_tracker.track_routing_decision(
            text=prompt.text,
            domains=prompt.named_domains,
            routing_latency_ms=latency if timings else None,
            **values,
        )


def _realized(report: CostSavingsReport | None) -> float | None:
    """The share of the baseline's cost that was saved; None while nothing is priced."""
    if report is None or not report.priced_requests:
        return None
    return report.savings_percentage / 100


def _routellm_part(complexity: Complexity | None) -> dict[str, Any]:
    if complexity is None:
        return {}
    score, is_strong = complexity.score, complexity.is_strong
    return {
        "routellm_enabled": True,
        "complexity_score": score,
        "recommended_routing": "strong_model" if is_strong else "weak_model",
        "routing_confidence": score if is_strong else 1 - score,
    }


def _method(decision: RoutingDecision) -> str:
    return ROUTELLM if decision.should_use_routellm else DOMAIN_SELECTOR
