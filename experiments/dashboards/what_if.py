"""`/lab/what-if/`: the estimated cost and quality of another policy."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from experiments import formatting
from experiments.analysis.off_policy.exploration import RATE
from experiments.configuration.experiment_locks import LockedError
from experiments.configuration.policy_store import store
from experiments.core.policy import Policy
from experiments.dashboards.actions import PageAction
from experiments.dashboards.lab_charts import (
    THOUSAND,
    answered,
    curve_chart,
    domains_table,
    estimators_table,
)
from experiments.dashboards.lab_filters import METHODS, More, WhatIfQuery
from experiments.dashboards.pages import page, show
from experiments.dashboards.wording import Headline
from experiments.experimentation.lifecycle import LifecycleError
from experiments.lab.actions import LabError, draft_experiment, explore
from experiments.lab.candidates import CannotAskError
from experiments.lab.decision_log import MOST_ON_A_PAGE, Logged, read_log
from experiments.lab.off_policy import (
    MOST_SCORED_ON_A_PAGE,
    PolicyEstimate,
    answer,
    question,
    routers_of,
)
from experiments.lab.rescoring import with_scores
from experiments.lab.text.off_policy import (
    advice_words,
    condition_words,
    name_of,
    sentence,
    tails,
    weights_words,
)
from experiments.lab.training import offered_routers
from experiments.models import Domain
from experiments.models.routers import LOCAL_KINDS

DRAFT, EXPLORE = "experiments.add_experiment", "experiments.change_domain"


@page()
def what_if(request: HttpRequest) -> HttpResponse:
    policy = store.current()
    asked = WhatIfQuery.from_request(request.GET, policy)
    span = asked.filters.span(timezone.now())
    logged = read_log(span, asked.candidate.domain, limit=asked.most)
    context: dict[str, Any] = {
        "live": 0,
        "problems": list(asked.problems),
        "question": asked,
        "more": None if logged.is_whole else More.of(asked.most, asked.query(most=MOST_ON_A_PAGE)),
    }
    if len(logged):
        context |= _answered(request, asked, logged)
    context |= _controls(policy, logged, asked)
    return show(
        request, "pages/what_if.html", "lab", context, tab="lab_what_if", filters=asked.filters
    )


def _controls(policy: Policy, logged: Logged, asked: WhatIfQuery) -> dict[str, Any]:
    known = list(routers_of(logged)) or sorted(policy.routers)
    local = offered_routers().filter(kind__in=LOCAL_KINDS).values_list("name", flat=True)
    unlogged = [name for name in local if name not in known]
    named = [asked.candidate.router] if asked.candidate.router else []
    return {
        "domain_choices": Domain.objects.values_list("name", flat=True),
        "more_controls": "includes/what_if_controls.html",
        "methods": METHODS,
        "routers": dict.fromkeys([*known, *unlogged, *named]),
        "unlogged": unlogged if len(logged) else [],
        "models": sorted(policy.models),
        "candidate": asked.candidate,
    }


def _answered(request: HttpRequest, asked: WhatIfQuery, logged: Logged) -> dict[str, Any]:
    try:
        scored = with_scores(logged, asked.candidate, MOST_SCORED_ON_A_PAGE)
        found = answer(question(scored, asked.candidate), asked.candidate)
    except CannotAskError as error:
        return {"refusal": str(error)}
    advice = advice_words(found.advice, asked.candidate.domain) if found.advice else ""
    return {
        "answer": Headline(sentence(found), advice),
        "found": found.found,
        "overlap": formatting.share(1 - found.found.without_overlap),
        "weights": weights_words(found),
        "condition": condition_words(found.found.ratings),
        "tails": tails(found),
        "name": name_of(asked.candidate),
        "chart": curve_chart(found) if found.points else None,
        "moves": _moves(asked, found),
        "estimators": estimators_table(found),
        "domains": domains_table(found),
        "steps": _steps(request, asked, found),
    }


def _moves(asked: WhatIfQuery, found: PolicyEstimate) -> list[dict[str, Any]]:
    """The estimate at each threshold that the log covers, for the slider."""
    return [
        {
            "x": (point.cost.value or 0.0) * THOUSAND,
            "y": point.quality.value,
            "sentence": (
                f"At {point.threshold:.3f}, {formatting.share(point.strong_share)} go to the "
                f"strong model: {_per_thousand(point.cost.value)}, "
                f"quality {_within(point.quality.value, point.quality.low, point.quality.high)}."
            ),
            "href": asked.query(min(1.0, point.threshold)),
        }
        for point in answered(found.points)
    ]


def _per_thousand(nano: float | None) -> str:
    return f"{formatting.in_dollars((nano or 0.0) * THOUSAND, 3)} per 1,000 requests"


def _within(value: float | None, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"about {value:.3f}, with too few explorations for an interval"
    return f"between {low:.3f} and {high:.3f}"


def _steps(
    request: HttpRequest, asked: WhatIfQuery, found: PolicyEstimate
) -> list[tuple[PageAction, str]]:
    """The actions that the reader may take with the estimate of a domain."""
    if not asked.candidate.domain:
        return []
    domain = asked.candidate.domain
    steps = []
    if request.user.has_perm(DRAFT):
        candidate = name_of(asked.candidate)
        text = (
            f"Drafts an experiment in {domain}: today's policy against “{candidate}”. You start it."
        )
        steps.append(
            (PageAction("experiment", "Draft an experiment", text, main=True), "experiment")
        )
    if found.advice and not found.advice.is_on and request.user.has_perm(EXPLORE):
        text = advice_words(found.advice, domain).removeprefix("Next: ")
        label = f"Explore {formatting.share(RATE)}"
        steps.append((PageAction("explore", label, f"{text[:1].upper()}{text[1:]}"), "explore"))
    address = asked.query()
    return [
        (action, f"{reverse('dashboards:lab_what_if_act', args=[name])}{address}")
        for action, name in steps
    ]


@require_POST
def act(request: HttpRequest, action: str) -> HttpResponseBase:
    """Drafts an experiment or starts exploration for the question in the address."""
    if action == "experiment":
        return _draft(request)
    if action == "explore":
        return _explore(request)
    raise Http404


@page(DRAFT)
def _draft(request: HttpRequest) -> HttpResponse:
    asked = WhatIfQuery.from_request(request.GET, store.current())
    try:
        made = draft_experiment(asked.candidate, request.user)
    except (LabError, LifecycleError, LockedError, ValidationError) as error:
        messages.error(request, _words(error))
        return _back(asked)
    messages.success(request, f"Drafted {made.key}. Check it, then start it.")
    return HttpResponseRedirect(reverse("dashboards:experiment", args=[made.key]))


@page(EXPLORE)
def _explore(request: HttpRequest) -> HttpResponse:
    asked = WhatIfQuery.from_request(request.GET, store.current())
    try:
        explore(asked.candidate.domain, RATE, request.user)
    except (LabError, LockedError, ValidationError) as error:
        messages.error(request, _words(error))
        return _back(asked)
    messages.success(
        request, f"{asked.candidate.domain} explores {formatting.share(RATE)} from now on."
    )
    return _back(asked)


def _words(error: Exception) -> str:
    return " ".join(error.messages) if isinstance(error, ValidationError) else str(error)


def _back(asked: WhatIfQuery) -> HttpResponseRedirect:
    return HttpResponseRedirect(f"{reverse('dashboards:lab_what_if')}{asked.query()}")
