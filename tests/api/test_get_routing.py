"""GET /api/v1/reports/routing."""

from experiments.models import Decision
from tests.api.client import API

ROUTING = "/api/v1/reports/routing"


def test_it_works(api: API) -> None:
    decisions = [api.route("a", domain=name) for name in ("creative", "legal", "medical")]
    report = api.get(ROUTING).data

    assert report["decisions"] == 3
    assert report["methods"] == {"domain_selector": 2, "routellm": 1}
    assert report["reasons"]["domain_flag_off"] == 2
    assert report["tiers"]["selected"] == 2
    assert sum(report["models"].values()) == 3
    assert report["fallbacks"] == {}
    assert report["router_failures"] == 0
    timings = sorted(decision["latency_ms"] for decision in decisions)
    assert report["latency_ms"]["timed"] == 3
    assert report["latency_ms"]["p50"] == timings[1]
    assert report["latency_ms"]["p99"] == timings[2]


def test_router_failures_are_counted_by_reason(api: API) -> None:
    api.route("a", domain="creative")
    api.route("a", domain="creative")
    first, second = Decision.objects.all()
    Decision.objects.filter(pk=first.pk).update(fallback="router_timeout")
    Decision.objects.filter(pk=second.pk).update(fallback="model_unavailable")
    report = api.get(ROUTING).data
    assert report["fallbacks"] == {"model_unavailable": 1, "router_timeout": 1}
    assert report["router_failures"] == 1


def test_without_decisions_no_latency_is_claimed(api: API) -> None:
    latency = api.get(ROUTING).data["latency_ms"]
    assert latency == {"timed": 0, "mean": None, "p50": None, "p95": None, "p99": None}


def test_one_domain_can_be_asked_for(api: API) -> None:
    api.route("a", domain="creative")
    api.route("a", domain="technical")
    assert api.get(ROUTING, domain="creative").data["decisions"] == 1
