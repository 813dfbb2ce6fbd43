"""The settings of all domains, a single row."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse

from experiments.admin.base import ConfigurationAdmin
from experiments.admin.forms import ConfigurationForm
from experiments.core.policy import Method
from experiments.models import LanguageModel, RoutingSettings


class RoutingSettingsForm(ConfigurationForm):
    baseline = forms.ChoiceField(
        help_text="Savings are calculated against this: the pair's strong or weak model, or one "
        "model for every prompt."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if field := self.fields.get("baseline"):
            names = LanguageModel.objects.values_list("name", "name")
            field.choices = [  # type: ignore[attr-defined]
                (Method.ALWAYS_STRONG, "Always the strong model"),
                (Method.ALWAYS_WEAK, "Always the weak model"),
                ("Always one model", list(names)),
            ]


@admin.register(RoutingSettings)
class RoutingSettingsAdmin(ConfigurationAdmin):
    section = "settings"
    form = RoutingSettingsForm
    fieldsets = [
        ("Default pair", {"fields": ["strong_model", "weak_model"]}),
        ("Savings", {"fields": ["baseline"]}),
        ("Detection", {"fields": ["detector"]}),
        ("Global holdout", {"fields": ["holdout_percentage"]}),
        ("Shadow calls and their judge", {"fields": ["judge_model", "shadow_budget"]}),
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Redirects to the only row."""
        row = RoutingSettings.objects.first()
        if row is not None:
            url = reverse("admin:experiments_routingsettings_change", args=[row.pk])
            return HttpResponseRedirect(url)
        self.message_user(
            request, "No routing settings yet. Run `manage.py seed`.", messages.WARNING
        )
        return HttpResponseRedirect(reverse("admin:index"))
