"""The base of configuration pages: one submit is one transaction and one revision.

`ConfigurationAdmin` runs every POST (a form with its inlines, an edited list, an action, a delete)
inside `configuration.revisions.revision`. If the result cannot be published, the form shows the
error and keeps the operator's input.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets
from django.db import models
from django.db.models import Max
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from experiments.admin.forms import (
    NOTE_LENGTH,
    ConfigurationForm,
    DocumentField,
    ListForm,
    TextField,
)
from experiments.admin.submits import ConfirmationRequired, Submit, submit_of
from experiments.configuration.experiment_locks import LockedError
from experiments.configuration.revisions import Publication, revision
from experiments.models import PolicyRevision
from experiments.models.base import steps_naming
from experiments.storage.transactions import retry_conflicts

DOCUMENTS: "dict[type[models.Field[Any, Any]], dict[str, Any]]" = {
    models.JSONField: {"form_class": DocumentField}
}

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
else:
    ModelAdmin = admin.ModelAdmin

    class TabularInline(admin.TabularInline):
        formfield_overrides = DOCUMENTS


SMALL_TEXT = forms.Textarea(attrs={"rows": 2, "cols": 60})
View = Callable[[], Any]


class RefusedError(Exception):
    """The edited configuration cannot be published. The message says why."""


class ReadOnly:
    """A mixin for an admin or an inline with read-only rows."""

    def has_add_permission(self, *args: Any, **kwargs: Any) -> bool:
        return False

    def has_change_permission(self, *args: Any, **kwargs: Any) -> bool:
        return False

    def has_delete_permission(self, *args: Any, **kwargs: Any) -> bool:
        return False


class PageAdmin(ModelAdmin):
    """Lists have the plural name as title and no counts in their filters."""

    show_facets = admin.ShowFacets.NEVER

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})


class ConfigurationAdmin(PageAdmin):
    """The admin of a `ConfigurationRow`. `section` names its part of a revision's document."""

    section = ""
    form = ConfigurationForm
    formfield_overrides = {
        models.TextField: {"form_class": TextField, "widget": SMALL_TEXT},
        **DOCUMENTS,
    }

    # Every write happens inside one revision

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        view = super().changeform_view
        return self.in_revision(request, lambda: view(request, *args, **kwargs), again=True)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        view, again = super().changelist_view, "_save" in request.POST
        return self.in_revision(request, lambda: view(request, extra_context), again=again)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        view = super().delete_view
        return self.in_revision(request, lambda: view(request, *args, **kwargs))

    def in_revision(
        self, request: HttpRequest, view: View, *, note: str = "", again: bool = False
    ) -> Any:
        """Runs `view` and publishes what it saved.

        If it is refused, `view` runs again to show its form with the reason (`again`), or the
        previous page shows the reason. A GET only runs `view`.
        """
        if request.method != "POST":
            return view()
        submit = submit_of(request)
        try:
            response, publication = retry_conflicts(
                lambda: self._publish(request, submit, view, note)
            )
        except ConfirmationRequired as answer:
            return answer.response
        except RefusedError as refused:
            submit.messages.clear()
            if again:
                submit.refusal = str(refused)
                return view()
            super().message_user(request, str(refused), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        self._report(request, submit, publication)
        return response

    def before_publishing(self, request: HttpRequest) -> None:
        """Called with the rows written but not committed; ConfirmationRequired undoes all of it."""

    def _publish(
        self, request: HttpRequest, submit: Submit, view: View, note: str
    ) -> tuple[HttpResponseBase, Publication]:
        note = note or request.POST.get("note", "")[:NOTE_LENGTH]
        is_written = False
        submit.is_open = True
        submit.messages.clear()
        submit.percentages.clear()
        try:
            with revision(request.user, note) as publication:
                response = view()
                self.before_publishing(request)
                is_written = True
        except LockedError as error:
            raise RefusedError(str(error)) from error
        except (KeyError, ValueError) as error:
            if not is_written:
                raise
            raise RefusedError(_unusable(error)) from error
        finally:
            submit.is_open = False
        return response, publication

    def _report(self, request: HttpRequest, submit: Submit, publication: Publication) -> None:
        for message, *rest in submit.messages:
            level, *_ = rest
            if level == messages.SUCCESS:
                message = format_html("{} {}", message, _effect(publication))  # noqa: PLW2901
            super().message_user(request, message, *rest)
        submit.messages.clear()

    def message_user(
        self,
        request: HttpRequest,
        message: Any,
        level: int | str = messages.INFO,
        extra_tags: str = "",
        fail_silently: bool = False,
    ) -> None:
        submit = submit_of(request)
        if submit.is_open:
            submit.messages.append((message, level, extra_tags, fail_silently))
        else:
            super().message_user(request, message, level, extra_tags, fail_silently)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Shows what protects a row before missing permissions for related rows."""
        found, counts, needed, protected = super().get_deleted_objects(objs, request)
        protected += [f"{row}: used by {described}" for row, described in steps_naming(objs)]
        return found, counts, set() if protected else needed, protected

    # Forms that know the version they show

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Columns that no part names are in a last one, so that a new column needs no line here."""
        parts = list(super().get_fieldsets(request, obj))
        named = {*flatten_fieldsets(parts), self.opts.pk.name}
        columns = (column for column in self.opts.concrete_fields if column.editable)
        rest = [column.name for column in columns if column.name not in named]
        return [*parts, ("More", {"fields": rest})] if rest else parts

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._prepared(request, super().get_form(request, *args, **kwargs))

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> Any:
        form = super().get_changelist_form(request, **{"form": ListForm, **kwargs})
        return self._prepared(request, form)

    def _prepared(self, request: HttpRequest, form: Any) -> Any:
        """Django creates a form class per request, so the class can hold the request's values."""
        form.section = self.section
        form.refusal = submit_of(request).refusal
        form.newest_revision = PolicyRevision.objects.aggregate(newest=Max("number"))["newest"]
        return form

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """A submit without changes keeps the version, so other forms do not become stale."""
        if not change or form.has_changed():
            super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if change and not form.has_changed() and any(f.has_changed() for f in formsets):
            form.instance.save()


def _effect(publication: Publication) -> SafeString | str:
    """Links to the changes and to undo them."""
    row = publication.revision
    if row is None:
        return "Nothing changed, so there is no new revision."
    url = reverse("admin:experiments_policyrevision_change", args=[row.number])
    link = format_html('<a href="{}">Revision {}: what changed</a>', url, row.number)
    if row.number == 1:
        return link
    back = reverse("admin:experiments_policyrevision_roll_back", args=[row.number - 1])
    return format_html('{} · <a href="{}">Undo</a>', link, back)


def _unusable(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"The configuration has no {error}. Run `manage.py seed`, then save again."
    return str(error)
