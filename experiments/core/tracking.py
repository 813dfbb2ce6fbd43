"""What the Python API remembers of its decisions, in memory, and the reports made from it.

Costs are US dollars. A saving is the baseline's price minus the price of what was chosen, summed
over the decisions where both are known; `priced_requests` says how many those are. The prompt's
text is never kept.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Lock

from experiments.core.records import Record

ROUTELLM = "routellm"
DOMAIN_SELECTOR = "domain_selector"

Clock = Callable[[], datetime]
_utc_now: Clock = partial(datetime.now, UTC)
Domains = Sequence[tuple[str, float] | str]


class UnknownTrackingIdError(LookupError):
    """No decision of that id is kept: it never was, or the retention period is over."""


@dataclass(frozen=True)
class RoutingMetrics(Record):
    """One decision. None is not known; `success` is whether a model was found."""

    tracking_id: str
    timestamp: datetime
    input_text_length: int
    detected_domains: list[str]
    domain_confidence: float
    routing_method: str
    selected_model: str
    routing_confidence: float
    estimated_cost: float | None
    actual_cost: float | None = None
    cost_savings_vs_baseline: float | None = None
    routing_latency_ms: float | None = None
    model_response_time_ms: float | None = None
    success: bool = True
    error_message: str | None = None
    response_quality_score: float | None = None
    user_satisfaction: float | None = None

    @property
    def cost(self) -> float | None:
        """The actual cost where it was reported, else the estimate."""
        return self.estimated_cost if self.actual_cost is None else self.actual_cost


@dataclass(frozen=True)
class CostSavingsReport(Record):
    """Costs and savings of a period. An amount is None where there were requests but no prices.

    `estimated_savings` and `savings_percentage` (of the baseline's cost) cover `priced_requests`
    only: with none of them, no saving is claimed and both are 0. `success_rate` lies in [0, 1].
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


@dataclass(frozen=True)
class MetricsSummary(Record):
    """Everything still kept, counted.

    `unpriced_requests` have no cost. The savings report's also lack a baseline's cost to save from.
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


class CostTracker:
    """Keeps decisions for `retention_days`, in memory. Safe to share between threads."""

    def __init__(self, retention_days: int = 30, *, clock: Clock = _utc_now) -> None:
        self.retention_days = retention_days
        self._clock = clock
        self._lock = Lock()
        self._records: dict[str, RoutingMetrics] = {}
        self._tracked = 0

    @property
    def metrics(self) -> list[RoutingMetrics]:
        """What is kept, oldest first. A copy."""
        with self._lock:
            self._forget_old()
            return list(self._records.values())

    def track_routing_decision(  # noqa: PLR0913 - a promise to code written against it
        self,
        text: str,
        domains: Domains,
        routing_method: str,
        selected_model: str,
        estimated_cost: float | None,
        routing_latency_ms: float | None,
        routing_confidence: float,
        success: bool = True,
        error_message: str | None = None,
        *,
        baseline_cost: float | None = None,
    ) -> str:
        """Keeps one decision and returns its tracking id.

        `domains` are names or (name, confidence), best first. Without `baseline_cost` the decision
        counts as unpriced: no saving is claimed for it.
        """
        with self._lock:
            self._forget_old()
            self._tracked += 1
            tracking_id = f"decision-{self._tracked}"
            self._records[tracking_id] = RoutingMetrics(
                tracking_id=tracking_id,
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
        return tracking_id

    def update_actual_cost(
        self, tracking_id: str, actual_cost: float, model_response_time_ms: float | None = None
    ) -> None:
        """Adds what the call really cost. The saving stays the estimate's: it compares both models
        at the same number of tokens, and the baseline's real number is never known.

        Raises UnknownTrackingIdError.
        """
        self._change(
            tracking_id, actual_cost=actual_cost, model_response_time_ms=model_response_time_ms
        )

    def update_quality_score(
        self, tracking_id: str, quality_score: float, user_satisfaction: float | None = None
    ) -> None:
        """Adds how good the answer was. Raises UnknownTrackingIdError."""
        self._change(
            tracking_id,
            response_quality_score=quality_score,
            user_satisfaction=user_satisfaction,
        )

    def get_cost_savings_report(self, period_days: int = 30) -> CostSavingsReport:
        """The last `period_days`, as far as they are kept."""
        since = self._clock() - timedelta(days=period_days)
        return savings_report([m for m in self.metrics if m.timestamp >= since], period_days)

    def get_metrics_summary(self) -> MetricsSummary:
        return metrics_summary(self.metrics)

    def _change(self, tracking_id: str, **values: float | None) -> None:
        known = {name: value for name, value in values.items() if value is not None}
        with self._lock:
            if tracking_id not in self._records:
                raise UnknownTrackingIdError(
                    f"No decision '{tracking_id}' is kept. Ids come from track_routing_decision "
                    f"and are forgotten after {self.retention_days} days."
                )
            self._records[tracking_id] = replace(self._records[tracking_id], **known)  # type: ignore[arg-type]

    def _forget_old(self) -> None:
        oldest = self._clock() - timedelta(days=self.retention_days)
        while self._records:
            first = next(iter(self._records))
            if self._records[first].timestamp >= oldest:
                return
            del self._records[first]


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
        average_routing_latency_ms=_mean(m.routing_latency_ms for m in metrics) or 0.0,
        success_rate=_success_rate(metrics),
        average_quality_score=_mean(m.response_quality_score for m in metrics),
        priced_requests=len(priced),
        unpriced_requests=len(metrics) - len(priced),
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
        average_routing_latency_ms=_mean(m.routing_latency_ms for m in metrics) or 0.0,
        average_routing_confidence=_mean(m.routing_confidence for m in metrics) or 0.0,
        average_quality_score=_mean(m.response_quality_score for m in metrics),
        average_user_satisfaction=_mean(m.user_satisfaction for m in metrics),
        total_estimated_cost=_total(m.estimated_cost for m in metrics),
        total_actual_cost=_total(m.actual_cost for m in metrics),
        unpriced_requests=sum(m.cost is None for m in metrics),
    )


def _name(domain: tuple[str, float] | str) -> str:
    return domain if isinstance(domain, str) else domain[0]


def _confidence(domain: tuple[str, float] | str) -> float:
    return 0.0 if isinstance(domain, str) else domain[1]


def _saving(cost: float | None, baseline: float | None) -> float | None:
    return None if cost is None or baseline is None else baseline - cost


def _total(amounts: Iterable[float | None]) -> float | None:
    """The sum of the known ones; 0 of nothing, but None of nothing known."""
    every = list(amounts)
    known = [amount for amount in every if amount is not None]
    return sum(known) if known or not every else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _success_rate(metrics: Sequence[RoutingMetrics]) -> float:
    return sum(m.success for m in metrics) / len(metrics) if metrics else 0.0


def _counts(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts
