"""Counts the hourly roll-ups again from the decisions that are still stored."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Max, Min, Sum

from experiments.decisions import recounting
from experiments.decisions.recounting import RecountSpan
from experiments.models import Decision, Rollup

HOUR = timedelta(hours=1)


class Rebuilt(NamedTuple):
    """Hours counted again, and hours skipped because some of their decisions were pruned."""

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
    """Hour by hour, while others write. Safe to interrupt and repeat.

    Skips hours from before the last pruning, and hours whose roll-ups count more decisions than are
    stored: pruned decisions stay in the reports.
    """
    done = Rebuilt()
    for hour in _hours(since, until):
        done = done.plus(_rebuild_hour(RecountSpan.of_hour(hour)))
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


def _rebuild_hour(hour: RecountSpan) -> Rebuilt:
    """Sums are read before decisions, so a decision stored in between is no surplus."""
    known = Rollup.objects.filter(hour=hour.since).aggregate(n=Sum("decisions", default=0))["n"]
    rows = Decision.objects.filter(created_at__gte=hour.since, created_at__lt=hour.until)
    count = rows.count()
    if known > count or recounting.is_pruned(hour):
        return Rebuilt(left=1)
    for recount in (recounting.rollups(), recounting.bins()):
        recounting.correct(recount, hour)
    return Rebuilt(hours=1, decisions=count)
