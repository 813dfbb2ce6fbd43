"""Routers; saving checks them by building them."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from experiments.admin.base import ConfigurationAdmin
from experiments.admin.forms import ConfigurationForm
from experiments.lab.training import shortcoming_of
from experiments.models import Router
from experiments.routers.errors import RouterConfigurationError
from experiments.storage.lab_files import with_local_paths


class RouterForm(ConfigurationForm):
    def clean_arguments(self) -> dict[str, Any]:
        arguments = self.cleaned_data["arguments"]
        if not isinstance(arguments, dict):
            self.add_error(
                "arguments", 'Enter a mapping of names to values, such as {} or {"a": 1}.'
            )
            return {}
        return arguments

    def clean(self) -> dict[str, Any]:
        """A disabled router is not built, so that a broken one can be disabled."""
        # Imported late, because every command would load the embeddings.
        from experiments.routers.building import check_router, checkpoint_sha256  # noqa: PLC0415

        cleaned = super().clean()
        if cleaned.get("enabled") and "kind" in cleaned and not self.errors:
            try:
                arguments = with_local_paths(cleaned["arguments"])
                check_router(cleaned["kind"], arguments)
                cleaned["checkpoint"] = checkpoint_sha256(cleaned["kind"], arguments)
            except RouterConfigurationError as error:
                self.add_error("arguments", str(error))
        return cleaned


@admin.register(Router)
class RouterAdmin(ConfigurationAdmin):
    section = "routers"
    form = RouterForm
    list_display = ["name", "kind", "enabled", "state", "timeout_seconds", "pinned", "held_out"]
    list_editable = ["enabled"]
    search_fields = ["name"]
    readonly_fields = ["checkpoint"]
    fieldsets = [
        (None, {"fields": ["name", "kind", "enabled"]}),
        ("Configuration", {"fields": ["arguments", "checkpoint"]}),
        ("Timeout", {"fields": ["timeout_seconds"]}),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [*self.readonly_fields, "name"] if obj else list(self.readonly_fields)

    def save_model(self, request: HttpRequest, obj: Router, form: Any, change: bool) -> None:
        """Saving pins the current weights, also if nothing else changed."""
        found = form.cleaned_data.get("checkpoint")
        repinned = found is not None and found != obj.checkpoint
        if repinned:
            obj.checkpoint = found
        if repinned and change and not form.has_changed():
            obj.save()
        else:
            super().save_model(request, obj, form, change)

    @admin.display(description="in this process")
    def state(self, row: Router) -> str:
        from experiments.routing.runtime import engine  # noqa: PLC0415 - as above

        if not row.enabled:
            return "◌ disabled"
        status = engine.pool.status(row.name)
        return "● ready" if status.ready else f"⚠ {status.detail}"

    @admin.display(description="on held-out prompts")
    def held_out(self, row: Router) -> str:
        poor = shortcoming_of(row)
        return f"⚠ {poor}; not offered" if poor else ""

    @admin.display(description="pinned to")
    def pinned(self, row: Router) -> str:
        from experiments.routers.local import is_earlier  # noqa: PLC0415 - as above

        if not row.checkpoint:
            return "none yet"
        old = row.kind == "local" and is_earlier(row.checkpoint)
        return f"{row.checkpoint[:12]}…" + (" (earlier; save to use the new ones)" if old else "")
