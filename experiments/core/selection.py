"""The domain selector: the best model for given criteria, by filters and a strategy.

Filters are applied in the order of `FILTERS`, most important first. A filter that would leave no
model is skipped and listed in `Selection.relaxed`. Never skipped: availability, exclusions, and
certifications if any registered model declares some. With `fallback_strategy` "fail", only
preferences are skipped; with "cheapest", the cheapest permitted model answers if no model meets a
requirement.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from experiments.core.catalog import SPEED_RATINGS, Model, Registry
from experiments.core.detection import DomainConfig
from experiments.core.strategies import STRATEGIES, by_cost, nominal_cost

FALLBACK_STRATEGIES = ("best_available", "fail", "cheapest")
GENERAL = "general"


class NoEligibleModelsError(Exception):
    """No registered model may answer. The message has the reason."""


@dataclass(frozen=True)
class ModelSelectionCriteria:
    """Requirements for an answer, all optional. Costs are US dollars, latencies milliseconds.

    The cost of a request assumes 1,000 input and 500 output tokens; the price of 1k tokens is the
    higher of input and output. A model with an unknown price or latency does not meet its limit.
    """

    required_tasks: Sequence[str] | None = None
    required_capabilities: Sequence[str] | None = None
    required_domains: Sequence[str] | None = None
    min_context_window: int | None = None
    required_languages: Sequence[str] | None = None
    max_cost_per_request: float | None = None
    max_cost_per_1k_tokens: float | None = None
    prefer_free_models: bool = False
    max_latency_ms: float | None = None
    min_accuracy_score: float | None = None
    speed_preference: str | None = None
    preferred_providers: Sequence[str] | None = None
    excluded_providers: Sequence[str] | None = None
    preferred_models: Sequence[str] | None = None
    excluded_models: Sequence[str] | None = None
    fallback_strategy: str = "best_available"
    selection_strategy: str = "balanced"
    required_certifications: Sequence[str] | None = None

    def __post_init__(self) -> None:
        _one_of("fallback_strategy", self.fallback_strategy, FALLBACK_STRATEGIES)
        _one_of("selection_strategy", self.selection_strategy, STRATEGIES)
        if self.speed_preference is not None:
            _one_of("speed_preference", self.speed_preference, SPEED_RATINGS)


class Selection(NamedTuple):
    """The chosen model, and the skipped filters, most important first."""

    model: Model
    relaxed: tuple[str, ...] = ()


class Filter(NamedTuple):
    """One criterion: whether it is set, and whether a model meets it."""

    name: str
    is_preference: bool
    is_asked: Callable[[ModelSelectionCriteria], Any]
    passes: Callable[[Model, ModelSelectionCriteria], bool]


class Selector(Protocol):
    """Any object that chooses a model for given criteria."""

    async def select_model(self, criteria: ModelSelectionCriteria | None = None) -> Model: ...


class ModelSelector:
    """Selects among the models of a registry, read again at each call."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    async def select_model(self, criteria: ModelSelectionCriteria | None = None) -> Model:
        """The best model for the criteria. Raises NoEligibleModelsError."""
        return self.select(criteria).model

    def select(self, criteria: ModelSelectionCriteria | None = None) -> Selection:
        """Like `select_model`, but synchronous, and with the skipped filters."""
        return select(self.registry.models.values(), criteria or ModelSelectionCriteria())


def select(
    models: Iterable[Model],
    criteria: ModelSelectionCriteria,
    unavailable: frozenset[str] = frozenset(),
) -> Selection:
    """The best of `models`, regardless of their order. `unavailable` models cannot answer now.

    Raises NoEligibleModelsError.
    """
    allowed = permitted(models, criteria, unavailable)
    remaining = allowed
    relaxed: list[str] = []
    for rule in FILTERS:
        if not rule.is_asked(criteria):
            continue
        passing = [model for model in remaining if rule.passes(model, criteria)]
        if passing:
            remaining = passing
            continue
        if not rule.is_preference and criteria.fallback_strategy == "fail":
            raise NoEligibleModelsError(_unmet(rule.name, remaining))
        if not rule.is_preference and criteria.fallback_strategy == "cheapest":
            return Selection(min(allowed, key=by_cost), (*relaxed, rule.name))
        relaxed.append(rule.name)
    return Selection(STRATEGIES[criteria.selection_strategy](remaining), tuple(relaxed))


def criteria_for_domain(
    domain: DomainConfig, base: ModelSelectionCriteria | None = None
) -> ModelSelectionCriteria:
    """The caller's criteria combined with the domain's requirements; the stricter applies.

    The caller's preferred models replace the domain's.
    """
    base = base or ModelSelectionCriteria()
    domains = () if domain.name == GENERAL else (domain.name,)
    return replace(
        base,
        required_domains=_union(base.required_domains, domains),
        required_capabilities=_union(base.required_capabilities, domain.required_capabilities),
        required_certifications=_union(
            base.required_certifications, domain.required_certifications
        ),
        min_accuracy_score=max(base.min_accuracy_score or 0.0, domain.min_accuracy_score),
        preferred_models=base.preferred_models or domain.preferred_models,
    )


def permitted(
    models: Iterable[Model],
    criteria: ModelSelectionCriteria,
    unavailable: frozenset[str] = frozenset(),
) -> list[Model]:
    """The models that a fallback may use: available, not excluded, certified.

    Raises NoEligibleModelsError if there is none.
    """
    models = [model for model in models if not model.capabilities.only_embeds]
    if not models:
        raise NoEligibleModelsError("No model is registered. Register one with register_model.")
    available = [m for m in models if m.is_available and m.name not in unavailable]
    if not available:
        raise NoEligibleModelsError("No registered model is available.")
    allowed = [model for model in available if not _is_excluded(model, criteria)]
    if not allowed:
        raise NoEligibleModelsError("The criteria exclude every available model.")
    needed = _lower(criteria.required_certifications)
    # If no model declares any certification, the registry does not track them.
    if not needed or not any(model.capabilities.certifications for model in models):
        return allowed
    certified = [m for m in allowed if needed <= _lower(m.capabilities.certifications)]
    if not certified:
        raise NoEligibleModelsError(
            f"No available model is certified for {', '.join(sorted(needed)).upper()}. "
            "Add the certification to a model that has it, or remove it from the domain."
        )
    return certified


def _is_excluded(model: Model, criteria: ModelSelectionCriteria) -> bool:
    return model.provider in (criteria.excluded_providers or ()) or any(
        model.is_called(name) for name in criteria.excluded_models or ()
    )


def _covers(wanted: Sequence[str] | None, offered: Sequence[str]) -> bool:
    return _lower(wanted) <= _lower(offered)


def _within_request_budget(model: Model, criteria: ModelSelectionCriteria) -> bool:
    cost = nominal_cost(model)
    return cost is not None and cost <= (criteria.max_cost_per_request or 0.0)


def _within_token_budget(model: Model, criteria: ModelSelectionCriteria) -> bool:
    limit = criteria.max_cost_per_1k_tokens or 0.0
    return model.cost.is_priced and model.cost.highest_per_1k_tokens <= limit


def _is_quick_enough(model: Model, criteria: ModelSelectionCriteria) -> bool:
    latency = model.metrics.latency_bound if model.metrics else None
    return latency is not None and latency <= (criteria.max_latency_ms or 0.0)


def _is_as_fast_as_asked(model: Model, criteria: ModelSelectionCriteria) -> bool:
    asked = criteria.speed_preference or SPEED_RATINGS[0]
    rating = model.capabilities.speed_rating
    return rating in SPEED_RATINGS[SPEED_RATINGS.index(asked) :]


FILTERS: tuple[Filter, ...] = (
    Filter(
        "min_context_window",
        False,
        lambda c: c.min_context_window,
        lambda m, c: m.capabilities.context_window >= (c.min_context_window or 0),
    ),
    Filter(
        "required_capabilities",
        False,
        lambda c: c.required_capabilities,
        lambda m, c: all(m.capabilities.has(name) for name in c.required_capabilities or ()),
    ),
    Filter(
        "max_cost_per_request",
        False,
        lambda c: c.max_cost_per_request is not None,
        _within_request_budget,
    ),
    Filter(
        "max_cost_per_1k_tokens",
        False,
        lambda c: c.max_cost_per_1k_tokens is not None,
        _within_token_budget,
    ),
    Filter(
        "required_tasks",
        False,
        lambda c: c.required_tasks,
        lambda m, c: _covers(c.required_tasks, m.capabilities.supported_tasks),
    ),
    Filter(
        "min_accuracy_score",
        False,
        lambda c: c.min_accuracy_score,
        lambda m, c: m.capabilities.accuracy_score >= (c.min_accuracy_score or 0.0),
    ),
    Filter(
        "required_languages",
        False,
        lambda c: c.required_languages,
        lambda m, c: _covers(c.required_languages, m.capabilities.languages),
    ),
    Filter("max_latency_ms", False, lambda c: c.max_latency_ms is not None, _is_quick_enough),
    Filter(
        "required_domains",
        False,
        lambda c: c.required_domains,
        lambda m, c: _covers(c.required_domains, m.capabilities.domains),
    ),
    Filter(
        "preferred_models",
        True,
        lambda c: c.preferred_models,
        lambda m, c: any(m.is_called(name) for name in c.preferred_models or ()),
    ),
    Filter(
        "preferred_providers",
        True,
        lambda c: c.preferred_providers,
        lambda m, c: m.provider in (c.preferred_providers or ()),
    ),
    Filter("prefer_free_models", True, lambda c: c.prefer_free_models, lambda m, _: m.cost.is_free),
    Filter("speed_preference", True, lambda c: c.speed_preference, _is_as_fast_as_asked),
)


def _lower(names: Sequence[str] | None) -> set[str]:
    return {name.lower() for name in names or ()}


def _union(first: Sequence[str] | None, second: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*(first or ()), *second)))


def _unmet(rule: str, remaining: list[Model]) -> str:
    names = ", ".join(sorted(model.key for model in remaining))
    return (
        f"No model meets {rule}; models before this filter: {names}. "
        "Relax it, or use fallback_strategy 'best_available'."
    )


def _one_of(name: str, value: str, allowed: Iterable[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is '{value}'. Choose one of: {', '.join(allowed)}.")
