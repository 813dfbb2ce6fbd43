"""Experiments: form, checklist, steps, and results at a glance."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from experiments.admin.base import ConfigurationAdmin, RefusedError
from experiments.admin.experiment_forms import (
    FIRST_ARMS,
    FIRST_METRICS,
    ArmInline,
    ExperimentForm,
    MetricInline,
)
from experiments.admin.experiment_glance import glance
from experiments.admin.experiment_steps import steps_of
from experiments.admin.steps import AdminStep, SteppedAdmin
from experiments.admin.submits import ConfirmationRequired, posted
from experiments.configuration.experiment_locks import LOCKED
from experiments.experimentation.checklists import checklist
from experiments.experimentation.lifecycle import LifecycleError, begin_phase
from experiments.experimentation.planning import propose
from experiments.experimentation.results import results
from experiments.experimentation.text import plan_sentence
from experiments.models import Arm, Experiment

CONFIRMED = "_new_phase"
Status = Experiment.Status
STATES = {
    Status.DRAFT: "draft",
    Status.RUNNING: "running",
    Status.PAUSED: "paused",
    Status.STOPPED: "stopped",
    Status.ARCHIVED: "stopped",
}
FREE = {"hypothesis", "owner"}
ACTIVE = (Status.RUNNING, Status.PAUSED)


@admin.register(Experiment)
class ExperimentAdmin(SteppedAdmin, ConfigurationAdmin):
    section = "experiments"
    form = ExperimentForm
    change_form_template = "admin/experiments/experiment/change_form.html"
    inlines = [ArmInline, MetricInline]
    list_display = ["key", "state", "domain", "hypothesis", "phase", "started_at", "ended"]
    list_filter = ["status", "domain"]
    list_select_related = ["domain"]
    search_fields = ["key", "hypothesis", "owner"]
    fieldsets = [
        ("Question", {"fields": ["key", "hypothesis", "owner"]}),
        (
            "Units",
            {
                "fields": [
                    "domain",
                    "unit_kind",
                    "coverage",
                    ("namespace", "namespace_start", "namespace_end"),
                ]
            },
        ),
        (
            "Verdict",
            {
                "fields": [
                    "target_effect",
                    "window_days",
                    "min_units",
                    "min_days",
                    "audit_share",
                    "cost_cap",
                    "prior_sd",
                ]
            },
        ),
        (
            "Sample size",
            {"fields": ["alpha", "power", "expected_loss", "planned_units"]},
        ),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None or obj.is_draft:
            return []
        fields = flatten_fieldsets(self.get_fieldsets(request, obj))
        if obj.status in ACTIVE:
            return ["key", *(name for name in fields if name in LOCKED)]
        return [name for name in fields if name not in FREE]

    def get_formset_kwargs(
        self, request: HttpRequest, obj: Any, inline: Any, prefix: str
    ) -> dict[str, Any]:
        kwargs: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        if obj.pk is None and request.method == "GET":
            kwargs["initial"] = FIRST_ARMS if inline.model is Arm else FIRST_METRICS
        return kwargs

    def get_inline_instances(self, request: HttpRequest, obj: Any = None) -> Any:
        """A new experiment starts with two arms and two metrics; locked rows are read-only."""
        inlines = super().get_inline_instances(request, obj)
        for inline in inlines:
            if obj is None:
                inline.extra = len(FIRST_ARMS)
            elif not obj.is_draft and (inline.model is not Arm or obj.status not in ACTIVE):
                _show_only(inline)
        return inlines

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only drafts: results are stored under the key."""
        if obj is not None and not obj.is_draft:
            return False
        return super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> Any:
        return {}

    @admin.display(description="state", ordering="status")
    def state(self, row: Experiment) -> SafeString:
        state = STATES[Status(row.status)]
        return format_html(
            '<span class="state state-{}">{}</span>', state, row.get_status_display()
        )

    @admin.display(description="final verdict", ordering="verdict")
    def ended(self, row: Experiment) -> str:
        if row.stopped_at is None:
            return ""
        return f"{row.verdict or 'none'} at {row.stopped_at:%Y-%m-%d %H:%M} UTC"

    # The page of one experiment

    def steps_of(self, row: Experiment) -> Sequence[AdminStep]:
        return steps_of(row, propose(row, timezone.now().date()) if row.is_draft else None)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context: dict[str, Any] = {}
        if row is not None and self.has_view_permission(request, row) and request.method == "GET":
            context = self._around(request, row)
        return super().change_view(
            request, object_id, form_url, {**context, **(extra_context or {})}
        )

    def _around(self, request: HttpRequest, row: Experiment) -> dict[str, Any]:
        """The part of the page above the form."""
        now = timezone.now()
        may_change = self.has_change_permission(request, row)
        proposal = propose(row, now.date()) if row.is_draft else None
        return {
            "state": STATES[Status(row.status)],
            "steps": steps_of(row, proposal) if may_change else [],
            "checks": checklist(row, now.date()) if row.is_draft else [],
            "proposal": proposal and plan_sentence(proposal),
            "glance": None if row.is_draft else glance(results(row, now, series=False)),
        }

    # Changed policies or weights of a started experiment are a new phase

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        row = form.instance
        arms_changed = any(f.model is Arm and f.has_changed() for f in formsets)
        if not change or row.status not in ACTIVE or not arms_changed:
            return
        if CONFIRMED not in request.POST:
            raise ConfirmationRequired(self._new_phase(request, row).render())
        try:
            begin_phase(row, timezone.now())
        except LifecycleError as error:
            raise RefusedError(str(error)) from error
        row.save()

    def _new_phase(self, request: HttpRequest, row: Experiment) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"A new phase of {row}?",
            "opts": self.opts,
            "original": row,
            "next": row.phase + 1,
            "fields": list(posted(request)),
            "confirmed": CONFIRMED,
            "back": self.url_of(row),
        }
        return TemplateResponse(request, "admin/experiments/experiment/new_phase.html", context)


def _show_only(inline: Any) -> None:
    for name in ("has_add_permission", "has_change_permission", "has_delete_permission"):
        setattr(inline, name, lambda *args, **kwargs: False)
