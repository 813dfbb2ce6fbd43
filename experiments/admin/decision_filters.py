"""Filters of the decision list. Choices come from the configuration, because collecting distinct
values of a large table takes seconds."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from experiments.core.policy import Method
from experiments.models import Domain, Experiment, LanguageModel

REASONS = {
    "score_at_or_above_threshold": "at or above the threshold",
    "score_below_threshold": "below the threshold",
    "drawn_at_threshold": "at the threshold, drawn",
    "step_reached": "at or above a step's threshold",
    "always_strong": "always strong",
    "always_weak": "always weak",
    "policy": "domain selector by policy",
    "master_flag_off": "master flag off",
    "domain_flag_off": "domain flag off",
    "unknown_language": "unknown language",
    "holdout": "global holdout",
}
FALLBACKS = (
    "router_failed",
    "router_timeout",
    "router_not_ready",
    "invalid_score",
    "broken_configuration",
    "model_unavailable",
)
SPANS = {
    "hour": ("Last hour", timedelta(hours=1)),
    "day": ("Last 24 hours", timedelta(days=1)),
    "week": ("Last 7 days", timedelta(days=7)),
    "month": ("Last 30 days", timedelta(days=30)),
}
Choices = Iterable[tuple[str, str]]


class _ColumnFilter(SimpleListFilter):
    """Equality with one column."""

    parameter_name: str

    def known_choices(self) -> Choices:
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(self.known_choices())

    def has_output(self) -> bool:
        """A link may name a value that is no longer in the configuration."""
        return super().has_output() or bool(self.value())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(**{self.parameter_name: value}) if value else queryset


class TimeFilter(SimpleListFilter):
    title = "time"
    parameter_name = "time"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, label) for key, (label, _) in SPANS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        span = SPANS.get(self.value() or "")
        return queryset.filter(created_at__gte=timezone.now() - span[1]) if span else queryset


class DomainFilter(_ColumnFilter):
    title = "domain"
    parameter_name = "domain"

    def known_choices(self) -> Choices:
        return Domain.objects.values_list("name", "label")


class MethodFilter(_ColumnFilter):
    title = "method"
    parameter_name = "method"

    def known_choices(self) -> Choices:
        return ((method, method.replace("_", " ")) for method in Method)


class ModelFilter(_ColumnFilter):
    title = "model"
    parameter_name = "model"

    def known_choices(self) -> Choices:
        return LanguageModel.objects.values_list("name", "name")


class ReasonFilter(_ColumnFilter):
    title = "reason"
    parameter_name = "reason"

    def known_choices(self) -> Choices:
        return [*REASONS.items(), *((name, name.replace("_", " ")) for name in FALLBACKS)]


class FallbackFilter(SimpleListFilter):
    title = "fallback"
    parameter_name = "fallback"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("any", "any fallback"), *((name, name.replace("_", " ")) for name in FALLBACKS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        return queryset.exclude(fallback="") if value == "any" else queryset.filter(fallback=value)


class ExperimentFilter(_ColumnFilter):
    title = "experiment"
    parameter_name = "experiment"

    def known_choices(self) -> Choices:
        return Experiment.objects.values_list("key", "key")

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Repeats the condition of the partial index on experiments, so that databases use it."""
        rows = super().queryset(request, queryset)
        return rows.exclude(experiment="") if self.value() else rows
