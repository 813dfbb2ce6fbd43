"""Decisions of the Python API: by RouteLLM through `decide`, or by the domain selector.

Applications use `experiments.domain_router`; this module may change.
"""

import asyncio
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import NamedTuple

from experiments.core.assignment import HashedBuckets, Unit
from experiments.core.catalog import Model, ModelCost, Registry, find_model
from experiments.core.caution import CONFIDENT
from experiments.core.costs import estimate_tokens
from experiments.core.decision import decide
from experiments.core.detection import Candidate, DomainConfig, detect
from experiments.core.domains import GENERAL_DOMAIN, SEEDED_DOMAINS
from experiments.core.policy import Policy
from experiments.core.selection import (
    GENERAL,
    ModelSelectionCriteria,
    ModelSelector,
    NoEligibleModelsError,
    Selector,
    criteria_for_domain,
    permitted,
)
from experiments.core.values import DecisionInputs, Score
from experiments.python_api.answers import explain, router_fallbacks
from experiments.python_api.flags import FeatureFlags
from experiments.python_api.policy import DETECTION_THRESHOLD, Catalogue, build_policy
from experiments.python_api.routellm_config import RouteLLMConfig, RouterType, RoutingDecision
from experiments.python_api.scorers import LearnedDomains, Scorers, calibrated_thresholds

EXPECTED_OUTPUT_TOKENS = 300
# Kinds that score in the caller's thread, in about a millisecond.
LOCAL_ROUTERS = frozenset({RouterType.LOCAL, RouterType.LOCAL_MF})


class UnknownDomainError(ValueError):
    """A domain that is not registered. The message lists the registered ones."""


class RouteLLMUnavailableError(Exception):
    """No router could decide and `fallback_enabled` is off."""


class AnalyzedPrompt(NamedTuple):
    """An analyzed text. `base_criteria` are the caller's, without the domain's requirements.
    `may_be` are its possible domains if its language is unknown."""

    text: str
    domain: DomainConfig
    confidence: float
    candidates: tuple[Candidate, ...]
    domain_override: str | None
    base_criteria: ModelSelectionCriteria | None
    may_be: tuple[str, ...] = ()

    @property
    def named_domains(self) -> list[tuple[str, float]]:
        """The domain that counts, then the others that were detected."""
        others = [
            (name, confidence)
            for name, confidence in self.candidates
            if name != self.domain.name and confidence >= DETECTION_THRESHOLD
        ]
        return [(self.domain.name, self.confidence), *others]

    @property
    def criteria(self) -> ModelSelectionCriteria:
        return criteria_for_domain(self.domain, self.base_criteria)


class DecidedPrompt(NamedTuple):
    """`router_failure` says why RouteLLM could not decide, if it was on."""

    model: Model
    decision: RoutingDecision
    router_failure: str | None = None


class Complexity(NamedTuple):
    """A router's score in [0, 1] and the threshold that it is compared with."""

    score: float
    threshold: float

    @property
    def is_strong(self) -> bool:
        return self.score >= self.threshold


class DomainDecider:
    """The parts that DomainRouter uses to decide. Its attributes may be replaced at any time."""

    def __init__(
        self,
        registry: Registry,
        routellm_config: RouteLLMConfig | None = None,
        feature_flags: FeatureFlags | None = None,
    ) -> None:
        self.registry = registry
        self.selector: Selector = ModelSelector(registry)
        self.domains: dict[str, DomainConfig] = {d.name: d for d in SEEDED_DOMAINS}
        self.routellm_config = routellm_config or RouteLLMConfig()
        self.feature_flags = FeatureFlags() if feature_flags is None else feature_flags
        self._scorers = Scorers()
        self._local_scorers = Scorers()
        self._learned = LearnedDomains()

    def is_routellm_enabled(self, domain: str | None = None) -> bool:
        """Whether RouteLLM is on; with a domain, whether it decides for that domain."""
        flags = self.feature_flags
        if not (self.routellm_config.enabled and flags.is_enabled(flags.ROUTELLM_ENABLED)):
            return False
        if domain is None:
            return True
        return flags.is_domain_enabled(domain) and self.routellm_config.for_domain(domain).enabled

    def _is_routed(self, prompt: AnalyzedPrompt) -> bool:
        """Whether RouteLLM decides for every domain that the prompt may belong to."""
        names = (prompt.domain.name, *prompt.may_be)
        return all(self.is_routellm_enabled(name) for name in names)

    def _look_at(
        self,
        text: str,
        criteria: ModelSelectionCriteria | None,
        domain_override: str | None,
    ) -> AnalyzedPrompt:
        candidates, known = self._candidates(checked_text(text))
        if domain_override is not None:
            domain = self._domain(domain_override)
            return AnalyzedPrompt(text, domain, 1.0, candidates, domain_override, criteria)
        best = candidates[0] if candidates else Candidate(GENERAL, 0.0)
        if best.confidence < DETECTION_THRESHOLD:
            best = Candidate(GENERAL, 0.0)
        unsure = not known and best.confidence < CONFIDENT
        may_be = tuple(name for name, _ in candidates) if unsure else ()
        domain = self._domain(best.name)
        return AnalyzedPrompt(text, domain, best.confidence, candidates, None, criteria, may_be)

    def _candidates(self, text: str) -> tuple[tuple[Candidate, ...], bool]:
        """Best first, and whether the text's language is known."""
        classic = detect(text, self.domains.values())
        if self.routellm_config.domain_detector == "classic":
            return tuple(classic), True
        # Only these were learned; a custom domain keeps its keywords and patterns.
        trained = [d.name for d in SEEDED_DOMAINS if d.name in self.domains]
        learned, known = self._learned.look_at(text, [*trained, GENERAL])
        own = [c for c in classic if c.name not in trained]
        return tuple(sorted((*own, *learned), key=lambda c: -c.confidence)), known

    def _domain(self, name: str) -> DomainConfig:
        domains = self._every_domain()
        if name not in domains:
            known = ", ".join(sorted(domains))
            raise UnknownDomainError(f"Unknown domain '{name}'. Known domains: {known}.")
        return domains[name]

    def _every_domain(self) -> dict[str, DomainConfig]:
        return {GENERAL: GENERAL_DOMAIN, **self.domains}

    async def _decide(self, prompt: AnalyzedPrompt) -> DecidedPrompt:
        """By RouteLLM if it is on and a router answers, else by the selector.

        Raises NoEligibleModelsError, and RouteLLMUnavailableError without `fallback_enabled`.
        """
        if not self._is_routed(prompt):
            return await self._select(prompt)
        try:
            outcome = await self._route_aside(prompt)
        except RouteLLMUnavailableError:
            raise
        except Exception as error:
            if not self.routellm_config.fallback_enabled:
                if isinstance(error, NoEligibleModelsError):
                    raise
                raise unavailable(prompt, _described(error)) from error
            return await self._select(prompt, _described(error))
        if outcome.router_failure is not None:
            return await self._select(prompt, outcome.router_failure)
        return outcome

    async def _select(
        self, prompt: AnalyzedPrompt, router_failure: str | None = None
    ) -> DecidedPrompt:
        """The domain selector: exactly one call of `selector.select_model`."""
        model = await self.selector.select_model(prompt.criteria)
        return DecidedPrompt(model, self._explain(prompt, model, router_failure), router_failure)

    async def _route_aside(self, prompt: AnalyzedPrompt) -> DecidedPrompt:
        kind = self.routellm_config.for_domain(prompt.domain.name).router_type
        if kind in LOCAL_ROUTERS:
            return self._route(prompt)
        # The other kinds may wait for a network or a large model; the event loop must not.
        return await asyncio.to_thread(self._route, prompt)

    def _route(self, prompt: AnalyzedPrompt) -> DecidedPrompt:
        """By `decide`. Raises NoEligibleModelsError, RouteLLMUnavailableError."""
        catalogue = Catalogue.of(self.registry.models.values())
        policy = self._policy(catalogue)
        self._scorers.prepare(policy.routers)
        attempts = self.routellm_config.max_retry_attempts
        decision = decide(
            policy,
            describe_situation(prompt, catalogue, datetime.now(UTC).date()),
            lambda name: self._scorers.score(name, prompt.text, attempts),
        )
        failures = router_fallbacks(decision)
        if failures and not self.routellm_config.fallback_enabled:
            raise unavailable(prompt, failures[0])
        return DecidedPrompt(
            catalogue.models[decision.model],
            explain(decision),
            "; ".join(failures) or None,
        )

    def _complexity(self, prompt: AnalyzedPrompt) -> Complexity:
        """By the router that decides for this domain; by the shipped local router, at its threshold
        for half of the prompts, if that one cannot answer."""
        settings = self.routellm_config.for_domain(prompt.domain.name)
        policy = self._policy(Catalogue.of(self.registry.models.values()))
        self._scorers.prepare(policy.routers)
        score = self._scorers.score(settings.router_type.value, prompt.text, 1)
        if isinstance(score, Score):
            threshold = policy.domains[prompt.domain.name].policy.threshold
            return Complexity(score.value, threshold or settings.threshold)
        local = self._local_scorers.local(prompt.text)
        return Complexity(local.value, calibrated_thresholds(["overall"])["overall"])

    def _policy(self, catalogue: Catalogue) -> Policy:
        config, flags, domains = self.routellm_config, self.feature_flags, self._every_domain()
        calibrated = calibrated_thresholds(self._following(domains))
        return build_policy(catalogue, domains, config, flags, calibrated)

    def _following(self, domains: Iterable[str]) -> list[str]:
        """Domains with the calibrated threshold: a local router and no threshold of their own."""
        config, flags = self.routellm_config, self.feature_flags
        if not flags.is_enabled(flags.ROUTELLM_DYNAMIC_THRESHOLD):
            return []
        return [
            name
            for name in domains
            if config.for_domain(name).router_type is RouterType.LOCAL
            and "threshold" not in (config.get_domain_override(name) or {})
        ]

    def _explain(
        self, prompt: AnalyzedPrompt, model: Model, router_failure: str | None = None
    ) -> RoutingDecision:
        name = self.routellm_config.for_domain(prompt.domain.name).strong_model
        return explain_selection(prompt, model, find_model(self.registry, name), router_failure)


def checked_text(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"text is {type(text).__name__}. Give the prompt as a string.")
    return text


def describe_situation(prompt: AnalyzedPrompt, catalogue: Catalogue, day: date) -> DecisionInputs:
    """The inputs of `decide`. Models that the criteria forbid count as unavailable, because routers
    do not check exclusions and certifications."""
    allowed = {model.key for model in permitted(catalogue.models.values(), prompt.criteria)}
    return DecisionInputs(
        decision_id="",
        unit=Unit(HashedBuckets(""), "", sticky=False),
        candidates=prompt.candidates,
        input_tokens=estimate_tokens(prompt.text),
        day=day,
        domain_override=prompt.domain_override,
        criteria=prompt.base_criteria,
        unavailable=frozenset(
            name for name, model in catalogue.models.items() if model.key not in allowed
        ),
        default_output_tokens=EXPECTED_OUTPUT_TOKENS,
    )


def explain_selection(
    prompt: AnalyzedPrompt, model: Model, strong: Model | None, router_failure: str | None = None
) -> RoutingDecision:
    """The domain selector's choice as a decision, compared with the configured strong model."""
    off = "is off for a domain that it may belong to (unknown language)" if prompt.may_be else ""
    why = "could not decide for it" if router_failure else off or "is off for it"
    return RoutingDecision(
        should_use_routellm=False,
        recommended_model=model.name,
        confidence=prompt.confidence,
        estimated_cost=_cost(model, prompt.text),
        reasoning=(
            f"Domain '{prompt.domain.name}' (confidence {prompt.confidence:.2f}). RouteLLM {why}: "
            f"the domain selector chose {model.name}."
        ),
        domains=prompt.candidates,
        fallback_reason=router_failure,
        baseline_cost=_cost(strong, prompt.text) if strong else None,
        baseline_model=strong.name if strong else None,
    )


def _cost(model: Model, text: str) -> float | None:
    """None without a price: a custom selector may return models that have none."""
    if not isinstance(model.cost, ModelCost) or not model.cost.is_priced:
        return None
    return model.cost.calculate_cost(estimate_tokens(text), EXPECTED_OUTPUT_TOKENS)


def unavailable(prompt: AnalyzedPrompt, reason: str) -> RouteLLMUnavailableError:
    return RouteLLMUnavailableError(
        f"RouteLLM cannot decide for domain '{prompt.domain.name}': {reason}. "
        "Set fallback_enabled to use the domain selector instead."
    )


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
