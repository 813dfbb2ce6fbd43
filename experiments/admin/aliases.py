"""Names that clients send for a model, and what they stand for."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from experiments.admin.base import ConfigurationAdmin
from experiments.admin.forms import ConfigurationForm, LinesField
from experiments.models import APIKey, ModelAlias


class ModelAliasForm(ConfigurationForm):
    keys = LinesField(
        rows=3,
        label="API keys",
        help_text="One per line: the names of the keys that it is for. Empty: all keys. An alias "
        "of a key comes before one for all, a name before a pattern, a long pattern before a short "
        "one.",
    )

    def clean_keys(self) -> list[str]:
        """Refuses unknown names, because the alias would apply to no key."""
        names: list[str] = self.cleaned_data["keys"]
        known = set(APIKey.objects.filter(name__in=names).values_list("name", flat=True))
        for name in names:
            if name not in known:
                self.add_error("keys", f"Unknown API key '{name}'.")
        return names


@admin.register(ModelAlias)
class ModelAliasAdmin(ConfigurationAdmin):
    section = "aliases"
    form = ModelAliasForm
    list_display = ["name", "pattern", "target", "shown_keys"]
    search_fields = ["name", "pattern", "target"]
    fieldsets = [(None, {"fields": ["name", "pattern", "target", "keys"]})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The name cannot change, because configuration files use it."""
        return ["name"] if obj else []

    @admin.display(description="API keys")
    def shown_keys(self, row: ModelAlias) -> str:
        return ", ".join(row.keys) or "all"
