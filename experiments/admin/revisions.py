"""Revisions: changes, author, note, and rollback."""

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from experiments.admin.base import PageAdmin, ReadOnly
from experiments.configuration.apply import ConfigurationError, plan_roll_back, roll_back
from experiments.configuration.history import readable
from experiments.configuration.revisions import changes_of
from experiments.core.differences import Change
from experiments.formatting import plural
from experiments.models import PolicyRevision

ROLL_BACK = "experiments.add_policyrevision"
SHOWN = 3


@admin.register(PolicyRevision)
class PolicyRevisionAdmin(ReadOnly, PageAdmin):
    list_display = ["title", "created_at", "author_name", "note", "summary"]
    list_filter = ["created_at", "author_name"]
    search_fields = ["note", "author_name", "=number"]
    list_per_page = 50
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("document")

    @admin.display(description="revision", ordering="number")
    def title(self, row: PolicyRevision) -> str:
        return f"Revision {row.number}"

    @admin.display(description="what changed")
    def summary(self, row: PolicyRevision) -> str:
        changes = readable(changes_of(row))
        shown = "; ".join(f"{c.subject}, {c}" for c in changes[:SHOWN])
        more = len(changes) - SHOWN
        if not changes:
            return "the first configuration" if row.number == 1 else "no visible change"
        return f"{shown}; and {more} more" if more > 0 else shown

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        changes = readable(changes_of(row)) if row else ()
        context = {
            "changes": changes,
            "count": plural(len(changes), "change"),
            "is_newest": row is not None and row == PolicyRevision.objects.first(),
            "may_roll_back": request.user.has_perm(ROLL_BACK),
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    # Rolling back

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "<int:number>/roll-back/",
            self.admin_site.admin_view(self.roll_back_view),
            name="experiments_policyrevision_roll_back",
        )
        return [own, *super().get_urls()]

    def roll_back_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """GET shows the changes, POST applies them as a new revision."""
        if not request.user.has_perm(ROLL_BACK):
            raise PermissionDenied
        row = PolicyRevision.objects.filter(number=number).first()
        if row is None:
            raise Http404(f"Unknown revision {number}.")
        changes: list[Change] = []
        problems: list[str] = []
        try:
            if request.method == "POST":
                return self._roll_back(request, number)
            changes = plan_roll_back(number)
        except ConfigurationError as error:
            problems = error.problems
        context = {
            **self.admin_site.each_context(request),
            "title": f"Roll back to revision {number}?",
            "opts": self.opts,
            "original": row,
            "changes": readable(changes),
            "problems": problems,
        }
        return TemplateResponse(request, "admin/experiments/policyrevision/roll_back.html", context)

    def _roll_back(self, request: HttpRequest, number: int) -> HttpResponse:
        changes = roll_back(number, cast("User", request.user))
        if changes:
            text = f"Rolled back to revision {number}."
        else:
            text = f"The configuration already equals revision {number}. Nothing was changed."
        self.message_user(request, text, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:experiments_policyrevision_changelist"))
