"""`/`: the saving of routing, and whether quality held."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from experiments.analytics.alerts import Attention, NotReady, Subject, attention
from experiments.analytics.traffic import (
    DomainTraffic,
    QualityStatus,
    Traffic,
    per_thousand,
    traffic,
)
from experiments.configuration.policy_store import store
from experiments.core.policy import Policy
from experiments.dashboards import learning, traffic_charts, wording
from experiments.dashboards.filters import Filters
from experiments.dashboards.pages import page, show
from experiments.dashboards.sparklines import Sparkline, sparkline
from experiments.learning.status import needing_attention
from experiments.rollouts.states import RolloutState, rollout_states
from experiments.routing.runtime import engine
from experiments.shadow.report import measuring_cost

HELD_STATES = {
    QualityStatus.YES: "ship",
    QualityStatus.NO: "unhealthy",
    QualityStatus.UNCLEAR: "waiting",
    QualityStatus.TOO_FEW: "waiting",
    QualityStatus.NOT_ROUTED: "draft",
}


class DomainRow(NamedTuple):
    """One row of the table of domains."""

    traffic: DomainTraffic
    cost: int | None
    spark: Sparkline
    held_state: str
    rollout: RolloutState | None


class AttentionRow(NamedTuple):
    one: Attention
    href: str


@page()
def overview(request: HttpRequest) -> HttpResponse:
    filters, policy = Filters.from_request(request.GET), store.current()
    span = filters.span(timezone.now())
    found = traffic(span, filters.baseline)
    needs = (*attention(span, policy, not_ready()), *_learning_needs(policy))
    context = {
        "needs": [AttentionRow(one, address_of(one)) for one in needs],
        "traffic": found,
        **learning.offer(request, policy),
        "measuring_cost": measuring_cost(span.since, span.until),
        **(_numbers(found, filters, policy, needs) if found.domains else {}),
    }
    return show(request, "pages/overview.html", "overview", context, filters=filters)


def _numbers(
    found: Traffic, filters: Filters, policy: Policy, needs: Sequence[Attention]
) -> dict[str, Any]:
    verdicts = [one.title for one in needs if one.subject is Subject.EXPERIMENT]
    answer = wording.overview(found, filters, verdicts)
    return {
        "answer": answer,
        "charts": [traffic_charts.costs(found), traffic_charts.quality(found)],
        "rows": domain_rows(found, filters),
        "router_cost": router_cost(policy),
        "latency": found.sums.routing_us / found.sums.timed / 1000 if found.sums.timed else None,
    }


def domain_rows(found: Traffic, filters: Filters) -> list[DomainRow]:
    """Each domain with traffic. One query, for the rollouts."""
    states = rollout_states()
    return [_row(one, states.get(one.name), filters) for one in found.domains]


def _row(one: DomainTraffic, rollout: RolloutState | None, filters: Filters) -> DomainRow:
    label = f"Cost per request of {one.name} {filters.when}"
    return DomainRow(
        traffic=one,
        cost=per_thousand(one.sums.cost, one.sums.priced),
        spark=sparkline(one.costs, label=label),
        held_state=HELD_STATES[one.quality.held],
        rollout=rollout,
    )


def router_cost(policy: Policy) -> str:
    """The cost of scoring. Local routers are free; remote ones are billed by their provider."""
    names = {domain.policy.router for domain in policy.domains.values()}
    remote = sorted(
        name
        for name in names
        if name
        and (router := policy.routers.get(name))
        and not router.local
        and router.kind != "random"
    )
    return f"{wording.listed(remote)}: billed separately" if remote else "$0, scored locally"


def not_ready() -> list[NotReady]:
    """Routers of this process that are not ready; other processes load the same rows."""
    return [NotReady(one.name, one.detail) for one in engine.statuses() if not one.ready]


LEARNING_STATES = {"proposed": "ship", "weak_as_good": "ship", "does_not_pay": "unhealthy"}


def _learning_needs(policy: Policy) -> Iterator[Attention]:
    """Domains whose learning suggests a step."""
    for one in needing_attention(policy):
        state = LEARNING_STATES.get(one.code, "paused")
        title = f"Learning in {one.domain}"
        yield Attention(Subject.LEARNING, state, one.domain, title, one.sentence)


def address_of(one: Attention) -> str:
    """The page to act on. Without the pages it is the admin."""
    try:
        return _page_of(one)
    except NoReverseMatch:
        return reverse("admin:index")


def _page_of(one: Attention) -> str:
    with_key = {Subject.EXPERIMENT: "experiment", Subject.LEARNING: "domain"}
    if one.subject in with_key:
        address = reverse(f"dashboards:{with_key[one.subject]}", args=[one.key])
        return f"{address}#learning" if one.subject is Subject.LEARNING else address
    if one.subject is Subject.ROLLOUT:
        return reverse("dashboards:rollouts")
    if one.subject in {Subject.MODEL, Subject.CIRCUIT}:
        return reverse("dashboards:models")
    if one.subject is Subject.DOMAIN:
        return f"{reverse('dashboards:lab_calibration')}?domain={one.key}"
    return reverse("admin:experiments_router_changelist")
