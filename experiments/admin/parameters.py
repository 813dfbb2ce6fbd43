"""Parameters that models do not support: operators' rules, and those learned from providers."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from experiments.admin.base import ConfigurationAdmin, PageAdmin, ReadOnly
from experiments.admin.forms import ConfigurationForm, LinesField
from experiments.limits import learned_parameters
from experiments.models import LearnedParameter, ParameterRule


class ParameterRuleForm(ConfigurationForm):
    model_patterns = LinesField(
        rows=3,
        label="Models",
        help_text="One per line. Patterns of model names, with or without the provider: gpt-5*, "
        "*claude*. An exclamation mark excludes models: !*-chat*. Empty: all.",
    )
    only_values = LinesField(
        rows=2,
        help_text="One per line. Only for these values, such as minimal, or types of objects, such "
        "as json_schema. Empty: all values.",
    )
    except_values = LinesField(rows=2, help_text="One per line. Not for these values, such as 1.")


@admin.register(ParameterRule)
class ParameterRuleAdmin(ConfigurationAdmin):
    section = "parameter_rules"
    form = ParameterRuleForm
    list_display = ["name", "parameter", "action", "replacement", "provider", "patterns"]
    list_filter = ["action", "provider", "parameter"]
    search_fields = ["name", "parameter", "provider"]
    fieldsets = [
        (None, {"fields": ["name", "parameter"]}),
        ("Models", {"fields": ["provider", "model_patterns"]}),
        ("Action", {"fields": ["action", "replacement", "minimum", "maximum"]}),
        ("Conditions", {"fields": ["only_values", "except_values", "with_parameter"]}),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The name cannot change, because configuration files use it."""
        return ["name"] if obj else []

    @admin.display(description="models")
    def patterns(self, row: ParameterRule) -> str:
        return ", ".join(row.model_patterns) or "all"


@admin.register(LearnedParameter)
class LearnedParameterAdmin(ReadOnly, PageAdmin):
    """Learned from calls; operators can only delete rows."""

    list_display = ["model", "parameter", "shown_value", "action", "reason", "times", "expires_at"]
    list_filter = ["model", "parameter"]
    search_fields = ["model", "parameter"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.filter(expires_at__gt=timezone.now())

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("experiments.delete_learnedparameter")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        learned_parameters.invalidate()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().delete_queryset(request, queryset)
        learned_parameters.invalidate()

    @admin.display(description="value")
    def shown_value(self, row: LearnedParameter) -> str:
        return row.value or "any"
