"""GET reports/savings and reports/routing."""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.analytics.routing import Latency, routing_report
from experiments.analytics.savings import Alternative, SavingsLine, savings_report
from experiments.api import shapes
from experiments.api.base import APIView
from experiments.api.documentation import RANGE, endpoint
from experiments.api.errors import InvalidRequestError
from experiments.api.requests import read
from experiments.configuration.policy_store import store
from experiments.core.money import usd
from experiments.models import Rollup, Scope
from experiments.routing.route import UnknownNameError
from experiments.shapes.fields import copied

DEFAULT_DAYS = 30


class Range(NamedTuple):
    since: datetime
    until: datetime
    domain: str | None


class SavingsView(APIView):
    scope = Scope.READ

    @endpoint("What routing saved, by domain", {200: shapes.Savings}, parameters=RANGE)
    def get(self, request: Request) -> Response:
        wanted = read_range(request)
        report = savings_report(*wanted)
        payload: shapes.Savings = {
            "since": report.since,
            "until": report.until,
            "currency": "USD",
            "baseline": str(store.current().baseline),
            "total": savings_payload(report.total),
            "domains": [savings_payload(line) for line in report.domains],
        }
        return Response(payload)


class RoutingView(APIView):
    scope = Scope.READ

    @endpoint("How decisions were made", {200: shapes.Routing}, parameters=RANGE)
    def get(self, request: Request) -> Response:
        report = routing_report(*read_range(request))
        payload: shapes.Routing = {
            **copied(report, shapes.RoutingCounts),
            "latency_ms": _latency(report.latency),
        }
        return Response(payload)


def read_range(request: Request) -> Range:
    """The query's `since`, `until` and `domain`; default: the last 30 days."""
    for name, values in request.query_params.lists():
        if len(values) > 1:
            raise InvalidRequestError(f"'{name}' is given twice. Send it once.", name)
    query = read(shapes.RangeQuery, request.query_params.dict())
    until = query.until or timezone.now()
    since = query.since or until - timedelta(days=DEFAULT_DAYS)
    if since >= until:
        raise InvalidRequestError("'since' must be before 'until'.", "since", "out_of_range")
    _check_domain(query.domain)
    return Range(since, until, query.domain)


def _check_domain(name: str | None) -> None:
    """A deleted domain can be queried as long as its decisions are counted."""
    domains = store.current().domains
    if name is None or name in domains or Rollup.objects.filter(domain=name).exists():
        return
    raise UnknownNameError(
        "domain", f"Unknown domain '{name}'. Known domains: {', '.join(sorted(domains))}."
    )


def savings_payload(line: SavingsLine) -> shapes.SavingsLinePayload:
    return {
        "domain": line.domain,
        "decisions": line.decisions,
        "pruned": line.pruned,
        "priced": line.priced,
        "actual": line.actual,
        "estimated": line.estimated,
        "cost": usd(line.cost),
        "baseline": usd(line.baseline),
        "saving": usd(line.saving),
        "strong_share": line.strong_share,
        "against": {
            "always_strong": _alternative(line.always_strong),
            "always_weak": _alternative(line.always_weak),
            "random": _alternative(line.random),
        },
    }


def _alternative(other: Alternative) -> shapes.AlternativePayload:
    return {
        "decisions": other.decisions,
        "cost": usd(other.cost),
        "routed": usd(other.routed),
        "saving": usd(other.saving),
    }


def _latency(latency: Latency) -> shapes.LatencyPayload:
    return {
        "timed": latency.timed,
        "mean": _rounded(latency.mean),
        "p50": _rounded(latency.p50),
        "p95": _rounded(latency.p95),
        "p99": _rounded(latency.p99),
    }


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)
