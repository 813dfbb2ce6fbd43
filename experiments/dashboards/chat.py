"""`/chat/`: chat through the gateway, see which model answered and why, and rate the answer.

The page calls /v1/chat/completions as any application does, but with the session and its CSRF
token instead of a key (`experiments.gateway.session_auth`).
"""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_POST

from experiments.configuration.policy_store import NoPolicyError, store
from experiments.dashboards.pages import page, show
from experiments.dashboards.wording import Budget
from experiments.decisions import explanation
from experiments.decisions.outcomes import QUALITY, FeedbackOffError, Rating, record_feedback
from experiments.limits.callable_models import CallableModels, reach
from experiments.limits.key_usage import spent_today
from experiments.limits.quotas import limits_of_person, user_account
from experiments.models import Decision
from experiments.routing.playground import OUTCOME

PERMISSION = "experiments.use_chat"
SOURCE = "user"
RATINGS = {"good": 1.0, "bad": 0.0}


@page()
def chat(request: HttpRequest) -> HttpResponse:
    try:
        policy = store.current()
        found, domains = reach(policy), sorted(policy.domains)
    except NoPolicyError:
        found, domains = CallableModels((), ()), []
    context = {
        "may_chat": request.user.has_perm(PERMISSION),
        "reach": found,
        "domains": domains,
        "budget": _budget(request),
    }
    return show(request, "pages/chat.html", "playground", context, tab="chat")


def _budget(request: HttpRequest) -> Budget | None:
    """What the reader has spent today. One query if there is a limit."""
    limit = limits_of_person().day
    if limit is None or request.user.pk is None:
        return None
    return Budget(spent_today(user_account(request.user.pk), timezone.now()), limit)


@page()
def why(request: HttpRequest, decision_id: UUID) -> HttpResponse:
    """Why this model: a part of the page, for its script. The outcome is on the decision's page."""
    row = Decision.objects.filter(pk=decision_id).first()
    if row is None:
        return HttpResponse("This decision no longer exists.", status=404)
    steps = [one for one in explanation.steps(row) if one.name != OUTCOME]
    context = {"row": row, "sentence": explanation.summary(row), "steps": steps}
    return render(request, "includes/chat_why.html", context)


@require_POST
@page(PERMISSION)
def rate(request: HttpRequest, decision_id: UUID) -> HttpResponse:
    """A thumb: a quality rating from the source `user`. The newest counts."""
    value = RATINGS.get(request.POST.get("rating", ""))
    if value is None:
        return HttpResponse("Send rating=good or rating=bad.", status=400)
    now = timezone.now()
    try:
        [refusal] = record_feedback([Rating(decision_id, QUALITY, value, SOURCE, now)], now)
    except FeedbackOffError as error:
        return HttpResponse(str(error), status=403, content_type="text/plain")
    if refusal is not None:
        return HttpResponse(str(refusal), status=404, content_type="text/plain")
    return HttpResponse(status=204)
