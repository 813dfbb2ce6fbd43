"""The steps of an experiment's life, as buttons."""

from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils import timezone

from experiments.admin.steps import Step, Taken
from experiments.analysis.experiment.power import NoSize, Size
from experiments.experimentation import lifecycle, shipping
from experiments.experimentation.results import results
from experiments.experimentation.start_planning import take_over
from experiments.models import Experiment
from experiments.models.experiments import KEY

Status = Experiment.Status


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=500,
        help_text="Why, for whoever reads it later.",
        widget=forms.TextInput(attrs={"size": 60}),
    )


class ArmChoiceForm(forms.Form):
    arm = forms.ChoiceField(help_text="Its policy becomes the domain's.")
    reason = forms.CharField(
        max_length=500,
        required=False,
        help_text="Needed where the verdict is not to ship that arm: why it is shipped anyway.",
        widget=forms.TextInput(attrs={"size": 60}),
    )


class KeyForm(forms.Form):
    key = forms.CharField(max_length=80, validators=[KEY], help_text="The new experiment's name.")


def steps_of(row: Experiment, proposal: Size | NoSize | None = None) -> list[Step]:
    """What can be done now, the likeliest first."""
    steps = {
        Status.DRAFT: [*_plan(proposal), START, ARCHIVE],
        Status.RUNNING: [STOP, SHIP, PAUSE],
        Status.PAUSED: [RESUME, STOP, SHIP],
        Status.STOPPED: [ARCHIVE] if row.shipped_arm else [SHIP, ARCHIVE],
        Status.ARCHIVED: [],
    }
    return [*steps[Status(row.status)], CLONE]


def _plan(proposal: Size | NoSize | None) -> list[Step]:
    if not isinstance(proposal, Size):
        return []

    def take(request: HttpRequest, row: Experiment, asked: dict[str, Any]) -> Taken:
        take_over(row, proposal, request.user)
        return Taken(f"{proposal.units:,} units are planned.", row)

    return [Step("plan", f"Plan {proposal.units:,} units", proposal.sentence, take)]


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
    return Taken(f"{twin} asks the same, as a draft.", twin)


def _verdict(row: Experiment) -> str:
    verdict = results(row, timezone.now(), series=False).verdict
    return str(verdict.outcome) if verdict else ""


def _arm_form(row: Experiment, data: Any) -> forms.Form:
    form = ArmChoiceForm(data)
    arms = row.arms.order_by("is_control", "pk").values_list("name", flat=True)
    form.fields["arm"].choices = [(name, name) for name in arms]  # type: ignore[attr-defined]
    return form


def _about_shipping(row: Experiment) -> list[str]:
    """The verdict, and each arm's change with what is predicted of it."""
    found = shipping.previews(row, timezone.now())
    changes = [f"{one.arm}: {change}" for one in found for change in one.changes]
    return [*(found[0].lines[:1] if found else ()), *changes]


START = Step(
    "start",
    "Start",
    "Units are assigned from the next second on. Question and owner stay free and coverage may "
    "grow; the plan is locked, and other policies or weights start a new phase.",
    _start,
    main=True,
)
PAUSE = Step("pause", "Pause", "Nobody is in it until it is resumed. Outcomes still count.", _pause)
RESUME = Step("resume", "Resume", "Everybody returns to the same arm.", _resume, main=True)
STOP = Step(
    "stop",
    "Stop",
    "Nobody is in it any more, and the verdict of this moment is kept. It cannot be started again.",
    _stop,
    form=lambda row, data: ReasonForm(data),
)
SHIP = Step(
    "ship",
    "Ship an arm",
    "The arm's policy becomes the policy of the domain (of every domain, where it has none), as "
    "one revision that can be rolled back. The experiment ends.",
    _ship,
    form=_arm_form,
    about=_about_shipping,
)
ARCHIVE = Step(
    "archive", "Archive", "It leaves the lists; what it found stays at its address.", _archive
)
CLONE = Step(
    "clone",
    "Clone",
    "A draft with the same question, policies and measures, and other units in each arm.",
    _clone,
    form=lambda row, data: KeyForm(data),
)
