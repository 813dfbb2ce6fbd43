"""GET reports/savings and reports/routing."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from experiments.analytics.routing import Latency, routing_report
from experiments.analytics.savings import Alternative, SavingsLine, savings_report
from experiments.api import schemas
from experiments.api.base import APIView
from experiments.api.documentation import RANGE, endpoint
from experiments.api.errors import InvalidRequestError
from experiments.api.readers import MAX_NAME, Reader
from experiments.configuration.policy_store import store
from experiments.core.money import usd
from experiments.models import Rollup, Scope
from experiments.routing.route import UnknownNameError

DEFAULT_DAYS = 30


class Range(NamedTuple):
    since: datetime
    until: datetime
    domain: str | None


class SavingsView(APIView):
    scope = Scope.READ

    @endpoint("What routing saved, by domain", {200: schemas.Savings}, parameters=RANGE)
    def get(self, request: Request) -> Response:
        wanted = read_range(request)
        report = savings_report(*wanted)
        return Response(
            {
                "since": report.since,
                "until": report.until,
                "currency": "USD",
                "baseline": str(store.current().baseline),
                "total": savings_payload(report.total),
                "domains": [savings_payload(line) for line in report.domains],
            }
        )


class RoutingView(APIView):
    scope = Scope.READ

    @endpoint("How decisions were made", {200: schemas.Routing}, parameters=RANGE)
    def get(self, request: Request) -> Response:
        report = routing_report(*read_range(request))
        payload = {k: v for k, v in report._asdict().items() if k != "latency"}
        return Response({**payload, "latency_ms": _latency(report.latency)})


def read_range(request: Request) -> Range:
    """The query's `since`, `until` and `domain`; default: the last 30 days."""
    for name, values in request.query_params.lists():
        if len(values) > 1:
            raise InvalidRequestError(f"'{name}' is given twice. Send it once.", name)
    reader = Reader(request.query_params.dict())
    until = reader.time("until") or timezone.now()
    since = reader.time("since") or until - timedelta(days=DEFAULT_DAYS)
    wanted = Range(since, until, reader.text("domain", MAX_NAME))
    reader.close()
    if since >= until:
        raise InvalidRequestError("'since' must be before 'until'.", "since", "out_of_range")
    _check_domain(wanted.domain)
    return wanted


def _check_domain(name: str | None) -> None:
    """A deleted domain can be queried as long as its decisions are counted."""
    domains = store.current().domains
    if name is None or name in domains or Rollup.objects.filter(domain=name).exists():
        return
    raise UnknownNameError(
        "domain", f"Unknown domain '{name}'. Known domains: {', '.join(sorted(domains))}."
    )


def savings_payload(line: SavingsLine) -> dict[str, Any]:
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


def _alternative(other: Alternative) -> dict[str, Any]:
    return {
        "decisions": other.decisions,
        "cost": usd(other.cost),
        "routed": usd(other.routed),
        "saving": usd(other.saving),
    }


def _latency(latency: Latency) -> dict[str, Any]:
    return {
        name: value if value is None or name == "timed" else round(value, 3)
        for name, value in latency._asdict().items()
    }
