"""Guarded rollouts: plan, state, and history with reasons."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from experiments.admin.base import ReadOnly, TabularInline
from experiments.admin.experiment_steps import ReasonForm
from experiments.admin.steps import AdminStep, SteppedAdmin, Taken
from experiments.configuration.revisions import revision
from experiments.formatting import percentage
from experiments.models import Flag, Rollout, RolloutStep
from experiments.models.rollouts import seeded_guards
from experiments.rollouts import lifecycle
from experiments.rollouts.guards import GuardsError, checked_guards, described
from experiments.rollouts.monitoring import seen_by
from experiments.rollouts.steps import StepsError, check_steps, steps_of

State = Rollout.State
STATES = {
    State.PENDING: "draft",
    State.READY: "waiting",
    State.RUNNING: "running",
    State.HELD: "unhealthy",
    State.PAUSED: "paused",
    State.COMPLETED: "ship",
    State.ROLLED_BACK: "rollback",
}
HELD_AGAINST = ["margin", "alpha", "holdback_percentage"]
DEFAULT_MARGIN = Rollout._meta.get_field("margin").default
LINE = re.compile(
    r"(\d+(?:\.\d+)?)\s*%?\s*(?:for\s+(\d+(?:\.\d+)?)\s*(h|d)\w*|until.*)?", re.IGNORECASE
)
FIRST_STEPS = [[1, 24], [5, 24], [10, 48], [25, 48], [50, 72], [100, 0]]
HELP = (
    "One per line: “10 % for 24 hours”, “25 % for 2 days”, “50 % until an operator continues”. The "
    "next step starts when the time is over and every guard allows it. All units without the flag "
    "are the control. The first step needs no evidence; the start page shows its worst case."
)
GUARD_LINE = re.compile(r"(\S+)\s+(\S+)(?:\s+limit\s+(\S+))?")
GUARDS_HELP = (
    "One per line: a metric and its margin, the worst accepted loss in the metric's unit: "
    "“error_rate 0.02”, “quality 0.03”. “p95_latency 0.05 limit 2000”: at most 5 points more calls "
    "take longer than 2000 ms. “cost 0.001 limit 0.05”: a call counts for at most $0.05. Empty: "
    "error rate within 2 points, and quality within the margin below."
)


class StepsField(forms.CharField):
    """Steps as text, one per line."""

    widget = forms.Textarea(attrs={"rows": 7, "cols": 40})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(_line, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list):
            return value
        lines = [line.strip() for line in (value or "").splitlines() if line.strip()]
        steps = [_step(line) for line in lines]
        try:
            check_steps(steps)
        except StepsError as error:
            raise forms.ValidationError(str(error)) from error
        return steps

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != initial)
        except forms.ValidationError:
            return True


class GuardsField(forms.CharField):
    """Guards as text, one per line."""

    widget = forms.Textarea(attrs={"rows": 4, "cols": 40})

    def prepare_value(self, value: Any) -> Any:
        return described(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list):
            return value
        lines = [line.strip() for line in (value or "").splitlines() if line.strip()]
        if not lines:
            return []
        try:
            return checked_guards([_guard(line) for line in lines])
        except GuardsError as error:
            raise forms.ValidationError(str(error)) from error

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != initial)
        except forms.ValidationError:
            return True


def _guard(line: str) -> dict[str, Any]:
    found = GUARD_LINE.fullmatch(line)
    try:
        metric, margin, limit = found.groups() if found else ("", "", None)
        numbers = float(margin), None if limit is None else float(limit)
    except ValueError:
        raise GuardsError(f"“{line}” is not a guard. Write “quality 0.03”.") from None
    return {"metric": metric, "margin": numbers[0], "limit": numbers[1]}


def _step(line: str) -> list[float | None]:
    found = LINE.fullmatch(line)
    if found is None:
        raise forms.ValidationError(
            f"“{line}” is not a step. Write “10 % for 24 hours” or “10 % until an operator "
            "continues”."
        )
    share, time, unit = found.groups()
    hours = None if time is None else float(time) * (24 if unit.lower() == "d" else 1)
    return [float(share), hours]


def _line(step: Sequence[Any]) -> str:
    share, hours = step
    if hours is None:
        return f"{percentage(float(share))} until an operator continues"
    return f"{percentage(float(share))} for {hours:g} hours"


class RolloutForm(forms.ModelForm):  # type: ignore[type-arg]
    steps = StepsField(help_text=HELP, initial=FIRST_STEPS)
    guards = GuardsField(
        help_text=GUARDS_HELP, required=False, initial=seeded_guards(DEFAULT_MARGIN)
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and self.instance.state != State.PENDING:
            for name in ("steps", "guards"):  # shown, not edited
                del self.fields[name]
        field = self.fields.get("flag")
        if isinstance(field, forms.ModelChoiceField):
            field.queryset = Flag.objects.exclude(kind=Flag.Kind.SWITCH)

    def clean_flag(self) -> Flag:
        flag: Flag = self.cleaned_data["flag"]
        others = flag.rollouts.exclude(pk=self.instance.pk).exclude(state__in=lifecycle.ENDED)
        if others.exists():
            raise forms.ValidationError(
                "This flag already has a rollout. Finish it or roll it back."
            )
        return flag


class TargetForm(forms.Form):
    percentage = forms.DecimalField(
        min_value=Decimal("0.01"),
        max_value=100,
        decimal_places=2,
        help_text="Where the rollout ends: between the flag's percentage and the current target.",
    )


class HistoryInline(ReadOnly, TabularInline):
    model = RolloutStep
    fields = ["at", "state", "percentage", "monitored", "reason"]
    verbose_name_plural = "history"


def _start(request: HttpRequest, row: Rollout, asked: dict[str, Any]) -> Taken:
    lifecycle.start(row, request.user, timezone.now())
    return Taken(f"{row.flag} is at {percentage(float(row.flag.percentage))}.", row)


def _advance(request: HttpRequest, row: Rollout, asked: dict[str, Any]) -> Taken:
    lifecycle.advance(row, request.user, timezone.now())
    return Taken(f"{row.flag} is at {percentage(float(row.flag.percentage))}.", row)


def _anyway(request: HttpRequest, row: Rollout, asked: dict[str, Any]) -> Taken:
    lifecycle.advance_anyway(row, request.user, timezone.now(), asked["reason"])
    return Taken(f"{row.flag} is at {percentage(float(row.flag.percentage))}.", row)


def _lower(request: HttpRequest, row: Rollout, asked: dict[str, Any]) -> Taken:
    lifecycle.lower_target(row, asked["percentage"], request.user, timezone.now())
    return Taken(
        f"The rollout of {row.flag} ends at {percentage(float(asked['percentage']))}.", row
    )


def _pause(request: HttpRequest, row: Rollout, asked: dict[str, Any]) -> Taken:
    lifecycle.pause(row, request.user, timezone.now())
    return Taken(f"The rollout of {row.flag} is paused.", row)


def _resume(request: HttpRequest, row: Rollout, asked: dict[str, Any]) -> Taken:
    lifecycle.resume(row, request.user, timezone.now())
    return Taken(f"The rollout of {row.flag} continues.", row)


def _roll_back(request: HttpRequest, row: Rollout, asked: dict[str, Any]) -> Taken:
    lifecycle.roll_back(row, request.user, timezone.now(), asked["reason"])
    return Taken(f"{row.flag} is back at {percentage(float(row.flag.percentage))}.", row)


START = AdminStep("start", "Start", "The flag goes to the first step at once.", _start, main=True)
ADVANCE = AdminStep(
    "go-on", "Advance", "The flag goes to the next step at once.", _advance, main=True
)
PAUSE = AdminStep("pause", "Pause", "The percentage stays until the rollout resumes.", _pause)
RESUME = AdminStep("resume", "Resume", "The rollout continues with monitoring.", _resume, main=True)
ROLL_BACK = AdminStep(
    "roll-back",
    "Roll back",
    "The flag returns to the percentage it had before the rollout, at once.",
    _roll_back,
    form=lambda row, data: ReasonForm(data),
)
ANYWAY = AdminStep(
    "advance-anyway",
    "Advance anyway",
    "The flag goes to the next step at once, even if a guard does not allow it. The reason is "
    "stored, and the final report repeats it.",
    _anyway,
    form=lambda row, data: ReasonForm(data),
)
LOWER = AdminStep(
    "target",
    "Lower the target",
    "The rollout ends at a lower percentage, which needs less evidence.",
    _lower,
    form=lambda row, data: TargetForm(data),
)
STEPS = {
    State.PENDING: (START, ROLL_BACK),
    State.READY: (ADVANCE, PAUSE, LOWER, ROLL_BACK),
    State.RUNNING: (PAUSE, LOWER, ANYWAY, ROLL_BACK),
    State.HELD: (PAUSE, LOWER, ANYWAY, ROLL_BACK),
    State.PAUSED: (RESUME, LOWER, ROLL_BACK),
}


@admin.register(Rollout)
class RolloutAdmin(SteppedAdmin):
    form = RolloutForm
    change_form_template = "admin/experiments/rollout/change_form.html"
    inlines = [HistoryInline]
    list_display = ["flag", "standing", "percentage", "reason", "step_started_at"]
    list_filter = ["state"]
    list_select_related = ["flag"]
    search_fields = ["flag__key", "reason"]
    fieldsets = [
        ("Plan", {"fields": ["flag", "steps"]}),
        ("Guards", {"fields": ["guards", *HELD_AGAINST]}),
    ]

    def steps_of(self, row: Rollout) -> Sequence[AdminStep]:
        return STEPS.get(State(row.state), ())

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj is not None else []

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The plan cannot change after the start."""
        if obj is None or obj.state == State.PENDING:
            return []
        return ["flag", "planned_steps", "planned_guards", *HELD_AGAINST]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None or obj.state == State.PENDING:
            return self.fieldsets
        (first, _), (second, _) = self.fieldsets
        return [
            (first, {"fields": ["flag", "planned_steps"]}),
            (second, {"fields": ["planned_guards", *HELD_AGAINST]}),
        ]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """A plan is a revision in the configuration's history."""
        with revision(request.user, f"Rollout of {obj.flag.key}: planned"):
            super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        with revision(request.user, f"Rollout of {obj.flag.key}: plan deleted"):
            super().delete_model(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A started rollout is history and cannot be deleted."""
        if obj is not None and obj.state != State.PENDING:
            return False
        return super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> Any:
        return {}

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context: dict[str, Any] = {}
        if row is not None and self.has_view_permission(request, row):
            look = seen_by(row, timezone.now()) if row.started_at else None
            context = {
                "state": STATES[State(row.state)],
                "percentage": percentage(float(row.flag.percentage)),
                "look": look,
                "worst_case": "" if row.started_at else lifecycle.worst_case_of(row),
                "steps": self.steps_of(row) if self.has_change_permission(request, row) else (),
            }
        return super().change_view(
            request, object_id, form_url, {**context, **(extra_context or {})}
        )

    @admin.display(description="state", ordering="state")
    def standing(self, row: Rollout) -> SafeString:
        state = STATES[State(row.state)]
        return format_html('<span class="state state-{}">{}</span>', state, row.get_state_display())

    @admin.display(description="percentage")
    def percentage(self, row: Rollout) -> str:
        return percentage(float(row.flag.percentage))

    @admin.display(description="guards")
    def planned_guards(self, row: Rollout) -> str:
        return described(row.guards).replace("\n", "; ")

    @admin.display(description="steps")
    def planned_steps(self, row: Rollout) -> str:
        steps = (
            _line((step.percentage, step.hours)) + ("" if step.monitored else ", unmonitored")
            for step in steps_of(row)
        )
        return "; ".join(steps)
