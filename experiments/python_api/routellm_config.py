"""The settings of RouteLLM in the Python API, and the result of one decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, NamedTuple

HIGH_CONFIDENCE = 0.8
DETECTORS = ("classic", "learned")


class RouterType(StrEnum):
    """RouteLLM's own routers, and two that need neither network nor key."""

    MATRIX_FACTORIZATION = "mf"
    BERT_CLASSIFIER = "bert"
    CAUSAL_LLM = "causal_llm"
    SIMILARITY_WEIGHTED = "sw_ranking"
    RANDOM = "random"
    LOCAL = "local"
    LOCAL_MF = "local_mf"


class DomainSettings(NamedTuple):
    """The settings of one domain, with its override applied."""

    enabled: bool
    router_type: RouterType
    threshold: float
    strong_model: str
    weak_model: str


@dataclass
class RouteLLMConfig:
    """Settings of the routing. Every value is checked when it is set; a wrong one is a ValueError.

    `threshold` is a score in [0, 1]: prompts at or above it go to the strong model. It belongs to
    one kind of router; 0.11593 is RouteLLM's for `mf`. `domain_routing_overrides` maps a domain to
    any of `enabled, router_type, threshold, strong_model, weak_model`, and counts only while
    `domain_specific_routing` is on. A router is called at most `max_retry_attempts` times, at least
    once, each time for `timeout_seconds`. `cost_optimization_target` is the share of the baseline's
    cost you want to save; the status says whether it is met, decisions do not depend on it.
    `router_arguments` are the constructor arguments of the router: its checkpoint, for one.
    `domain_detector` is `classic` (keywords and patterns) or `learned`.
    """

    enabled: bool = False
    router_type: RouterType = RouterType.MATRIX_FACTORIZATION
    threshold: float = 0.11593
    strong_model: str = "gpt-4-1106-preview"
    weak_model: str = "gpt-3.5-turbo"
    fallback_enabled: bool = True
    max_retry_attempts: int = 3
    timeout_seconds: float = 30.0
    cost_tracking_enabled: bool = True
    cost_optimization_target: float = 0.5
    performance_monitoring_enabled: bool = True
    metrics_retention_days: int = 30
    domain_specific_routing: bool = True
    domain_routing_overrides: dict[str, dict[str, Any]] = field(default_factory=dict)
    router_arguments: dict[str, Any] = field(default_factory=dict)
    domain_detector: str = "classic"

    def __setattr__(self, name: str, value: Any) -> None:
        # Here and not in __post_init__, so that an assignment later on is checked as well.
        super().__setattr__(name, _checked(name, value))

    def get_router_model_string(self) -> str:
        """The model name RouteLLM's Controller understands, such as `router-mf-0.11593`."""
        return f"router-{self.router_type.value}-{self.threshold}"

    def get_domain_override(self, domain: str) -> dict[str, Any] | None:
        """The override of this domain, or None."""
        if not self.domain_specific_routing:
            return None
        return self.domain_routing_overrides.get(domain)

    def for_domain(self, domain: str) -> DomainSettings:
        """The settings with the domain's override applied."""
        override = _checked_override(domain, self.get_domain_override(domain) or {})
        settings = {name: getattr(self, name) for name in DomainSettings._fields} | override
        # An override can turn a domain off, but not on while RouteLLM is off.
        settings["enabled"] = self.enabled and settings["enabled"]
        return DomainSettings(**settings)

    def update(self, settings: Mapping[str, Any]) -> None:
        """Changes several settings, or none if one of them is wrong."""
        unknown = sorted(set(settings) - {each.name for each in fields(self)})
        if unknown:
            known = ", ".join(each.name for each in fields(self))
            raise ValueError(f"Unknown settings: {', '.join(unknown)}. Known settings: {known}.")
        replace(self, **settings)  # raises where a value is wrong
        for name, value in settings.items():
            setattr(self, name, value)


@dataclass
class RoutingDecision:
    """The decision for one prompt. Costs are US dollars, None if a price is unknown.

    `confidence` comes from the router's score: the score where the strong model was chosen, 1 minus
    the score where the weak one was; on the classic path it is the detected domain's.
    """

    should_use_routellm: bool
    recommended_model: str | None = None
    confidence: float = 0.0
    estimated_cost: float | None = 0.0
    reasoning: str = ""
    domains: Sequence[tuple[str, float]] = field(default_factory=list)
    fallback_reason: str | None = None
    score: float | None = None
    threshold: float | None = None
    baseline_cost: float | None = None
    baseline_model: str | None = None

    @property
    def is_high_confidence(self) -> bool:
        return self.confidence >= HIGH_CONFIDENCE

    @property
    def is_cost_effective(self) -> bool:
        """Whether it costs less than the baseline. Without a baseline: whether RouteLLM was used
        and the cost is known. A cost of None is not known."""
        if self.estimated_cost is None:
            return False
        if self.baseline_cost is None:
            return self.should_use_routellm and self.estimated_cost > 0
        return self.estimated_cost < self.baseline_cost


_SHARES = ("threshold", "cost_optimization_target")
_NAMES = ("strong_model", "weak_model")


def _checked(name: str, value: Any) -> Any:
    if name == "router_type":
        return _router_type(value)
    if name in _SHARES and not _is_number(value, 0, 1):
        raise ValueError(f"{name} is {value!r}. Give a number from 0 to 1.")
    if name in _NAMES and not (isinstance(value, str) and value.strip()):
        raise ValueError(f"{name} is {value!r}. Give the name of a registered model.")
    if name == "timeout_seconds" and not (_is_number(value, 0, float("inf")) and value > 0):
        raise ValueError(f"timeout_seconds is {value!r}. Give a number of seconds above 0.")
    if name in ("max_retry_attempts", "metrics_retention_days") and not _is_number(value, 0, 1e9):
        raise ValueError(f"{name} is {value!r}. Give a number of 0 or more.")
    if name == "domain_detector" and value not in DETECTORS:
        raise ValueError(f"domain_detector is {value!r}. Choose one of: {', '.join(DETECTORS)}.")
    if name == "domain_routing_overrides":
        for domain, override in value.items():
            _checked_override(domain, override)
    return value


def _checked_override(domain: str, override: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(override) - set(DomainSettings._fields)
    if unknown:
        raise ValueError(
            f"The override of domain '{domain}' sets {', '.join(sorted(unknown))}. "
            f"It can set: {', '.join(DomainSettings._fields)}."
        )
    return {name: _checked(name, value) for name, value in override.items()}


def _router_type(value: str) -> RouterType:
    try:
        return RouterType(value)
    except ValueError:
        kinds = ", ".join(RouterType)
        raise ValueError(f"Unknown router type {value!r}. Known types: {kinds}.") from None


def _is_number(value: Any, low: float, high: float) -> bool:
    # A comparison with NaN is false, so NaN is refused here too.
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
