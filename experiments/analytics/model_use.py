"""Each model's cost, ratings, accuracy of its estimates, and current price."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple

from experiments.analysis.ratings import Estimate, mean_rating
from experiments.analytics.cost_quality import cost_per_thousand
from experiments.decisions.rollup_queries import RollupSums, Span, rolled_up
from experiments.models import LanguageModel, ModelPrice
from experiments.models.catalog import price_order

COLUMNS = ("decisions", "priced", "cost", "cost_squares", "outcomes", "errors", "actual")
ESTIMATED = ("estimated", "reconciled", "quality", "quality_squares", "rated")


class PriceToday(NamedTuple):
    """Nano-dollars per million tokens, with source and age."""

    input: int
    output: int
    per_request: int
    source: str
    version: str
    fetched_at: datetime


class ModelUse(NamedTuple):
    """One model in one span. `known`: whether it is still in the catalog."""

    name: str
    known: bool
    available: bool
    sums: RollupSums
    cost: Estimate | None
    quality: Estimate | None
    price: PriceToday | None

    @property
    def estimate_error(self) -> float | None:
        """Actual over estimated cost minus 1, if tokens were reported."""
        if not self.sums.reconciled or not self.sums.estimated:
            return None
        return self.sums.actual / self.sums.estimated - 1

    @property
    def error_share(self) -> float | None:
        return self.sums.errors / self.sums.outcomes if self.sums.outcomes else None


def model_use(span: Span, today: date, domain: str = "") -> tuple[ModelUse, ...]:
    """The most expensive first, then unused ones. Three queries."""
    lines = rolled_up(span, "model", domain=domain, only=(*COLUMNS, *ESTIMATED))
    used = {line.key[0]: line.sums for line in lines}
    rows = {row.name: row for row in LanguageModel.objects.prefetch_related("prices")}
    uses = (
        _use(name, rows.get(name), used.get(name, RollupSums()), today) for name in {*used, *rows}
    )
    return tuple(sorted(uses, key=lambda use: (-use.sums.cost, -use.sums.decisions, use.name)))


def _use(name: str, row: LanguageModel | None, sums: RollupSums, today: date) -> ModelUse:
    return ModelUse(
        name=name,
        known=row is not None,
        available=row is not None and row.is_available,
        sums=sums,
        cost=cost_per_thousand(sums),
        quality=mean_rating(sums.ratings),
        price=_price(row.prices.all(), today) if row else None,
    )


def _price(rows: Iterable[ModelPrice], today: date) -> PriceToday | None:
    """The price in use: the first valid one in the order of a revision."""
    holding = [row for row in sorted(rows, key=price_order) if row.as_value().holds_on(today)]
    if not holding:
        return None
    row = holding[0]
    value = row.as_value()
    return PriceToday(
        input=value.input_per_million,
        output=value.output_per_million,
        per_request=value.per_request,
        source=row.get_source_display(),
        version=row.source_version,
        fetched_at=row.fetched_at,
    )
