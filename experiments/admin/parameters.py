"""What models do not take of a call: the operators' rules, and what was learned from providers."""

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
        help_text="One a line. Patterns of model names, with or without the provider: gpt-5*, "
        "*claude*. With an exclamation mark in front, what they leave out: !*-chat*. Empty: all.",
    )
    only_values = LinesField(
        rows=2,
        help_text="One a line. Only for these values, such as minimal; of an object its type, such "
        "as json_schema. Empty: for all.",
    )
    except_values = LinesField(rows=2, help_text="One a line. Not for these values, such as 1.")


@admin.register(ParameterRule)
class ParameterRuleAdmin(ConfigurationAdmin):
    section = "parameter_rules"
    form = ParameterRuleForm
    list_display = ["name", "parameter", "action", "replacement", "provider", "patterns"]
    list_filter = ["action", "provider", "parameter"]
    search_fields = ["name", "parameter", "provider"]
    fieldsets = [
        (None, {"fields": ["name", "parameter"]}),
        ("For which models", {"fields": ["provider", "model_patterns"]}),
        ("What is done", {"fields": ["action", "replacement", "minimum", "maximum"]}),
        ("Only when", {"fields": ["only_values", "except_values", "with_parameter"]}),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Configuration files name rules, so a name stays."""
        return ["name"] if obj else []

    @admin.display(description="models")
    def patterns(self, row: ParameterRule) -> str:
        return ", ".join(row.model_patterns) or "all"


@admin.register(LearnedParameter)
class LearnedParameterAdmin(ReadOnly, PageAdmin):
    """Found by calls; operators may only have it forgotten."""

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
