"""`/domains/` and `/domains/<name>/`: the results of each domain, and of other thresholds."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from experiments.analytics.detection import Histograms, histograms, moved
from experiments.analytics.drift import drift_of
from experiments.analytics.targets import target_report
from experiments.analytics.traffic import DomainTraffic, per_thousand, traffic
from experiments.configuration.history import changes_between
from experiments.configuration.policy_store import store
from experiments.core.policy import Method, Policy
from experiments.core.policy import PolicyDomain as DomainPolicy
from experiments.dashboards import target_charts, traffic_charts, wording
from experiments.dashboards.domain_figures import RevisionMark
from experiments.dashboards.filters import Filters
from experiments.dashboards.learning import panel
from experiments.dashboards.overview import HELD_STATES, domain_rows
from experiments.dashboards.pages import page, show
from experiments.decisions.rollup_queries import Span
from experiments.models import Domain
from experiments.rollouts.states import rollout_states
from experiments.routing.runtime import threshold_at_work


@page()
def domains(request: HttpRequest) -> HttpResponse:
    filters = Filters.from_request(request.GET)
    found = traffic(filters.span(timezone.now()), filters.baseline)
    context: dict[str, Any] = {"all": Domain.objects.all(), "traffic": found}
    if found.domains:
        context["rows"] = domain_rows(found, filters)
        context["answer"] = wording.domains(found, filters)
        context["quiet"] = [
            one for one in context["all"] if one.name not in {row.name for row in found.domains}
        ]
    return show(request, "pages/domains.html", "domains", context, tab="domains", filters=filters)


@page()
def domain(request: HttpRequest, name: str) -> HttpResponse:
    filters, policy = Filters.from_request(request.GET), store.current()
    row = Domain.objects.select_related("router").filter(name=name).first()
    if row is None:
        context: dict[str, Any] = {"name": name, "known": sorted(policy.domains)}
        return show(request, "pages/no_domain.html", "domains", context, status=404)
    span = filters.span(timezone.now())
    found = traffic(span, filters.baseline, name)
    context = {
        "domain": row,
        "rollout": rollout_states().get(name),
        "drift": drift_of(policy, name, timezone.now()),
        **panel(request, policy, row),
    }
    if found.domains:
        happened = changes_between(span.since, span.until, name)
        changes = [RevisionMark(one.created_at, one.number) for one in happened]
        context |= {
            "traffic": found,
            "one": found.domains[0],
            "held_state": HELD_STATES[found.domains[0].quality.held],
            "answer": wording.domain(found.domains[0], filters),
            "cost": per_thousand(found.sums.cost, found.sums.priced),
            "charts": [
                traffic_charts.cost_of_requests(found, changes),
                traffic_charts.quality(found, changes),
            ],
            "happened": happened[::-1],
            **_target(span, row, policy, changes, filters),
            **_detection(span, row, policy, found.domains[0]),
        }
    return show(request, "pages/domain.html", "domains", context, tab="domains", filters=filters)


def _target(
    span: Span, row: Domain, policy: Policy, changes: Sequence[RevisionMark], filters: Filters
) -> dict[str, Any]:
    """What the domain aims at and what it got, where a router decides."""
    configured = policy.domains.get(row.name)
    if configured is None or configured.policy.method is not Method.ROUTELLM:
        return {}
    found = target_report(configured, span)
    at_work = threshold_at_work(configured)
    return {
        "target": target_charts.target_sentence(row, found, at_work, filters.when),
        "target_charts": target_charts.charts(found, changes),
    }


def _detection(span: Span, row: Domain, policy: Policy, one: DomainTraffic) -> dict[str, Any]:
    """The histograms; each only if it has counts."""
    found = histograms(span, row.name)
    configured = policy.domains.get(row.name)
    context: dict[str, Any] = {"routing_time": traffic_charts.routing_time(found.latency)}
    if found.confidence:
        context["confidence"] = traffic_charts.detection(
            found.confidence, row.name, row.min_confidence
        )
    if found.runners_up:
        context["seconds"] = traffic_charts.seconds(found.runners_up, row.name)
    return context | _scores(found, configured, policy, one)


def _scores(
    found: Histograms, configured: DomainPolicy | None, policy: Policy, one: DomainTraffic
) -> dict[str, Any]:
    router = router_shown(found, configured)
    if router is None:
        return {}
    bins = found.scores[router]
    moves = moved(bins, one.tiers)
    at_work = threshold_at_work(configured) if configured else None
    return {
        "scores": traffic_charts.scores(router, bins, moves, at_work),
        "moves": {
            "threshold": 0.5 if at_work is None else at_work,
            "summaries": [wording.threshold(move, at_work) for move in moves],
            "bins": [list(one) for one in bins],
        },
    }


def router_shown(found: Histograms, configured: DomainPolicy | None) -> str | None:
    """The domain's own router if it scored prompts, else the router with the most scores."""
    if configured and configured.policy.router in found.scores:
        return configured.policy.router
    counts = {name: sum(one.decisions for one in bins) for name, bins in found.scores.items()}
    return max(counts, key=lambda name: (counts[name], name), default=None)
