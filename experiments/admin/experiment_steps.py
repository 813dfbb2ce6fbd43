"""The steps of an experiment's lifecycle, as buttons."""

from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils import timezone

from experiments.admin.steps import AdminStep, Taken
from experiments.analysis.experiment.power import NoSize, SampleSize
from experiments.experimentation import lifecycle, shipping
from experiments.experimentation.results import results
from experiments.experimentation.start_planning import take_over
from experiments.experimentation.text import plan_sentence
from experiments.models import Experiment
from experiments.models.experiments import KEY

Status = Experiment.Status


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=500,
        help_text="The reason, shown in the history.",
        widget=forms.TextInput(attrs={"size": 60}),
    )


class ArmChoiceForm(forms.Form):
    arm = forms.ChoiceField(help_text="Its policy becomes the policy of the domain.")
    reason = forms.CharField(
        max_length=500,
        required=False,
        help_text="Required if the verdict is not to ship this arm.",
        widget=forms.TextInput(attrs={"size": 60}),
    )


class KeyForm(forms.Form):
    key = forms.CharField(max_length=80, validators=[KEY], help_text="The new experiment's name.")


def steps_of(row: Experiment, proposal: SampleSize | NoSize | None = None) -> list[AdminStep]:
    """The available steps, the most likely first."""
    steps = {
        Status.DRAFT: [*_plan(proposal), START, ARCHIVE],
        Status.RUNNING: [STOP, SHIP, PAUSE],
        Status.PAUSED: [RESUME, STOP, SHIP],
        Status.STOPPED: [ARCHIVE] if row.shipped_arm else [SHIP, ARCHIVE],
        Status.ARCHIVED: [],
    }
    return [*steps[Status(row.status)], CLONE]


def _plan(proposal: SampleSize | NoSize | None) -> list[AdminStep]:
    if not isinstance(proposal, SampleSize):
        return []

    def take(request: HttpRequest, row: Experiment, asked: dict[str, Any]) -> Taken:
        take_over(row, proposal, request.user)
        return Taken(f"{proposal.units:,} units are planned.", row)

    return [AdminStep("plan", f"Plan {proposal.units:,} units", plan_sentence(proposal), take)]


def _start(request: HttpRequest, row: Experiment, asked: dict[str, Any]) -> Taken:
    lifecycle.start(row, request.user, timezone.now())
    return Taken(f"{row} is running.", row)


def _pause(request: HttpRequest, row: Experiment, asked: dict[str, Any]) -> Taken:
    lifecycle.pause(row, request.user)
    return Taken(f"{row} is paused.", row)


def _resume(request: HttpRequest, row: Experiment, asked: dict[str, Any]) -> Taken:
    lifecycle.resume(row, request.user)
    return Taken(f"{row} is running again.", row)


def _stop(request: HttpRequest, row: Experiment, asked: dict[str, Any]) -> Taken:
    now, verdict = timezone.now(), _verdict(row)
    lifecycle.stop(row, request.user, now, reason=asked["reason"], verdict=verdict)
    return Taken(f"{row} is stopped.", row)


def _ship(request: HttpRequest, row: Experiment, asked: dict[str, Any]) -> Taken:
    shipping.ship(row, asked["arm"], request.user, timezone.now(), anyway=asked["reason"].strip())
    return Taken(f"{asked['arm']} was shipped to {row.domain or 'every domain'}.", row)


def _archive(request: HttpRequest, row: Experiment, asked: dict[str, Any]) -> Taken:
    lifecycle.archive(row, request.user)
    return Taken(f"{row} is archived.", row)


def _clone(request: HttpRequest, row: Experiment, asked: dict[str, Any]) -> Taken:
    twin = lifecycle.clone(row, asked["key"], request.user)
    return Taken(f"{twin} is a draft with the same plan.", twin)


def _verdict(row: Experiment) -> str:
    verdict = results(row, timezone.now(), series=False).verdict
    return str(verdict.outcome) if verdict else ""


def _arm_form(row: Experiment, data: Any) -> forms.Form:
    form = ArmChoiceForm(data)
    arms = row.arms.order_by("is_control", "pk").values_list("name", flat=True)
    form.fields["arm"].choices = [(name, name) for name in arms]  # type: ignore[attr-defined]
    return form


def _about_shipping(row: Experiment) -> list[str]:
    """The verdict, and each arm's changes and predictions."""
    found = shipping.previews(row, timezone.now())
    changes = [f"{one.arm}: {change}" for one in found for change in one.changes]
    return [*(found[0].lines[:1] if found else ()), *changes]


START = AdminStep(
    "start",
    "Start",
    "Units are assigned from now on. The plan is locked, except question and owner. Coverage can "
    "only grow, and changed policies or weights start a new phase.",
    _start,
    main=True,
)
PAUSE = AdminStep(
    "pause", "Pause", "No units are enrolled until it resumes. Outcomes still count.", _pause
)
RESUME = AdminStep("resume", "Resume", "Every unit returns to its arm.", _resume, main=True)
STOP = AdminStep(
    "stop",
    "Stop",
    "The experiment ends and its current verdict is stored. It cannot be started again.",
    _stop,
    form=lambda row, data: ReasonForm(data),
)
SHIP = AdminStep(
    "ship",
    "Ship an arm",
    "The arm's policy becomes the policy of the domain, or of all domains if the experiment has "
    "none. This is one revision, which can be rolled back. The experiment ends.",
    _ship,
    form=_arm_form,
    about=_about_shipping,
)
ARCHIVE = AdminStep(
    "archive", "Archive", "The lists hide it; its results stay at its address.", _archive
)
CLONE = AdminStep(
    "clone",
    "Clone",
    "Creates a draft with the same question, policies and metrics, and new random arms.",
    _clone,
    form=lambda row, data: KeyForm(data),
)
