"""Metrics that feedback may report, in addition to the built-in quality."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from experiments.admin.base import ConfigurationAdmin
from experiments.configuration.metric_use import metrics_in_use
from experiments.models import Metric

MEANING = ["name", "kind", "minimum", "maximum", "better", "level"]


@admin.register(Metric)
class MetricAdmin(ConfigurationAdmin):
    section = "metrics"
    list_display = ["name", "kind", "minimum", "maximum", "better", "level", "used_by"]
    list_filter = ["kind", "level"]
    search_fields = ["name", "description"]
    fieldsets = [
        (
            None,
            {
                "fields": ["name", "description"],
                "description": "Cost, saving, strong share, latency, error rate, fallback rate, "
                "quality and share rated are built in.",
            },
        ),
        ("Values", {"fields": ["kind", "minimum", "maximum"]}),
        ("Meaning", {"fields": ["better", "level"]}),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """A metric used by an experiment cannot change its meaning, which would change results."""
        return list(MEANING) if obj is not None and _keys(obj) else []

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and _keys(obj):
            return False
        return super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> Any:
        """No bulk delete: a metric in use cannot be deleted."""
        return {}

    @admin.display(description="used by")
    def used_by(self, row: Metric) -> str:
        return ", ".join(_keys(row)) or "no experiment"


def _keys(row: Metric) -> list[str]:
    return metrics_in_use().get(row.name, [])
