"""Provider endpoints: address, key, timeouts, retries and concurrency."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from experiments.admin.base import ConfigurationAdmin
from experiments.admin.forms import ConfigurationForm, LinesField, WordsField
from experiments.core.endpoints import ApiFormat
from experiments.formatting import plural
from experiments.limits.credentials import problem_of
from experiments.models import ProviderEndpoint

NATIVE_FORMATS = [
    (ApiFormat.MESSAGES, "messages: Anthropic's /v1/messages"),
    (ApiFormat.RESPONSES, "responses: OpenAI's /v1/responses"),
]


class EndpointForm(ConfigurationForm):
    native_formats = WordsField(
        choices=NATIVE_FORMATS,
        label="Also takes",
        required=False,
        help_text="Requests that the provider takes as they are, besides chat completions. Others "
        "are translated. OpenAI's own address and LiteLLM's anthropic/ models are known.",
    )
    dropped_parameters = LinesField(
        rows=3,
        help_text="One per line. Parameters that the provider rejects, such as seed. They are left "
        "out; all others are passed on unchanged.",
    )


@admin.register(ProviderEndpoint)
class ProviderEndpointAdmin(ConfigurationAdmin):
    section = "endpoints"
    form = EndpointForm
    list_display = ["name", "protocol", "base_url", "key_kept", "state", "models_called"]
    search_fields = ["name", "base_url"]
    fieldsets = [
        (None, {"fields": ["name", "protocol", "base_url", "native_formats"]}),
        ("API key", {"fields": ["api_key_env", "api_key_file"]}),
        (
            "Timeouts and concurrency",
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
        ("Unsupported parameters", {"fields": ["dropped_parameters", "asks_usage"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).annotate(called=Count("models"))
        return rows

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The name cannot change, because configuration files use it."""
        return ["name"] if obj else []

    @admin.display(description="key from")
    def key_kept(self, row: ProviderEndpoint) -> str:
        return row.api_key_env or row.api_key_file or "no key"

    @admin.display(description="on this server")
    def state(self, row: ProviderEndpoint) -> str:
        """The state on this server; the message never contains the key."""
        return "⚠ key missing" if problem_of(row.as_value()) else "● ready"

    @admin.display(description="models", ordering="called")
    def models_called(self, row: Any) -> str:
        return plural(row.called, "model")
