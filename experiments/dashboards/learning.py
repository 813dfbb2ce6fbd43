"""Learning on the page of a domain and on the overview: what routing is worth, and its switches."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from experiments.configuration.experiment_locks import LockedError
from experiments.core.domains import CAREFUL
from experiments.core.policy import Policy
from experiments.core.shadowing import learns
from experiments.dashboards.actions import PageAction
from experiments.dashboards.learning_charts import round_chart
from experiments.dashboards.pages import page
from experiments.formatting import dollars, exact_dollars
from experiments.learning import consent, serving
from experiments.learning.serving import ServingError
from experiments.learning.status import DomainLearning, Step, learning_of
from experiments.models import Domain

CHANGE = "experiments.change_domain"


class Link(NamedTuple):
    href: str
    label: str


def panel(request: HttpRequest, policy: Policy, domain: Domain) -> dict[str, Any]:
    """What the page of a domain shows of learning."""
    found, name = learning_of(policy, domain), domain.name
    may_change = request.user.has_perm(CHANGE)
    actions = [
        (action, reverse("dashboards:learning_act", args=[name, action.name]))
        for action in _actions(found)
        if may_change
    ]
    return {
        "learning": found,
        "learning_actions": actions,
        "learning_link": _link(found),
        "learning_chart": round_chart(found) if _has_rounds(found) else None,
        "spent": dollars(found.spent),
        "budget": exact_dollars(found.budget),
    }


def offer(request: HttpRequest, policy: Policy) -> dict[str, Any]:
    """The switch on the overview, until some domain learns."""
    learning = [name for name in policy.domains if learns(policy, name)]
    if learning or not request.user.has_perm(CHANGE):
        return {}
    action = PageAction(
        "switch-on",
        "Switch learning on",
        f"{consent.costs(consent.budget_of())} {_left_out(policy)}",
        main=True,
    )
    return {
        "learning_offer": action,
        "learning_offer_href": reverse("dashboards:learning_on"),
        "judge": policy.shadowing.judge,
    }


def _left_out(policy: Policy) -> str:
    names = ", ".join(name.capitalize() for name in sorted(CAREFUL & set(policy.domains)))
    return f"{names} stay off; switch them on one by one." if names else ""


def _has_rounds(found: DomainLearning) -> bool:
    return any(row.z is not None for row in found.rounds)


def _actions(found: DomainLearning) -> list[PageAction]:
    """The button that fits the sentence first."""
    weak = PageAction(
        "send-to-weak",
        "Send everything to the weak model",
        "The domain's method becomes always weak. This is a revision, which can be rolled back.",
        main=True,
    )
    strong = PageAction(
        "send-to-strong",
        "Send everything to the strong model",
        "The domain's method becomes always strong. This is a revision, which can be rolled back.",
        main=True,
    )
    on = PageAction("switch-on", "Switch learning on", found.costs, main=not found.learning)
    off = PageAction(
        "switch-off",
        "Switch learning off",
        "No more pairs are drawn and no more rounds run. The router that serves stays.",
    )
    steps = {Step.SEND_TO_WEAK: [weak], Step.SEND_TO_STRONG: [strong]}
    offered = [*steps.get(found.status.step, [])]
    if found.proposal is not None:
        offered += [_approve(found), PageAction("decline", "Decline", "The present router stays.")]
    if found.can_undo and found.last_change is not None:
        back = found.last_change.router_before
        offered.append(
            PageAction(
                "undo",
                "Undo the last change",
                f"{back} scores prompts again, and later changes wait for your approval.",
            )
        )
    return [*offered, off if found.learning else on]


def _approve(found: DomainLearning) -> PageAction:
    named = found.proposal.router_after if found.proposal else ""
    said = f"{named} scores prompts from now on. This is a revision, which can be undone."
    return PageAction("approve", "Serve the learned router", said, main=True)


def _link(found: DomainLearning) -> Link | None:
    """The page to go to, where the step is not a button."""
    name, step = found.domain.name, found.status.step
    if step in {Step.CHOOSE_JUDGE, Step.RAISE_BUDGET}:
        label = "Choose a judge" if step is Step.CHOOSE_JUDGE else "Raise the budget"
        return Link(reverse("admin:experiments_routingsettings_change", args=[1]), label)
    if step is Step.SEE_PAIRS:
        return Link(f"{reverse('dashboards:judging')}?domain={name}", "See the pairs")
    if step is Step.SET_TARGET:
        link = reverse("admin:experiments_domain_change", args=[found.domain.pk])
        return Link(link, "Change the target")
    return None


def _switch_on(request: HttpRequest, domain: Domain) -> str:
    consent.switch_on(domain.name, request.user)
    return f"{domain} learns from now on."


def _switch_off(request: HttpRequest, domain: Domain) -> str:
    consent.switch_off(domain.name, request.user)
    return f"{domain} no longer learns."


def _approved(request: HttpRequest, domain: Domain) -> str:
    row = serving.approve(domain, request.user, timezone.now())
    return f"{row.router_after} scores the prompts of {domain} now."


def _declined(request: HttpRequest, domain: Domain) -> str:
    serving.decline(domain)
    return "The proposal is declined."


def _undone(request: HttpRequest, domain: Domain) -> str:
    row = serving.undo(domain, request.user, timezone.now())
    return f"{row.router_after} scores the prompts of {domain} again. Changes wait for approval."


def _send_to(method: str, words: str) -> Callable[[HttpRequest, Domain], str]:
    def act(request: HttpRequest, domain: Domain) -> str:
        consent.set_method(domain.name, method, request.user)
        return f"All prompts of {domain} go to the {words} model now."

    return act


_STEPS: dict[str, Callable[[HttpRequest, Domain], str]] = {
    "switch-on": _switch_on,
    "switch-off": _switch_off,
    "approve": _approved,
    "decline": _declined,
    "undo": _undone,
    "send-to-weak": _send_to("always_weak", "weak"),
    "send-to-strong": _send_to("always_strong", "strong"),
}


@require_POST
@page(CHANGE)
def act(request: HttpRequest, name: str, action: str) -> HttpResponse:
    """Takes the step and returns to the domain, with the result or the error."""
    domain = get_object_or_404(Domain.objects.select_related("router"), name=name)
    if action not in _STEPS:
        raise Http404
    try:
        said = _STEPS[action](request, domain)
    except (LockedError, ServingError) as error:
        messages.error(request, str(error))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, said)
    return HttpResponseRedirect(f"{reverse('dashboards:domain', args=[name])}#learning")


@require_POST
@page(CHANGE)
def switch_on_all(request: HttpRequest) -> HttpResponse:
    """Switches learning on in all domains but the careful ones."""
    try:
        names = consent.switch_on_all(request.user)
    except LockedError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Learning is on in {', '.join(names)}.")
    return HttpResponseRedirect(reverse("dashboards:overview"))
