"""How decisions were made: methods, reasons, fallbacks, router failures, latency."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from django.db.models import Count, QuerySet, Sum

from experiments.analytics.savings import pruned_days
from experiments.models import Decision, PrunedTotal

ROUTER_FAILURES = ("router_failed", "router_timeout", "router_not_ready", "invalid_score")
PERCENTILES = (50, 95, 99)


class Latency(NamedTuple):
    """Milliseconds to decide. The mean includes pruned decisions, the percentiles do not."""

    timed: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None


class RoutingReport(NamedTuple):
    """Counts of decisions. Reasons and fallbacks exclude pruned decisions."""

    since: datetime
    until: datetime
    decisions: int
    pruned: int
    methods: Mapping[str, int]
    tiers: Mapping[str, int]
    models: Mapping[str, int]
    reasons: Mapping[str, int]
    fallbacks: Mapping[str, int]
    router_failures: int
    latency: Latency


def routing_report(since: datetime, until: datetime, domain: str | None = None) -> RoutingReport:
    """Decisions made in [since, until). Six queries, whatever their number."""
    live = Decision.objects.filter(created_at__gte=since, created_at__lt=until).order_by()
    first, last = pruned_days(since, until)
    pruned = PrunedTotal.objects.filter(day__gte=first, day__lt=last)
    if domain is not None:
        live, pruned = live.filter(domain=domain), pruned.filter(domain=domain)
    groups = _counts(live, "method", "tier", "model", "reason", "fallback")
    gone = _pruned_counts(pruned)
    fallbacks = _by(groups, 4)
    fallbacks.pop("", None)
    n_gone = sum(gone.values())
    return RoutingReport(
        since=since,
        until=until,
        decisions=sum(groups.values()) + n_gone,
        pruned=n_gone,
        methods=_by(groups, 0, gone),
        tiers=_by(groups, 1, gone),
        models=_by(groups, 2, gone),
        reasons=_by(groups, 3),
        fallbacks=fallbacks,
        router_failures=sum(fallbacks.get(reason, 0) for reason in ROUTER_FAILURES),
        latency=_latency(live, pruned),
    )


Counts = dict[tuple[str, ...], int]


def _counts(rows: QuerySet[Decision], *columns: str) -> Counts:
    counted = rows.values_list(*columns).annotate(n=Count("pk"))
    return {tuple(key): n for *key, n in counted}


def _pruned_counts(rows: QuerySet[PrunedTotal]) -> Counts:
    counted = rows.values_list("method", "tier", "model").annotate(n=Sum("decisions"))
    return {tuple(key): int(n) for *key, n in counted}


def _by(groups: Counts, index: int, more: Counts | None = None) -> dict[str, int]:
    """The counts by one column, most frequent first."""
    counts: dict[str, int] = {}
    for key, n in (*groups.items(), *(more or {}).items()):
        counts[key[index]] = counts.get(key[index], 0) + n
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _latency(live: QuerySet[Decision], pruned: QuerySet[PrunedTotal]) -> Latency:
    timed = live.filter(latency_us__isnull=False)
    sums = timed.aggregate(n=Count("pk"), total=Sum("latency_us", default=0))
    gone = pruned.aggregate(n=Sum("latency_count", default=0), total=Sum("latency_us", default=0))
    n, total = sums["n"] + int(gone["n"]), int(sums["total"]) + int(gone["total"])
    ordered = timed.order_by("latency_us").values_list("latency_us", flat=True)
    percentiles = [_percentile(ordered, sums["n"], share) for share in PERCENTILES]
    return Latency(n, total / n / 1000 if n else None, *percentiles)


def _percentile(ordered: "QuerySet[Decision, int | None]", n: int, share: int) -> float | None:
    """The nearest-rank percentile `share`."""
    if not n:
        return None
    value = ordered[max(0, -(-n * share // 100) - 1)]
    return None if value is None else value / 1000
