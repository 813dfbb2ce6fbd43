"""Sums of decisions, computed by the database, for savings and for pruning."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.db.models import Aggregate, Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from experiments.models import Decision

PRICED = Q(priced=True)
PAIRED = Q(cost__isnull=False, cost_strong__isnull=False, cost_weak__isnull=False)


class PrunedSums(NamedTuple):
    """Decisions added up; the columns of PrunedTotal say what each is. Nano-dollars."""

    decisions: int = 0
    priced: int = 0
    fallbacks: int = 0
    actual: int = 0
    cost: int = 0
    cost_baseline: int = 0
    paired: int = 0
    cost_paired: int = 0
    cost_strong: int = 0
    cost_weak: int = 0
    latency_us: int = 0
    latency_count: int = 0

    def plus(self, other: "PrunedSums") -> "PrunedSums":
        return PrunedSums(*(a + b for a, b in zip(self, other, strict=True)))


class PrunedLine(NamedTuple):
    """The sums of one group, and the values it was grouped by."""

    key: tuple[Any, ...]
    sums: PrunedSums


def totals(decisions: QuerySet[Decision], *keys: str) -> Iterator[PrunedLine]:
    """Sums of decisions by `keys`. One query."""
    names = [f"total_{name}" for name in PrunedSums._fields]  # a model's own field cannot be reused
    aggregates = dict(zip(names, _aggregates(), strict=True))
    rows = decisions.order_by().values(*keys).annotate(**aggregates)
    for row in rows.values_list(*keys, *names):
        # PostgreSQL adds up 64-bit integers as decimals.
        yield PrunedLine(row[: len(keys)], PrunedSums(*(int(value) for value in row[len(keys) :])))


def _aggregates() -> tuple[Aggregate, ...]:
    """An expression for each of the sums, in their order."""
    named: dict[str, Aggregate] = {
        "decisions": Count("pk"),
        "priced": Count("pk", filter=PRICED),
        "fallbacks": Count("pk", filter=~Q(fallback="") | Q(outcome__model__gt="")),
        "actual": Count("outcome__cost", filter=PRICED),
        "cost": Sum(_cost("cost"), filter=PRICED, default=0),
        "cost_baseline": Sum(_cost("cost_baseline"), filter=PRICED, default=0),
        "paired": Count("pk", filter=PAIRED),
        "cost_paired": Sum(_cost("cost"), filter=PAIRED, default=0),
        "cost_strong": Sum(_cost("cost_strong"), filter=PAIRED, default=0),
        "cost_weak": Sum(_cost("cost_weak"), filter=PAIRED, default=0),
        "latency_us": Sum("latency_us", default=0),
        "latency_count": Count("latency_us"),
    }
    return tuple(named[name] for name in PrunedSums._fields)


def _cost(column: str) -> Coalesce:
    """The cost of the outcome, else the estimate. An outcome has all four costs, or none."""
    return Coalesce(f"outcome__{column}", column)
