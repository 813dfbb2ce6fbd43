"""Deletes old decisions and keeps what they add up to."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from django.db.models import F, Max
from django.db.models.functions import TruncDate
from django.utils import timezone

from experiments.decisions.totals import PrunedLine, PrunedSums, totals
from experiments.models import (
    Decision,
    KeyUsage,
    PrunedTotal,
    PruneMark,
    QuotaLease,
    ShadowPair,
)
from experiments.models.lock_order import locked_ids
from experiments.storage.transactions import run_transaction

BATCH = 1000
KEY = ("day", "domain", "method", "tier", "model")


class PruningProgress(NamedTuple):
    """How far a run has come."""

    done: int
    total: int


def prune(
    before: date, batch: int = BATCH, on_progress: Callable[[PruningProgress], None] | None = None
) -> int:
    """Deletes decisions from before that UTC day, oldest first; returns how many.

    Whole days only, so reports over days stay exact. Each batch is one transaction: an interrupted
    run, or a second run at the same time, neither loses nor double-counts anything.
    """
    limit = datetime.combine(before, time.min, UTC)
    total = Decision.objects.filter(created_at__lt=limit).count()
    if total:
        _mark(limit)
    done = 0
    while deleted := _prune_batch(limit, batch):
        done += deleted
        if on_progress:
            on_progress(PruningProgress(done, max(done, total)))
    _forget_minutes()
    return done


def _forget_minutes() -> None:
    """What keys used in a minute long past limits nothing any more, nor what was leased."""
    past = timezone.now() - timedelta(days=1)
    leases = QuotaLease.objects.filter(day__lt=past - timedelta(days=1))
    if leases.exists():
        run_transaction(lambda: leases.filter(pk__in=locked_ids(leases)).delete())
    minutes = KeyUsage.objects.filter(span=KeyUsage.MINUTE, starts_at__lt=past)

    def write() -> int:
        in_order = minutes.select_for_update().order_by("key_id", "span", "starts_at")
        some = list(in_order.values_list("pk", flat=True)[:BATCH])
        return minutes.filter(pk__in=some).delete()[0]

    while run_transaction(write):
        pass


def _mark(limit: datetime) -> None:
    newest = PruneMark.objects.aggregate(newest=Max("pruned_before"))["newest"]
    if newest is None or newest < limit:
        run_transaction(
            lambda: PruneMark.objects.update_or_create(pk=1, defaults={"pruned_before": limit})
        )


def _prune_batch(limit: datetime, batch: int) -> int:
    return run_transaction(lambda: _delete_oldest(limit, batch))


def _delete_oldest(limit: datetime, batch: int) -> int:
    """Pairs are locked before decisions, as at their end. Rows that another run deletes at the same
    time are not counted."""
    oldest = Decision.objects.filter(created_at__lt=limit).order_by("created_at", "pk")
    some = list(oldest.values_list("pk", flat=True)[:batch])
    locked_ids(ShadowPair.objects.filter(pk__in=some))
    decisions = Decision.objects.filter(
        pk__in=list(
            Decision.objects.filter(pk__in=some)
            .order_by("pk")
            .select_for_update()
            .values_list("pk", flat=True)
        )
    )
    lines = list(totals(decisions.annotate(day=TruncDate("created_at", tzinfo=UTC)), *KEY))
    _, deleted = decisions.delete()
    for line in sorted(lines, key=lambda line: tuple(map(str, line.key))):
        _add(line)
    return deleted.get(Decision._meta.label, 0)


def _add(line: PrunedLine) -> None:
    key = dict(zip(KEY, line.key, strict=True))
    row, _ = PrunedTotal.objects.get_or_create(**key, defaults=PrunedSums()._asdict())
    sums = {column: F(column) + value for column, value in line.sums._asdict().items()}
    PrunedTotal.objects.filter(pk=row.pk).update(**sums)
