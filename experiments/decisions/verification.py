"""Compares all running sums with the decisions they count, an hour or a day at a time.

Not compared, because no rows exist to recount it: key usage per minute (calls of the REST API count
there and store no row; it is deleted after a day).
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.db import models
from django.db.models import Max, Min

from experiments.decisions import recounting
from experiments.decisions.recounting import Difference, RecountSpan
from experiments.models import Decision, KeyUsage, MetricSum, PruneMark, Rollup, RollupBin, UnitSum

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Verified(NamedTuple):
    """What was compared, and what differs. Spans before `pruned_before` are left out, because the
    decisions they count are gone; so is the key usage of days with calls from before reservations
    were kept. `corrected` counts rows that were wrong."""

    hours: int
    days: int
    left_out_hours: int
    left_out_days: int
    left_out_usage_days: int
    pruned_before: datetime | None
    differences: list[Difference]
    corrected: int = 0


def verify(
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    repair: bool = False,
    on_progress: Callable[[str], None] = lambda span: None,
) -> Verified:
    """Roll-ups and their histograms by the hour; unit sums, metric sums and key usage by the day.

    Others may write at the same time: each comparison sees one state of the database. With
    `repair`, differences are corrected; `differences` lists them as found.
    """
    pruned = PruneMark.objects.aggregate(newest=Max("pruned_before"))["newest"]
    hourly = (recounting.rollups(), recounting.bins())
    daily = (recounting.units(), recounting.metrics(), recounting.key_days(), recounting.own_days())
    hours, days = list(_hours(since, until)), list(_days(since, until))
    kept_hours = [hour for hour in hours if pruned is None or hour.since >= pruned]
    kept_days = [day for day in days if pruned is None or day.since >= pruned]
    work = [(span, hourly) for span in kept_hours] + [(span, daily) for span in kept_days]
    found: list[Difference] = []
    corrected = 0
    for span, recounts in work:
        on_progress(str(span.value))
        for recount in recounts:
            wrong = recounting.differences(recount, span)
            found += wrong
            if wrong and repair:
                corrected += recounting.correct(recount, span)
    return Verified(
        len(kept_hours),
        len(kept_days),
        len(hours) - len(kept_hours),
        len(days) - len(kept_days),
        sum(map(recounting.has_unrecorded_charges, kept_days)),
        pruned,
        found,
        corrected,
    )


def _hours(since: datetime | None, until: datetime | None) -> Iterator[RecountSpan]:
    ends = _ends((Decision, "created_at"), (Rollup, "hour"), (RollupBin, "hour"))
    if ends is None:
        return
    first, last = max(ends[0], since or ends[0]), ends[1]
    hour = first.replace(minute=0, second=0, microsecond=0)
    while hour <= last and (until is None or hour < until):
        yield RecountSpan.of_hour(hour)
        hour += HOUR


def _days(since: datetime | None, until: datetime | None) -> Iterator[RecountSpan]:
    ends = _ends(
        (Decision, "created_at"), (UnitSum, "day"), (MetricSum, "day"), (KeyUsage, "starts_at")
    )
    if ends is None:
        return
    day = max(_day(ends[0]), since.date() if since else _day(ends[0]))
    while day <= _day(ends[1]) and (until is None or day < until.date()):
        yield RecountSpan.of_day(day)
        day += DAY


def _ends(*columns: tuple[type[models.Model], str]) -> tuple[Any, Any] | None:
    """The first and the last time in any of the columns."""
    times: list[Any] = []
    for model, column in columns:
        ends = model._default_manager.aggregate(first=Min(column), last=Max(column))
        times += [time for time in ends.values() if time is not None]
    return (min(times, key=_moment), max(times, key=_moment)) if times else None


def _moment(time: Any) -> datetime:
    return time if isinstance(time, datetime) else RecountSpan.of_day(time).since


def _day(time: Any) -> date:
    return time.date() if isinstance(time, datetime) else time
