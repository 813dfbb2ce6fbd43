"""Counts the hourly roll-ups anew from the decisions that are still stored."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, models, transaction
from django.db.models import Max, Min, Sum

from experiments.models import Decision, Feedback, Outcome, PruneMark, Rollup, RollupBin
from experiments.services import rollups
from experiments.services.sums import QUALITY, combined_rating

HOUR = timedelta(hours=1)
CHUNK = 500


class Rebuilt(NamedTuple):
    """Hours counted anew, and hours left alone because some of their decisions are gone."""

    hours: int = 0
    left: int = 0
    decisions: int = 0

    def plus(self, other: "Rebuilt") -> "Rebuilt":
        return Rebuilt(*(a + b for a, b in zip(self, other, strict=True)))


def rebuild(
    since: datetime | None = None,
    until: datetime | None = None,
    on_progress: Callable[[datetime], None] | None = None,
) -> Rebuilt:
    """Hour by hour, each in a transaction that decisions wait for. Safe to interrupt and repeat.

    An hour from before the last pruning, or whose roll-ups count more decisions than there are, is
    left alone: what was pruned stays in the reports.
    """
    done = Rebuilt()
    for hour in _hours(since, until):
        done = done.plus(_rebuild_hour(hour))
        if on_progress:
            on_progress(hour)
    return done


def _hours(since: datetime | None, until: datetime | None) -> Iterator[datetime]:
    stored = Decision.objects.aggregate(first=Min("created_at"), last=Max("created_at"))
    if stored["first"] is None:
        return
    hour = _start(max(stored["first"], since) if since else stored["first"])
    last = min(stored["last"], until - timedelta(microseconds=1)) if until else stored["last"]
    while hour <= last:
        yield hour
        hour += HOUR


def _start(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _rebuild_hour(hour: datetime) -> Rebuilt:
    with transaction.atomic():
        _hold_writers()
        rows = Decision.objects.filter(created_at__gte=hour, created_at__lt=hour + HOUR)
        count = rows.count()
        known = Rollup.objects.filter(hour=hour).aggregate(n=Sum("decisions", default=0))["n"]
        if known > count or PruneMark.objects.filter(pruned_before__gt=hour).exists():
            return Rebuilt(left=1)
        _replace(hour, rows.order_by())
        return Rebuilt(hours=1, decisions=count)


def _hold_writers() -> None:
    """On SQLite the transaction itself does. Elsewhere whoever adds to a sum waits for us."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                f'LOCK TABLE "{Rollup._meta.db_table}", "{RollupBin._meta.db_table}" '
                "IN EXCLUSIVE MODE"
            )


def _replace(hour: datetime, rows: "models.QuerySet[Decision]") -> None:
    sums: defaultdict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    bins: Counter[tuple[Any, ...]] = Counter()
    for decision, outcome, quality in _known(rows):
        key = tuple(rollups.key_of(decision).items())
        sums[key].update(rollups.contribution(decision, outcome, quality))
        bins.update(tuple(one.items()) for one in rollups.bins_of(decision))
    Rollup.objects.filter(hour=hour).delete()
    RollupBin.objects.filter(hour=hour).delete()
    Rollup.objects.bulk_create(Rollup(**dict(key), **counts) for key, counts in sums.items())
    RollupBin.objects.bulk_create(
        (RollupBin(**dict(key), count=count) for key, count in bins.items()), batch_size=CHUNK
    )


def _known(
    rows: "models.QuerySet[Decision]",
) -> Iterator[tuple[Decision, Outcome | None, int | None]]:
    """Each decision with its outcome and its combined quality. Three queries for each chunk."""
    chunk: list[Decision] = []
    for decision in rows.iterator(chunk_size=CHUNK):
        chunk.append(decision)
        if len(chunk) == CHUNK:
            yield from _with_what_came(chunk)
            chunk = []
    yield from _with_what_came(chunk)


def _with_what_came(
    chunk: list[Decision],
) -> Iterator[tuple[Decision, Outcome | None, int | None]]:
    ids = [decision.pk for decision in chunk]
    outcomes = Outcome.objects.in_bulk(ids)
    ratings = _ratings(Feedback.objects.filter(decision_id__in=ids, metric=QUALITY))
    for decision in chunk:
        quality = combined_rating(ratings.get(decision.pk, ()))
        yield decision, outcomes.get(decision.pk), quality


def _ratings(rows: Iterable[Feedback]) -> Mapping[Any, list[Feedback]]:
    found: defaultdict[Any, list[Feedback]] = defaultdict(list)
    for row in rows:
        found[row.decision_id].append(row)
    return found
