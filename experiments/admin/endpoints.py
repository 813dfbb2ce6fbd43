"""Provider endpoints: where models are called, where their key is kept, and how patiently."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from experiments.admin.base import ConfigurationAdmin
from experiments.admin.forms import ConfigurationForm, LinesField
from experiments.core.wording import plural
from experiments.limits.credentials import problem_of
from experiments.models import ProviderEndpoint


class EndpointForm(ConfigurationForm):
    dropped_parameters = LinesField(
        rows=3,
        help_text="One a line. Parameters the provider refuses, such as seed. They are left out; "
        "all others are passed on as they came.",
    )


@admin.register(ProviderEndpoint)
class ProviderEndpointAdmin(ConfigurationAdmin):
    section = "endpoints"
    form = EndpointForm
    list_display = ["name", "protocol", "base_url", "key_kept", "state", "models_called"]
    search_fields = ["name", "base_url"]
    fieldsets = [
        (None, {"fields": ["name", "protocol", "base_url"]}),
        ("Where its key is kept", {"fields": ["api_key_env", "api_key_file"]}),
        (
            "How patiently it is called",
            {
                "fields": [
                    "connect_seconds",
                    "first_token_seconds",
                    "total_seconds",
                    "retries",
                    "concurrency",
                ]
            },
        ),
        ("What it does not take", {"fields": ["dropped_parameters", "asks_usage"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).annotate(called=Count("models"))
        return rows

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Configuration files name endpoints, so a name stays."""
        return ["name"] if obj else []

    @admin.display(description="key kept in")
    def key_kept(self, row: ProviderEndpoint) -> str:
        return row.api_key_env or row.api_key_file or "takes none"

    @admin.display(description="here")
    def state(self, row: ProviderEndpoint) -> str:
        """As this server sees it; the message names the place, never what is in it."""
        return "⚠ key missing" if problem_of(row.as_value()) else "● ready"

    @admin.display(description="called for", ordering="called")
    def models_called(self, row: Any) -> str:
        return plural(row.called, "model")
