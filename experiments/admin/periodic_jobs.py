"""Periodic jobs: last run, result, next run, and an action to run one now."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from experiments.admin.base import PageAdmin
from experiments.background import scheduler
from experiments.formatting import plural
from experiments.management import periodic_jobs  # noqa: F401 - registers the jobs
from experiments.models import PeriodicJob


@admin.register(PeriodicJob)
class PeriodicJobAdmin(PageAdmin):
    """Rows come from the scheduler. `change_periodicjob` allows running one now."""

    list_display = [
        *("name", "about", "schedule", "status"),
        *("last_started_at", "seconds", "next_run_at", "report"),
    ]
    fields = (
        *("name", "about", "schedule", "status", "last_started_at", "last_ended_at", "seconds"),
        *("next_run_at", "last_done_at", "result", "error", "runner"),
    )
    readonly_fields = fields
    list_filter = ["status"]
    actions = ["run_now"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Lists the jobs of a new installation before their first run."""
        scheduler.prepare(timezone.now())
        return super().get_queryset(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="what it does")
    def about(self, row: PeriodicJob) -> str:
        job = scheduler.job_named(row.name)
        return job.description if job else "This version has no such job."

    @admin.display(description="schedule")
    def schedule(self, row: PeriodicJob) -> str:
        job = scheduler.job_named(row.name)
        return str(job.schedule) if job else "never"

    @admin.display(description="took (s)")
    def seconds(self, row: PeriodicJob) -> str:
        if row.last_started_at is None or row.last_ended_at is None:
            return "-"
        seconds = (row.last_ended_at - row.last_started_at).total_seconds()
        return f"{seconds:.1f}" if seconds >= 0 else "running"

    @admin.display(description="last result")
    def report(self, row: PeriodicJob) -> str:
        lines = (row.error or row.result).splitlines()
        more = f" (+{plural(len(lines) - 1, 'line')})" if len(lines) > 1 else ""
        return f"{lines[0]}{more}" if lines else "-"

    @admin.action(description="Run now", permissions=["change"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        names = list(queryset.values_list("name", flat=True))
        for name in names:
            scheduler.run_soon(name, timezone.now())
        self.message_user(
            request,
            f"{plural(len(names), 'job')} due now: {', '.join(names)}. The background process "
            "starts them within seconds.",
            messages.SUCCESS,
        )
