"""Steps that an operator takes with a row: a button, a confirmation page, a revision."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from experiments.admin.base import ModelAdmin
from experiments.configuration.experiment_locks import LockedError
from experiments.experimentation.lifecycle import LifecycleError
from experiments.rollouts.lifecycle import RolloutError

REFUSED = (LifecycleError, LockedError, RolloutError)


class Taken(NamedTuple):
    """The message about a step, and the row to show next."""

    message: str
    row: Any


class AdminStep(NamedTuple):
    """`name` is in the address, `label` on the button, `what` describes the effect. `take` runs the
    step with the data of `form`; `about` returns information for the confirmation page."""

    name: str
    label: str
    what: str
    take: Callable[[HttpRequest, Any, dict[str, Any]], Taken]
    form: Callable[[Any, Any], forms.Form] = lambda row, data: forms.Form(data)
    main: bool = False
    about: Callable[[Any], Sequence[str]] = lambda row: ()


class SteppedAdmin(ModelAdmin):
    """An admin whose rows have steps. `steps_of` returns those available now."""

    def steps_of(self, row: Any) -> Sequence[AdminStep]:
        return ()

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "<path:object_id>/step/<slug:name>/",
            self.admin_site.admin_view(self.step_view),
            name=f"{self.opts.app_label}_{self.opts.model_name}_step",
        )
        return [own, *super().get_urls()]

    def step_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """GET shows the confirmation page, POST takes the step."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        step = next((step for step in self.steps_of(row) if step.name == name), None)
        if step is None:
            text = f"This step is no longer available: {row} has changed."
            self.message_user(request, text, messages.WARNING)
            return HttpResponseRedirect(self.url_of(row))
        form = step.form(row, request.POST if request.method == "POST" else None)
        problems: list[str] = []
        if request.method == "POST" and form.is_valid():
            try:
                taken = step.take(request, row, form.cleaned_data)
            except REFUSED as error:
                problems = error.problems
            except ValidationError as error:
                problems = error.messages
            else:
                self.log_change(request, row, step.label)
                self.message_user(request, taken.message, messages.SUCCESS)
                return HttpResponseRedirect(self.url_of(taken.row))
        context = {
            **self.admin_site.each_context(request),
            "title": f"{step.label}: {row}",
            "opts": self.opts,
            "original": row,
            "step": step,
            "form": form,
            "problems": problems,
            "about": step.about(row),
            "back": self.url_of(row),
        }
        return TemplateResponse(request, "admin/experiments/step.html", context)

    def url_of(self, row: Any) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[row.pk])
