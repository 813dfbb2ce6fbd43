"""The actions of an experiment: each is a confirmed POST and a revision."""

from collections.abc import Callable, Sequence

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from experiments.analysis.experiment.verdict import Verdict
from experiments.analysis.experiment.verdict_codes import VerdictCode
from experiments.configuration.experiment_locks import LockedError
from experiments.dashboards.actions import REASON_LENGTH, PageAction
from experiments.dashboards.pages import page
from experiments.experimentation import lifecycle, shipping
from experiments.experimentation.checklists import Check
from experiments.experimentation.lifecycle import LifecycleError
from experiments.experimentation.results import results
from experiments.models import Experiment

CHANGE = "experiments.change_experiment"
Status = Experiment.Status

PAUSE = PageAction(
    "pause", "Pause", "No units are enrolled until it resumes. Outcomes still count."
)
RESUME = PageAction("resume", "Resume", "Every unit returns to its arm.", main=True)
STOP = PageAction(
    "stop", "Stop", "The experiment ends. It cannot be started again.", needs_reason=True
)
ARCHIVE = PageAction("archive", "Archive", "The lists hide it. Its results stay at this address.")
START = PageAction("start", "Start", "Units are assigned from now on.", main=True)


def actions_of(
    experiment: Experiment, verdict: Verdict | None, checks: Sequence[Check]
) -> list[PageAction]:
    """The available actions, the most likely first."""
    status = experiment.status
    if status == Status.DRAFT:
        return [START, ARCHIVE] if all(check.passed for check in checks) else [ARCHIVE]
    if status == Status.ARCHIVED:
        return []
    if experiment.shipped_arm:
        return [ARCHIVE]
    ship = _ship(experiment, verdict)
    if status == Status.STOPPED:
        return [ship, ARCHIVE]
    toggle = PAUSE if status == Status.RUNNING else RESUME
    if verdict is not None and verdict.outcome is VerdictCode.SHIP:
        return [ship, STOP, toggle]
    return [STOP._replace(main=_is_to_stop(verdict)), toggle, ship]


def _is_to_stop(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.outcome in {
        VerdictCode.ROLL_BACK,
        VerdictCode.NO_DIFFERENCE,
    }


def _ship(experiment: Experiment, verdict: Verdict | None) -> PageAction:
    """Shown with the verdict, and each arm's changes and predictions."""
    where = experiment.domain or "every domain"
    found = shipping.previews(experiment, timezone.now())
    ready = verdict is not None and verdict.outcome is VerdictCode.SHIP
    warning = "" if ready else " The verdict is not to ship: give a reason to ship anyway."
    best = verdict.arm if ready and verdict and verdict.arm else ""
    changes = (f"{one.arm}: {change}" for one in found for change in one.changes)
    return PageAction(
        "ship",
        f"Ship {best}".strip() if best else "Ship an arm",
        f"Its policy becomes the policy of {where}, and the experiment ends.{warning}",
        main=ready,
        needs_reason=not ready,
        may_need_reason=ready,
        arms=tuple(one.arm for one in found),
        arm=best,
        lines=(*found[0].lines[:1], *changes) if found else (),
    )


@require_POST
@page(CHANGE)
def act(request: HttpRequest, key: str, action: str) -> HttpResponse:
    """Takes the action and returns to the experiment, with the result or the error."""
    experiment = get_object_or_404(Experiment, key=key)
    if action not in _STEPS:
        raise Http404
    try:
        messages.success(request, _STEPS[action](request, experiment))
    except (LifecycleError, LockedError) as error:
        messages.error(request, str(error))
    return HttpResponseRedirect(reverse("dashboards:experiment", args=[key]))


def _start(request: HttpRequest, experiment: Experiment) -> str:
    lifecycle.start(experiment, request.user, timezone.now())
    return f"{experiment.key} is running."


def _pause(request: HttpRequest, experiment: Experiment) -> str:
    lifecycle.pause(experiment, request.user)
    return f"{experiment.key} is paused."


def _resume(request: HttpRequest, experiment: Experiment) -> str:
    lifecycle.resume(experiment, request.user)
    return f"{experiment.key} is running again."


def _stop(request: HttpRequest, experiment: Experiment) -> str:
    reason = request.POST.get("reason", "").strip()[:REASON_LENGTH]
    if not reason:
        raise LifecycleError(["Give a reason for stopping."])
    verdict = _verdict(experiment)
    lifecycle.stop(experiment, request.user, timezone.now(), reason=reason, verdict=verdict)
    return f"{experiment.key} is stopped."


def _ship_arm(request: HttpRequest, experiment: Experiment) -> str:
    arm = request.POST.get("arm", "")
    reason = request.POST.get("reason", "").strip()[:REASON_LENGTH]
    shipping.ship(experiment, arm, request.user, timezone.now(), anyway=reason)
    return f"{arm} was shipped to {experiment.domain or 'every domain'}."


def _archive(request: HttpRequest, experiment: Experiment) -> str:
    lifecycle.archive(experiment, request.user)
    return f"{experiment.key} is archived."


def _verdict(experiment: Experiment) -> str:
    """The current verdict, which is stored with the end."""
    verdict = results(experiment, timezone.now(), series=False).verdict
    return str(verdict.outcome) if verdict else ""


_STEPS: dict[str, Callable[[HttpRequest, Experiment], str]] = {
    "start": _start,
    "pause": _pause,
    "resume": _resume,
    "stop": _stop,
    "ship": _ship_arm,
    "archive": _archive,
}
