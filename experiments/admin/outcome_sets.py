"""Outcome sets and the routers trained on them. Rows are imported, not edited."""

from functools import cached_property
from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from experiments.admin.base import PageAdmin
from experiments.formatting import dollars, share
from experiments.lab.dataset_summaries import SetLine, outcome_sets
from experiments.models import OutcomeSet


class Lines:
    """The lines of the report, read once per page."""

    @cached_property
    def by_name(self) -> dict[str, SetLine]:
        return {line.name: line for line in outcome_sets()}


@admin.register(OutcomeSet)
class OutcomeSetAdmin(PageAdmin):
    """Deleting a set deletes its rows and scores; routers trained on it stay."""

    list_display = ["name", "source", "size", "domains", "quality", "cost", "overlap"]
    search_fields = ["name", "origin"]
    list_filter = ["source"]
    fields = [
        *("name", "source", "origin", "strong_model", "weak_model"),
        *("size", "domains", "quality", "cost", "overlap", "created_at", "updated_at"),
    ]
    _lines = Lines()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        self._lines = Lines()
        return super().get_queryset(request)

    @admin.display(description="prompts")
    def size(self, row: OutcomeSet) -> str:
        return f"{self._line(row).rows:,}"

    @admin.display(description="domains")
    def domains(self, row: OutcomeSet) -> str:
        return ", ".join(f"{name} {count:,}" for name, count in self._line(row).domains)

    @admin.display(description="quality, strong and weak")
    def quality(self, row: OutcomeSet) -> str:
        line = self._line(row)
        return _both(*(None if x is None else f"{x:.3f}" for x in (line.strong, line.weak)))

    @admin.display(description="cost per 1,000, strong and weak")
    def cost(self, row: OutcomeSet) -> str:
        line = self._line(row)
        costs = (line.strong_cost, line.weak_cost)
        text = _both(*(None if x is None else dollars(round(1000 * x)) for x in costs))
        return f"{text} (computed in {line.computed:,} rows)" if line.computed else text

    @admin.display(description="seen in training by")
    def overlap(self, row: OutcomeSet) -> str:
        found = self._line(row).overlaps
        shares = (f"{one.router} {share(one.share)}" for one in found if one.share is not None)
        return ", ".join(shares) or "not known"

    def _line(self, row: OutcomeSet) -> SetLine:
        return self._lines.by_name[row.name]


def _both(strong: str | None, weak: str | None) -> str:
    return "not known" if strong is None or weak is None else f"{strong}, {weak}"
