"""API keys: made here, shown once, revoked here."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from experiments.admin.base import PageAdmin
from experiments.admin.forms import WordsField
from experiments.core.wording import plural
from experiments.models import APIKey, Scope

SCOPES = [
    (Scope.ROUTE, "route: ask which model should answer"),
    (Scope.FEEDBACK, "feedback: post outcomes and ratings"),
    (Scope.READ, "read: configuration, decisions, reports"),
    (Scope.MANAGE, "manage: experiments and rollouts"),
]


class APIKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = WordsField(
        choices=SCOPES, initial=[Scope.ROUTE, Scope.FEEDBACK], help_text="What it may do."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        widget = self.fields["expires_at"].widget
        for part, word in zip(getattr(widget, "widgets", ()), ("date", "time"), strict=False):
            part.attrs["aria-label"] = f"Expires at, {word}"


@admin.register(APIKey)
class APIKeyAdmin(PageAdmin):
    form = APIKeyForm
    list_display = ["name", "hint_shown", "allowed", "state", "requests_per_minute", "created_at"]
    list_filter = ["is_active"]
    search_fields = ["name"]
    actions = ["revoke"]
    readonly_fields = ["hint_shown", "created_at"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = ["name", "scopes", "requests_per_minute", "expires_at"]
        if obj is not None:
            fields += ["is_active", "hint_shown", "created_at"]
        return [(None, {"fields": fields})]

    def save_model(self, request: HttpRequest, obj: APIKey, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        secret = obj.make_secret()
        obj.save()
        request.new_secret = secret  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: APIKey, *args: Any) -> HttpResponse:
        """The page with the secret is the answer itself: nothing keeps it for a redirect."""
        context = {
            **self.admin_site.each_context(request),
            "title": f"The key “{obj.name}”",
            "opts": self.opts,
            "original": obj,
            "secret": request.new_secret,  # type: ignore[attr-defined]
        }
        return TemplateResponse(request, "admin/experiments/apikey/issued.html", context)

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[APIKey]) -> None:
        keys = list(queryset.filter(is_active=True))
        for key in keys:
            key.is_active = False
            key.save(update_fields=["is_active"])
            self.log_change(request, key, "Revoked")
        text = f"{plural(len(keys), 'key')} revoked. Applications that use them get 401 now."
        self.message_user(request, text, messages.SUCCESS)

    @admin.display(description="begins with")
    def hint_shown(self, row: APIKey) -> str:
        return f"{row.hint}…"

    @admin.display(description="may")
    def allowed(self, row: APIKey) -> str:
        return ", ".join(row.scopes) or "nothing"

    @admin.display(description="state")
    def state(self, row: APIKey) -> str:
        if not row.is_active:
            return "■ revoked"
        if not row.is_valid_at(timezone.now()):
            return "■ expired"
        return "● active"
