"""API keys: created and revoked here; the secret is shown once."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from experiments.admin.base import PageAdmin
from experiments.admin.forms import LinesField, WordsField
from experiments.analytics.key_use import with_spending
from experiments.core.aliases import by_precedence
from experiments.core.money import NANO
from experiments.formatting import dollars, plural
from experiments.models import APIKey, Domain, LanguageModel, ModelAlias, Scope

SCOPES = [
    (Scope.ROUTE, "route: get decisions and call models"),
    (Scope.FEEDBACK, "feedback: post outcomes and ratings"),
    (Scope.READ, "read: configuration, decisions, reports"),
    (Scope.MANAGE, "manage: experiments and rollouts"),
]


class APIKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = WordsField(
        choices=SCOPES, initial=[Scope.ROUTE, Scope.FEEDBACK], help_text="What the key may do."
    )
    allowed_models = LinesField(
        rows=4,
        help_text="One per line, as registered: openai/gpt-4.1. The gateway calls only these for "
        "this key. Empty: all.",
    )
    allowed_domains = LinesField(
        rows=3,
        help_text="One per line. The gateway refuses prompts of other domains. Empty: all.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        widget = self.fields["expires_at"].widget
        for part, word in zip(getattr(widget, "widgets", ()), ("date", "time"), strict=False):
            part.attrs["aria-label"] = f"Expires at, {word}"

    def clean_allowed_models(self) -> list[str]:
        return self._known("allowed_models", LanguageModel, "model")

    def clean_allowed_domains(self) -> list[str]:
        return self._known("allowed_domains", Domain, "domain")

    def _known(self, field: str, model: type[Any], what: str) -> list[str]:
        """Refuses unknown names, because a typing error would lock the key out."""
        names: list[str] = self.cleaned_data[field]
        known = set(model.objects.filter(name__in=names).values_list("name", flat=True))
        for name in names:
            if name not in known:
                self.add_error(field, f"Unknown {what} '{name}'.")
        return names

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for span in ("day", "month"):
            hard, soft = cleaned.get(f"budget_{span}"), cleaned.get(f"soft_budget_{span}")
            if hard is not None and soft is not None and soft >= hard:
                text = "The soft budget must be smaller than the hard budget."
                self.add_error(f"soft_budget_{span}", text)
        return cleaned


@admin.register(APIKey)
class APIKeyAdmin(PageAdmin):
    form = APIKeyForm
    list_display = ["name", "hint_shown", "allowed", "state", "spent", "created_at"]
    list_filter = ["is_active"]
    search_fields = ["name"]
    actions = ["revoke"]
    readonly_fields = ["hint_shown", "created_at", "spent", "aliases"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = ["name", "scopes", "expires_at"]
        if obj is not None:
            fields += ["is_active", "hint_shown", "created_at"]
        return [
            (None, {"fields": fields}),
            ("Rate limits", {"fields": ["requests_per_minute", "tokens_per_minute"]}),
            ("Budgets of the gateway", {"fields": self._money(obj)}),
            (
                "Access through the gateway",
                {"fields": ["allowed_models", "allowed_domains", *self._aliases(obj)]},
            ),
        ]

    def _aliases(self, obj: Any) -> list[str]:
        return [] if obj is None else ["aliases"]

    def _money(self, obj: Any) -> list[str]:
        spent = [] if obj is None else ["spent"]
        return [*spent, "budget_day", "budget_month", "soft_budget_day", "soft_budget_month"]

    def save_model(self, request: HttpRequest, obj: APIKey, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        secret = obj.make_secret()
        obj.save()
        request.new_secret = secret  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: APIKey, *args: Any) -> HttpResponse:
        """The response shows the secret. A redirect is not possible: nothing stores the secret."""
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
        text = f"{plural(len(keys), 'key')} revoked. Applications that use them now get 401."
        self.message_user(request, text, messages.SUCCESS)

    @admin.display(description="starts with")
    def hint_shown(self, row: APIKey) -> str:
        return f"{row.hint}…"

    @admin.display(description="may")
    def allowed(self, row: APIKey) -> str:
        return ", ".join(row.scopes) or "nothing"

    @admin.display(description="spent through the gateway")
    def spent(self, row: Any) -> str:
        day, month = dollars(row.spent_day), dollars(row.spent_month)
        return f"{day}{_of(row.budget_day)} today, {month}{_of(row.budget_month)} this month"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        keys: QuerySet[Any] = with_spending(super().get_queryset(request), timezone.now())
        return keys

    @admin.display(description="model aliases")
    def aliases(self, row: APIKey) -> SafeString:
        """What the names that this key sends stand for."""
        found = by_precedence(alias.as_value() for alias in ModelAlias.objects.all())
        own = [(alias.pattern, alias.target) for alias in found if alias.applies_to(row.name)]
        lines = format_html_join("", "<li>{} → {}</li>", own)
        link = reverse("admin:experiments_modelalias_changelist")
        return format_html('<ul>{}</ul><a href="{}">Edit aliases</a>', lines, link)

    @admin.display(description="state")
    def state(self, row: APIKey) -> str:
        if not row.is_active:
            return "■ revoked"
        if not row.is_valid_at(timezone.now()):
            return "■ expired"
        return "● active"


def _of(budget: Decimal | None) -> str:
    return "" if budget is None else f" of {dollars(int(budget * NANO))}"
