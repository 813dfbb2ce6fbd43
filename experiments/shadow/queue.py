"""Shadow pairs wait here: what was answered, sealed, until a background task works it off."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from django.db.models import F, Q, QuerySet, Sum, Value
from django.db.models.functions import Concat

from experiments.background.tasks import enqueue
from experiments.configuration.policy_store import store
from experiments.core.text import storable
from experiments.limits.budgets import OWN_KEY, spent_today
from experiments.models import BackgroundTask, Decision, OwnCall, ShadowPair
from experiments.models.lock_order import locked_ids
from experiments.storage.encryption import SealBrokenError, seal, unseal
from experiments.storage.transactions import run_transaction

Status = ShadowPair.Status

SHADOW_CALLS = "shadow_calls"
LONGEST_WAIT = timedelta(hours=1)
TRIED_AGAIN_AFTER = timedelta(seconds=30)
MOST_TOGETHER = 64
USED_UP = "budget_day"
INTERRUPTED = "interrupted"
INTERRUPTION = "Its process ended before what was asked was booked. Nothing is asked twice."


class ShadowCandidate(NamedTuple):
    """An answered call that `other` is to answer too: what it was asked, and what the user got."""

    decision: Decision
    model: str
    other: str
    body: Mapping[str, Any]
    answer: str


class Material(NamedTuple):
    """What a waiting pair needs, unsealed. `other` is the other model's answer, once it is here."""

    body: dict[str, Any]
    answer: str
    other: str | None = None


def queue(candidate: Sequence[ShadowCandidate]) -> None:
    """Stores what is to be asked, sealed, and sees that somebody asks. Once the day's budget is
    used up nothing is stored but that the call was not made."""
    now = datetime.now(UTC)
    expire(now)
    is_used_up = spent(now) >= store.current().shadowing.budget
    rows = [_row(each, now, is_used_up=is_used_up) for each in candidate]

    def write() -> None:
        if not is_used_up:
            task = _task(len(rows), now, Q(run_after__lte=now))
            for row in rows:
                row.task = task
        ShadowPair.objects.bulk_create(rows)

    run_transaction(write)


def expire(now: datetime) -> int:
    """Ends what nobody will work off any more, and forgets its prompts. Returns how many."""
    pairs, waiting = ShadowPair.objects, ShadowPair.objects.filter(status=Status.WAITING)
    late = waiting.filter(created_at__lt=now - LONGEST_WAIT)
    held_up = Concat(Value("Not worked off within an hour. "), F("detail"))
    lost = _lose(late.exclude(detail=""), now, held_up)
    lost += _lose(late, now, "Not worked off within an hour. Is `manage.py run_tasks` running?")
    open_tasks = Q(task__status__in=[BackgroundTask.Status.QUEUED, BackgroundTask.Status.RUNNING])
    dropped = waiting.exclude(open_tasks)
    lost += _lose(dropped, now, "Its background task was cancelled, or failed.")
    interrupted = pairs.filter(status=Status.ASKING).exclude(open_tasks)
    return lost + sum(_interrupt(pair, now) for pair in interrupted)


def end_interrupted(task_id: int, now: datetime) -> None:
    """Ends the pairs that somebody had begun to ask when this task was taken from him."""
    for pair in ShadowPair.objects.filter(task_id=task_id, status=Status.ASKING):
        _interrupt(pair, now)


def _lose(rows: "QuerySet[ShadowPair]", now: datetime, why: Any) -> int:
    if not rows.exists():  # as nearly always: then nothing waits for its turn to write
        return 0
    return run_transaction(
        lambda: ShadowPair.objects.filter(pk__in=locked_ids(rows)).update(
            status=Status.LOST, detail=why, ended_at=now, sealed=""
        )
    )


def _interrupt(pair: ShadowPair, now: datetime) -> int:
    """What was not booked counts as it was expected to cost: it stays charged to the day."""

    def write() -> int:
        asking = ShadowPair.objects.filter(pk=pair.pk, status=Status.ASKING)
        if not asking.update(status=Status.LOST, detail=INTERRUPTION, ended_at=now):
            return 0
        booked = pair.calls.aggregate(cost=Sum("cost"))["cost"] or 0
        OwnCall.objects.create(
            pair=pair,
            purpose=OwnCall.Purpose.SHADOW,
            model=pair.other_model,
            started_at=now,
            ended_ms=0.0,
            status=INTERRUPTED,
            estimated=True,
            cost=None if pair.charged is None else max(0, pair.charged - booked),
            error=INTERRUPTION,
        )
        return 1

    return run_transaction(write)


def spent(now: datetime) -> int:
    """Nano-dollars of own calls this UTC day, those under way included at their estimates."""
    return spent_today(OWN_KEY, now)


def waiting(task_id: int) -> list[ShadowPair]:
    rows = ShadowPair.objects.filter(task_id=task_id, status=Status.WAITING)
    return list(rows.select_related("decision").order_by("created_at"))


def material_of(pair: ShadowPair) -> Material:
    """Raises SealBrokenError."""
    try:
        data = orjson.loads(unseal(pair.sealed, LONGEST_WAIT))
    except orjson.JSONDecodeError:
        raise SealBrokenError("What was sealed cannot be read.") from None
    return Material(**data)


def put_back(pair: ShadowPair, material: Material, why: str) -> None:
    """A pair that was being asked waits again, with what is known so far."""
    ShadowPair.objects.filter(pk=pair.pk, status=Status.ASKING).update(
        status=Status.WAITING, sealed=_sealed(material, pair.created_at), charged=None, detail=why
    )


def hold_up(pairs: Sequence[ShadowPair], why: str) -> None:
    rows = ShadowPair.objects.filter(pk__in=[pair.pk for pair in pairs])
    run_transaction(lambda: rows.filter(pk__in=locked_ids(rows)).update(detail=why))


def defer(task_id: int, now: datetime) -> None:
    """Gives what still waits in this task to one that begins later."""
    left = ShadowPair.objects.filter(task_id=task_id, status=Status.WAITING)

    def write() -> None:
        if more := left.count():
            task = _task(more, now + TRIED_AGAIN_AFTER, Q(run_after__gt=now))
            left.filter(pk__in=locked_ids(left)).update(task=task)

    run_transaction(write)


def _sealed(material: Material, at: datetime) -> str:
    return seal(orjson.dumps(material._asdict()), at)


def _row(each: ShadowCandidate, now: datetime, *, is_used_up: bool) -> ShadowPair:
    row = ShadowPair(
        decision_id=each.decision.pk,
        domain=each.decision.domain,
        model=each.model,
        other_model=each.other,
        created_at=now,
    )
    if is_used_up:
        row.status, row.detail, row.ended_at = Status.SKIPPED, USED_UP, now
    else:
        row.sealed = _sealed(Material(dict(each.body), storable(each.answer)), now)
    return row


def _task(more: int, start: datetime, when: Q) -> BackgroundTask:
    """A task of that time that has not begun yet, while there is room in it; locked, so that it
    cannot begin without these pairs. Otherwise a new one."""
    tasks = BackgroundTask.objects.select_for_update(no_key=True).filter(
        when, name=SHADOW_CALLS, status=BackgroundTask.Status.QUEUED, cancel_requested=False
    )
    task = tasks.order_by("id").last()
    if task is not None and ShadowPair.objects.filter(task=task).count() + more <= MOST_TOGETHER:
        return task
    return enqueue(SHADOW_CALLS, {}, by="gateway", run_after=start)
