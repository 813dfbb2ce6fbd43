"""Language models and their prices."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from experiments.admin.base import ConfigurationAdmin, TabularInline
from experiments.admin.forms import (
    ConfigurationForm,
    InlineForm,
    InlineFormSet,
    LinesField,
    WordsField,
    name_field,
)
from experiments.core.money import price_on
from experiments.formatting import dollars
from experiments.models import LanguageModel, ModelPrice
from experiments.models.catalog import CAPABILITIES, PART_PRICES, price_order

PRICES = ("input_per_million", "output_per_million", "per_request")


class LanguageModelForm(ConfigurationForm):
    capabilities = WordsField(
        required=False, choices=CAPABILITIES.items(), help_text="What the model can do."
    )
    tasks = LinesField(rows=4, help_text="One per line. Intended uses, such as reasoning.")
    languages = LinesField(rows=3, help_text="One per line. Language codes, such as en.")
    domains = LinesField(
        rows=4, help_text="One per line. Domains in which the model is known to be good."
    )
    certifications = LinesField(
        rows=2, help_text="One per line. Certifications of the provider, such as HIPAA."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if field := self.fields.get("capabilities"):
            others = [word for word in self.instance.capabilities if word not in CAPABILITIES]
            field.choices = [*CAPABILITIES.items(), *((word, word) for word in others)]  # type: ignore[attr-defined]


class PriceForm(InlineForm):
    """Prices without trailing zeros."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in PRICES:
            if isinstance(price := self.initial.get(name), Decimal):
                self.initial[name] = f"{price.normalize():f}"
            if field := self.fields.get(name):
                field.widget = forms.TextInput(attrs={"size": 8, "inputmode": "decimal"})
                name_field(field, name)


class PriceInline(TabularInline):
    model = ModelPrice
    form = PriceForm
    formset = InlineFormSet
    extra = 0
    fields = ["source", "input_per_million", "output_per_million", "per_request"]
    fields += [*PART_PRICES]
    fields += ["valid_from", "valid_until", "source_version"]
    readonly_fields = ["source_version"]


@admin.register(LanguageModel)
class LanguageModelAdmin(ConfigurationAdmin):
    section = "models"
    form = LanguageModelForm
    inlines = [PriceInline]
    list_display = [
        "name",
        "is_available",
        "endpoint",
        "price",
        "accuracy",
        "speed_rating",
        "context",
        "certified",
    ]
    list_editable = ["is_available"]
    search_fields = ["name", "provider"]
    fieldsets = [
        (None, {"fields": ["name", "provider", "is_available"]}),
        ("Gateway", {"fields": ["endpoint", "upstream_name"]}),
        (
            "Quality and speed",
            {"fields": ["accuracy_score", "speed_rating", "latency_p50_ms", "latency_p95_ms"]},
        ),
        (
            "Capabilities",
            {
                "fields": [
                    "capabilities",
                    "context_window",
                    "max_output_tokens",
                    "tasks",
                    "domains",
                    "languages",
                    "certifications",
                ]
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return rows.select_related("endpoint").prefetch_related("prices")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The name cannot change: stored decisions and other rows contain it."""
        return ["name"] if obj else []

    @admin.display(description="USD per million tokens, in / out")
    def price(self, row: LanguageModel) -> str:
        prices = sorted(row.prices.all(), key=price_order)
        holds = price_on(tuple(p.as_value() for p in prices), timezone.now().date())
        if holds is None:
            return "⚠ unpriced"
        return f"{dollars(holds.input_per_million)} / {dollars(holds.output_per_million)}"

    @admin.display(description="accuracy", ordering="accuracy_score")
    def accuracy(self, row: LanguageModel) -> str:
        return f"{row.accuracy_score:.2f}"

    @admin.display(description="context, tokens", ordering="context_window")
    def context(self, row: LanguageModel) -> str:
        return f"{row.context_window:,}"

    @admin.display(description="certifications")
    def certified(self, row: LanguageModel) -> str:
        return ", ".join(row.certifications) or "none"
