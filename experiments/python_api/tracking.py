"""Decisions of the Python API, kept in memory, and reports about them.

Costs are US dollars. A saving is the baseline's price minus the price of the choice, summed over
the decisions where both are known; `priced_requests` counts them. The prompt's text is never
stored.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Lock
from typing import Any, ClassVar
from uuid import uuid4

from experiments.python_api.record import Record

ROUTELLM = "routellm"
DOMAIN_SELECTOR = "domain_selector"
ROUTELLM_FALLBACK = "routellm_fallback"

log = logging.getLogger("switchyard.tracking")

Clock = Callable[[], datetime]
_utc_now: Clock = partial(datetime.now, UTC)
Domains = Sequence[tuple[str, float] | str]


@dataclass(eq=False)
class RoutingMetrics(Record):
    """One decision. None is not known; `success` is whether a model was found by the method.

    A `timestamp` without a time zone is taken as UTC.
    """

    tracking_id: str = field(default_factory=lambda: str(uuid4()))
    timestamp: datetime = field(default_factory=_utc_now)
    input_text_length: int = 0
    detected_domains: list[str] = field(default_factory=list)
    domain_confidence: float = 0.0
    routing_method: str = ""
    selected_model: str = ""
    routing_confidence: float = 0.0
    estimated_cost: float | None = 0.0
    actual_cost: float | None = None
    cost_savings_vs_baseline: float | None = None
    routing_latency_ms: float | None = 0.0
    model_response_time_ms: float | None = None
    success: bool = True
    error_message: str | None = None
    response_quality_score: float | None = None
    user_satisfaction: float | None = None

    # How often a timestamp was changed later: after that, metrics need sorting.
    timestamps_changed: ClassVar[int] = 0

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "timestamp":
            value = value if value.tzinfo else value.replace(tzinfo=UTC)
            if "timestamp" in self.__dict__:
                RoutingMetrics.timestamps_changed += 1
        super().__setattr__(name, value)

    @property
    def cost(self) -> float | None:
        """The actual cost if it was reported, else the estimate."""
        return self.estimated_cost if self.actual_cost is None else self.actual_cost


@dataclass(frozen=True, eq=False)
class CostSavingsReport(Record):
    """Costs and savings of a period. An amount is None if there were requests but no prices.

    `estimated_savings` and `savings_percentage` (of the baseline's cost) cover `priced_requests`
    only: with none of them, no saving is claimed and both are 0. `success_rate` lies in [0, 1].
    `average_latency_ms` is `average_routing_latency_ms`. `quality_maintained_percentage` is the
    average quality of RouteLLM's requests in percent of the other requests' average, at most 100;
    None unless both kinds were rated. The two kinds answer different prompts, so it describes the
    traffic and proves nothing about the router.
    """

    period_days: int
    total_requests: int
    routellm_requests: int
    traditional_requests: int
    total_estimated_cost: float | None
    routellm_estimated_cost: float | None
    traditional_estimated_cost: float | None
    estimated_savings: float
    savings_percentage: float
    average_routing_latency_ms: float
    success_rate: float
    average_quality_score: float | None
    priced_requests: int = 0
    unpriced_requests: int = 0
    average_latency_ms: float = 0.0
    quality_maintained_percentage: float | None = None


@dataclass(frozen=True, eq=False)
class MetricsSummary(Record):
    """Counts of all decisions in memory.

    `unpriced_requests` have no cost. The savings report's also lack a baseline's cost to save from.
    As a mapping it holds `total_requests` and `success_rate` only while nothing was tracked.
    """

    total_requests: int
    requests_by_method: dict[str, int]
    requests_by_model: dict[str, int]
    requests_by_domain: dict[str, int]
    success_rate: float
    average_routing_latency_ms: float
    average_routing_confidence: float
    average_quality_score: float | None
    average_user_satisfaction: float | None
    total_estimated_cost: float | None
    total_actual_cost: float | None
    unpriced_requests: int
    routellm_usage_rate: float = 0.0
    average_cost: float | None = None
    average_latency_ms: float = 0.0

    def __iter__(self) -> Iterator[str]:
        return iter(self._names() if self.total_requests else ("total_requests", "success_rate"))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __getitem__(self, name: str) -> Any:
        if name not in list(iter(self)):
            raise KeyError(name)
        return getattr(self, name)


class CostTracker:
    """Keeps decisions for `retention_days`, in memory. Safe to share between threads.

    `metrics` holds them, oldest first. Older ones than `retention_days` are removed when the next
    decision is tracked.
    """

    def __init__(self, retention_days: int = 30, *, clock: Clock = _utc_now) -> None:
        self.retention_days = retention_days
        self.metrics: list[RoutingMetrics] = []
        self._clock = clock
        self._lock = Lock()
        self._by_id: dict[str, RoutingMetrics] = {}
        self._timestamps_changed = RoutingMetrics.timestamps_changed

    def track_routing_decision(  # noqa: PLR0913 - a promise to code written against it
        self,
        text: str,
        domains: Domains,
        routing_method: str,
        selected_model: str,
        estimated_cost: float | None,
        routing_latency_ms: float | None = 0.0,
        routing_confidence: float = 0.0,
        success: bool = True,
        error_message: str | None = None,
        *,
        baseline_cost: float | None = None,
    ) -> str:
        """Keeps one decision and returns its tracking id.

        `domains` are names or (name, confidence), best first. Without `baseline_cost` the decision
        counts as unpriced: no saving is claimed for it.
        """
        metrics = RoutingMetrics(
            timestamp=self._clock(),
            input_text_length=len(text),
            detected_domains=[_name(domain) for domain in domains],
            domain_confidence=_confidence(domains[0]) if domains else 0.0,
            routing_method=routing_method,
            selected_model=selected_model,
            routing_confidence=routing_confidence,
            estimated_cost=estimated_cost,
            cost_savings_vs_baseline=_saving(estimated_cost, baseline_cost),
            routing_latency_ms=routing_latency_ms,
            success=success,
            error_message=error_message,
        )
        with self._lock:
            self._remove_old()
            self.metrics.append(metrics)
            self._by_id[metrics.tracking_id] = metrics
        return metrics.tracking_id

    def update_actual_cost(
        self, tracking_id: str, actual_cost: float, model_response_time_ms: float | None = None
    ) -> None:
        """Adds the actual cost of the call. The saving remains an estimate: it compares both models
        at the same number of tokens, and the baseline's actual number is unknown.

        An unknown tracking id is logged as a warning and changes nothing.
        """
        self._change(
            tracking_id, actual_cost=actual_cost, model_response_time_ms=model_response_time_ms
        )

    def update_quality_score(
        self, tracking_id: str, quality_score: float, user_satisfaction: float | None = None
    ) -> None:
        """Adds the quality of the answer. An unknown tracking id is logged as a warning."""
        self._change(
            tracking_id,
            response_quality_score=quality_score,
            user_satisfaction=user_satisfaction,
        )

    def get_cost_savings_report(self, period_days: int = 30) -> CostSavingsReport:
        """The last `period_days`, within the retention time."""
        since = self._clock() - timedelta(days=period_days)
        return savings_report([m for m in self._kept() if m.timestamp >= since], period_days)

    def get_metrics_summary(self) -> MetricsSummary:
        return metrics_summary(self._kept())

    def _kept(self) -> list[RoutingMetrics]:
        with self._lock:
            return list(self.metrics)

    def _change(self, tracking_id: str, **values: float | None) -> None:
        with self._lock:
            metrics = self._by_id.get(tracking_id)
            if metrics is None:
                log.warning(
                    "No decision '%s' is kept. Ids come from track_routing_decision and are "
                    "removed after %s days.",
                    tracking_id,
                    self.retention_days,
                )
                return
            for name, value in values.items():
                if value is not None:
                    setattr(metrics, name, value)

    def _remove_old(self) -> None:
        """Sorts only if a timestamp was changed: metrics are tracked in order."""
        oldest = self._clock() - timedelta(days=self.retention_days)
        if self._timestamps_changed != RoutingMetrics.timestamps_changed:
            self._timestamps_changed = RoutingMetrics.timestamps_changed
            self.metrics.sort(key=lambda metrics: metrics.timestamp)
        kept_from = next(
            (at for at, m in enumerate(self.metrics) if m.timestamp >= oldest), len(self.metrics)
        )
        for metrics in self.metrics[:kept_from]:
            self._by_id.pop(metrics.tracking_id, None)
        del self.metrics[:kept_from]


def savings_report(metrics: Sequence[RoutingMetrics], period_days: int) -> CostSavingsReport:
    """The report of these decisions."""
    routed = [m for m in metrics if m.routing_method == ROUTELLM]
    classic = [m for m in metrics if m.routing_method != ROUTELLM]
    priced = [m for m in metrics if m.cost_savings_vs_baseline is not None]
    saving = sum(m.cost_savings_vs_baseline or 0.0 for m in priced)
    baseline = saving + sum(m.estimated_cost or 0.0 for m in priced)
    return CostSavingsReport(
        period_days=period_days,
        total_requests=len(metrics),
        routellm_requests=len(routed),
        traditional_requests=len(classic),
        total_estimated_cost=_total(m.cost for m in metrics),
        routellm_estimated_cost=_total(m.cost for m in routed),
        traditional_estimated_cost=_total(m.cost for m in classic),
        estimated_savings=saving,
        savings_percentage=100 * saving / baseline if baseline > 0 else 0.0,
        average_routing_latency_ms=_average_latency(metrics),
        success_rate=_success_rate(metrics),
        average_quality_score=_mean(m.response_quality_score for m in metrics),
        priced_requests=len(priced),
        unpriced_requests=len(metrics) - len(priced),
        average_latency_ms=_average_latency(metrics),
        quality_maintained_percentage=_quality_maintained(routed, classic),
    )


def metrics_summary(metrics: Sequence[RoutingMetrics]) -> MetricsSummary:
    """These decisions, counted and averaged."""
    return MetricsSummary(
        total_requests=len(metrics),
        requests_by_method=_counts(m.routing_method for m in metrics),
        requests_by_model=_counts(m.selected_model for m in metrics if m.success),
        requests_by_domain=_counts(
            m.detected_domains[0] if m.detected_domains else "general" for m in metrics
        ),
        success_rate=_success_rate(metrics),
        average_routing_latency_ms=_average_latency(metrics),
        average_routing_confidence=_mean(m.routing_confidence for m in metrics) or 0.0,
        average_quality_score=_mean(m.response_quality_score for m in metrics),
        average_user_satisfaction=_mean(m.user_satisfaction for m in metrics),
        total_estimated_cost=_total(m.estimated_cost for m in metrics),
        total_actual_cost=_total(m.actual_cost for m in metrics),
        unpriced_requests=sum(m.cost is None for m in metrics),
        routellm_usage_rate=_mean(float(m.routing_method == ROUTELLM) for m in metrics) or 0.0,
        average_cost=_mean(m.cost for m in metrics),
        average_latency_ms=_average_latency(metrics),
    )


def _average_latency(metrics: Sequence[RoutingMetrics]) -> float:
    """Milliseconds; 0 if none was measured."""
    return _mean(m.routing_latency_ms for m in metrics) or 0.0


def _quality_maintained(
    routed: Sequence[RoutingMetrics], classic: Sequence[RoutingMetrics]
) -> float | None:
    quality = _mean(m.response_quality_score for m in routed)
    reference = _mean(m.response_quality_score for m in classic)
    if quality is None or not reference:
        return None
    return min(100.0, 100 * quality / reference)


def _name(domain: tuple[str, float] | str) -> str:
    return domain if isinstance(domain, str) else domain[0]


def _confidence(domain: tuple[str, float] | str) -> float:
    return 0.0 if isinstance(domain, str) else domain[1]


def _saving(cost: float | None, baseline: float | None) -> float | None:
    return None if cost is None or baseline is None else baseline - cost


def _total(amounts: Iterable[float | None]) -> float | None:
    """The sum of the known amounts; 0 without amounts, None if none is known."""
    every = list(amounts)
    known = [amount for amount in every if amount is not None]
    return sum(known) if known or not every else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _success_rate(metrics: Sequence[RoutingMetrics]) -> float:
    """1 if nothing was tracked: nothing failed."""
    return sum(m.success for m in metrics) / len(metrics) if metrics else 1.0


def _counts(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts
