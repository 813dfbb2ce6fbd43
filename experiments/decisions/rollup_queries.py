"""Hourly roll-ups added up by the database: what every page about traffic is computed from."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from django.db.models import CharField, DateTimeField, Func, QuerySet, Sum

from experiments.analysis.ratings import Ratings
from experiments.models import Rollup
from experiments.models.sums import FIXED_POINT

Step = Literal["hour", "day"]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Span(NamedTuple):
    """Whole UTC hours: [since, until)."""

    since: datetime
    until: datetime

    @property
    def step(self) -> Step:
        """How fine a time axis over this span is."""
        return "hour" if self.until - self.since <= 2 * DAY else "day"

    def instants(self) -> list[datetime]:
        """Where each bucket of the time axis starts."""
        step = HOUR if self.step == "hour" else DAY
        count = -(-(self.until - self.since) // step)
        return [self.since + number * step for number in range(count)]


class RollupSums(NamedTuple):
    """Columns of `Rollup` that pages add up. Money in nano-dollars, ratings in millionths."""

    decisions: int = 0
    priced: int = 0
    cost: int = 0
    cost_squares: int = 0
    baseline: int = 0
    paired: int = 0
    paired_cost: int = 0
    strong_cost: int = 0
    weak_cost: int = 0
    fallbacks: int = 0
    routing_us: int = 0
    timed: int = 0
    outcomes: int = 0
    errors: int = 0
    actual: int = 0
    estimated: int = 0
    reconciled: int = 0
    quality: int = 0
    quality_squares: int = 0
    rated: int = 0

    @property
    def ratings(self) -> Ratings:
        return Ratings(
            self.quality / FIXED_POINT, self.quality_squares / FIXED_POINT**2, self.rated
        )


class RollupLine(NamedTuple):
    """The sums of one group, and the values it was grouped by."""

    key: tuple[Any, ...]
    sums: RollupSums


class _Day(Func):
    """The UTC day of an hour as "2026-11-22". Django's own truncation calls Python for each row."""

    output_field = CharField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return super().as_sql(
            compiler, connection, template="SUBSTR(%(expressions)s, 1, 10)", **extra
        )

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "TO_CHAR(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
        return super().as_sql(compiler, connection, template=template, **extra)


def utc_day(column: str) -> Func:
    """The UTC day of a column's instants, as text."""
    return _Day(column)


def rolled_up(
    span: Span, *keys: str, domain: str = "", experiment: str = "", only: Iterable[str] = ()
) -> list[RollupLine]:
    """Sums of the span by `keys`, of which "at" is the bucket of its time axis. One query.

    `only` names the sums to add up, where a page needs few of them; the others are 0.
    """
    rows: QuerySet[Any] = Rollup.objects.filter(hour__gte=span.since, hour__lt=span.until)
    if domain:
        rows = rows.filter(domain=domain)
    if experiment:
        rows = rows.filter(experiment=experiment)
    wanted = set(only) or set(RollupSums._fields)
    names = [name for name in RollupSums._fields if name in wanted]
    by = ["bucket" if key == "at" else key for key in keys]
    if "at" in keys:
        rows = rows.annotate(bucket=_bucket(span.step))
    sums = {f"sum_{name}": Sum(name) for name in names}
    grouped = rows.order_by().values(*by).annotate(**sums).values_list(*by, *sums)
    return [_line(keys, names, row) for row in grouped]


def _bucket(step: Step) -> Func:
    if step == "day":
        return _Day("hour")
    return Func("hour", template="%(expressions)s", output_field=DateTimeField())


def _line(keys: tuple[str, ...], names: list[str], row: tuple[Any, ...]) -> RollupLine:
    key = tuple(
        _instant(value) if name == "at" else value
        for name, value in zip(keys, row[: len(keys)], strict=True)
    )
    # PostgreSQL adds up 64-bit integers as decimals.
    numbers = (int(value) for value in row[len(keys) :])
    return RollupLine(key, RollupSums(**dict(zip(names, numbers, strict=True))))


def _instant(bucket: datetime | str) -> datetime:
    if isinstance(bucket, datetime):
        return bucket
    return datetime.fromisoformat(bucket).replace(tzinfo=UTC)


def total(sums: Iterable[RollupSums]) -> RollupSums:
    columns = zip(*sums, strict=True)
    return RollupSums(*map(sum, columns))
