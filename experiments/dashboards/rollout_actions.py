"""The actions of a rollout: each is a confirmed POST and a revision."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from experiments.configuration.experiment_locks import LockedError
from experiments.dashboards.actions import REASON_LENGTH, PageAction
from experiments.dashboards.pages import page
from experiments.formatting import percentage
from experiments.models import Rollout
from experiments.rollouts import lifecycle
from experiments.rollouts.lifecycle import RolloutError
from experiments.rollouts.steps import next_step

CHANGE = "experiments.change_rollout"
State = Rollout.State
START = PageAction("start", "Start", "The flag goes to the first step now.", main=True)
ADVANCE = PageAction("go-on", "Advance", "The flag goes to the next step now.", main=True)
PAUSE = PageAction("pause", "Pause", "The percentage stays until the rollout resumes.")
RESUME = PageAction("resume", "Resume", "The rollout continues from the current step.", main=True)


ANYWAY = PageAction(
    "advance-anyway",
    "Advance anyway",
    "The flag goes to the next step now, even if a guard does not allow it. The final report "
    "repeats your reason.",
    needs_reason=True,
)
LOWER = PageAction(
    "target",
    "Lower the target",
    "The rollout ends at a lower percentage, which needs less evidence.",
    needs_percentage=True,
)


def actions_of(rollout: Rollout) -> list[PageAction]:
    """The available actions, the most likely first."""
    before = percentage(float(min(rollout.before_percentage, rollout.flag.percentage)))
    back = PageAction(
        "roll-back", "Roll back", f"The flag returns to {before} now.", needs_reason=True
    )
    rises = next_step(rollout) is not None
    lower, anyway = ([LOWER], [ANYWAY]) if rises else ([], [])
    found: dict[str, list[PageAction]] = {
        State.PENDING: [START._replace(consequence=_start_consequence(rollout))],
        State.READY: [ADVANCE, PAUSE, *lower, back],
        State.RUNNING: [PAUSE, *lower, *anyway, back],
        State.HELD: [back._replace(main=True), PAUSE, *lower, *anyway],
        State.PAUSED: [RESUME, *lower, back],
    }
    return found.get(rollout.state, [])


def _start_consequence(rollout: Rollout) -> str:
    return (
        f"{START.consequence} {lifecycle.worst_case_of(rollout) if rollout.steps else ''}".strip()
    )


@require_POST
@page(CHANGE)
def act(request: HttpRequest, key: str, action: str) -> HttpResponse:
    """Takes the action and returns to the rollouts, with the result or the error."""
    rollout = get_object_or_404(Rollout.objects.select_related("flag__domain"), key=key)
    if action not in _STEPS:
        raise Http404
    try:
        _STEPS[action](request, rollout)
    except (RolloutError, LockedError) as error:
        messages.error(request, str(error))
    else:
        messages.success(
            request, f"{rollout.flag.domain or rollout.flag}: {rollout.reason.rstrip('.')}."
        )
    return HttpResponseRedirect(reverse("dashboards:rollouts"))


def _start(request: HttpRequest, rollout: Rollout) -> None:
    lifecycle.start(rollout, request.user, timezone.now())


def _advance(request: HttpRequest, rollout: Rollout) -> None:
    lifecycle.advance(rollout, request.user, timezone.now())


def _pause(request: HttpRequest, rollout: Rollout) -> None:
    lifecycle.pause(rollout, request.user, timezone.now())


def _resume(request: HttpRequest, rollout: Rollout) -> None:
    lifecycle.resume(rollout, request.user, timezone.now())


def _anyway(request: HttpRequest, rollout: Rollout) -> None:
    reason = request.POST.get("reason", "").strip()[:REASON_LENGTH]
    lifecycle.advance_anyway(rollout, request.user, timezone.now(), reason)


def _lower(request: HttpRequest, rollout: Rollout) -> None:
    text = request.POST.get("percentage", "")
    try:
        percentage = Decimal(text)
    except InvalidOperation:
        raise RolloutError(f"'{text}' is not a percentage.") from None
    lifecycle.lower_target(rollout, percentage, request.user, timezone.now())


def _roll_back(request: HttpRequest, rollout: Rollout) -> None:
    reason = request.POST.get("reason", "").strip()[:REASON_LENGTH]
    if not reason:
        raise RolloutError("Give a reason for rolling back.")
    lifecycle.roll_back(rollout, request.user, timezone.now(), reason)


_STEPS: dict[str, Callable[[HttpRequest, Rollout], None]] = {
    "start": _start,
    "go-on": _advance,
    "advance-anyway": _anyway,
    "target": _lower,
    "pause": _pause,
    "resume": _resume,
    "roll-back": _roll_back,
}
