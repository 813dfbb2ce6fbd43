"""`/judging/`: results and cost of shadow calls and the judge, and agreement with people."""

from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from experiments.configuration.policy_store import store
from experiments.dashboards import judging_wording as wording
from experiments.dashboards.filters import Filters
from experiments.dashboards.pages import page, show
from experiments.dashboards.wording import Budget
from experiments.models import Domain, OwnCall, ShadowPair
from experiments.shadow.queue import spent
from experiments.shadow.report import judging as judging_report

NO_ANSWERS = (
    "The answers are not stored, because the domain {domain} does not store the text of prompts."
)


class PairLine(NamedTuple):
    """One of the newest pairs."""

    pair: ShadowPair
    verdict: str
    state: str


@page()
def judging(request: HttpRequest) -> HttpResponse:
    filters, now, policy = Filters.from_request(request.GET), timezone.now(), store.current()
    found = judging_report(filters.span(now), filters.domain)
    budget = Budget(spent(now), policy.shadowing.budget)
    context = {
        "answer": wording.answer(found, filters.when, policy, budget),
        "found": found,
        "judge": policy.shadowing.judge,
        "budget": budget,
        "agreement": wording.agreement(found.agreement),
        "position": wording.position(found.first_named),
        "lines": [_line(pair) for pair in found.newest],
        "domain_choices": Domain.objects.values_list("name", flat=True),
    }
    return show(request, "pages/judging.html", "models", context, tab="judging", filters=filters)


_STATES = {
    "judged": "ship",
    "waiting": "waiting",
    "asking": "running",
    "answered": "stopped",
    "skipped": "paused",
}


def _line(pair: ShadowPair) -> PairLine:
    words = wording.verdict(pair.preference, pair.model, pair.other_model)
    if pair.status == ShadowPair.PairStatus.WAITING:
        words = pair.detail
    return PairLine(pair, words, _STATES.get(pair.status, "unhealthy"))


class Reading(NamedTuple):
    """One verdict of the judge on the decision's page."""

    first: str
    winner: str
    criterion: str
    reason: str


def shadow_of(pair: ShadowPair | None) -> dict[str, Any]:
    """A decision's shadow pair for its page. One query if there is a pair."""
    if pair is None:
        return {}
    calls = list(pair.calls.filter(purpose=OwnCall.Purpose.JUDGE).exclude(winner=""))
    latest = {call.given_first: call for call in calls}
    keeps_text = pair.answer is not None
    return {
        "pair": pair,
        "verdict": wording.verdict(pair.preference, pair.model, pair.other_model),
        "detail": wording.REASONS.get(pair.detail, pair.detail),
        "readings": [_reading(pair, call) for call in latest.values()],
        "no_answers": ""
        if keeps_text or pair.status in ShadowPair.OPEN
        else NO_ANSWERS.format(domain=pair.domain),
        "cost": sum(cost for cost in pair.calls.values_list("cost", flat=True) if cost),
    }


def _reading(pair: ShadowPair, call: OwnCall) -> Reading:
    names = {OwnCall.Winner.GIVEN: pair.model, OwnCall.Winner.OTHER: pair.other_model}
    return Reading(
        first=pair.model if call.given_first else pair.other_model,
        winner=names.get(OwnCall.Winner(call.winner), "neither"),
        criterion=call.criterion,
        reason=call.reason,
    )
