"""Shadow pairs wait here: what was answered, sealed, until a background task works it off."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from django.db.models import Q

from experiments.models import BackgroundTask, Decision, KeyUsage, ShadowPair
from experiments.services.budgets import DAY
from experiments.services.policies import store
from experiments.services.sealing import SealBrokenError, seal, unseal
from experiments.services.storing import storable
from experiments.services.tasks import SHADOW_CALLS, enqueue
from experiments.services.turns import write_transaction

Status = ShadowPair.Status

OWN_KEY = 0  # whom own calls are charged to: no API key has this number
LONGEST_WAIT = timedelta(hours=1)
MOST_TOGETHER = 64
USED_UP = "budget_day"


class Overheard(NamedTuple):
    """An answered call that `other` is to answer too: what it was asked, and what the user got."""

    decision: Decision
    model: str
    other: str
    body: Mapping[str, Any]
    answer: str


class Material(NamedTuple):
    """What a waiting pair needs, unsealed."""

    body: dict[str, Any]
    answer: str


def queue(overheard: Sequence[Overheard]) -> None:
    """Stores what is to be asked, sealed, and sees that somebody asks. Once the day's budget is
    used up nothing is stored but that the call was not made."""
    now = datetime.now(UTC)
    with write_transaction():
        expire(now)
        is_used_up = spent(now) >= store.current().shadowing.budget
        rows = [_row(each, now, is_used_up=is_used_up) for each in overheard]
        if not is_used_up:
            task = _task(len(rows))
            for row in rows:
                row.task = task
        ShadowPair.objects.bulk_create(rows)


def expire(now: datetime) -> int:
    """Ends what nobody will work off any more, and forgets its prompts. Returns how many."""
    waiting = ShadowPair.objects.filter(status=Status.WAITING)
    late = waiting.filter(created_at__lt=now - LONGEST_WAIT)
    lost = _lose(late, now, "Not worked off within an hour. Is `manage.py run_tasks` running?")
    open_tasks = Q(task__status__in=[BackgroundTask.Status.QUEUED, BackgroundTask.Status.RUNNING])
    dropped = waiting.exclude(open_tasks)
    return lost + _lose(dropped, now, "Its background task was cancelled, or failed.")


def _lose(rows: Any, now: datetime, why: str) -> int:
    return int(rows.update(status=Status.LOST, detail=why, ended_at=now, sealed=""))


def spent(now: datetime) -> int:
    """Nano-dollars of own calls this UTC day, those under way included at their estimates."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    row = KeyUsage.objects.filter(key_id=OWN_KEY, span=DAY, starts_at=day).first()
    return row.cost if row else 0


def waiting(task_id: int) -> list[ShadowPair]:
    rows = ShadowPair.objects.filter(task_id=task_id, status=Status.WAITING)
    return list(rows.select_related("decision").order_by("created_at"))


def material_of(pair: ShadowPair) -> Material:
    """Raises SealBrokenError."""
    try:
        data = orjson.loads(unseal(pair.sealed, LONGEST_WAIT))
    except orjson.JSONDecodeError:
        raise SealBrokenError("What was sealed cannot be read.") from None
    return Material(data["body"], data["answer"])


def _row(each: Overheard, now: datetime, *, is_used_up: bool) -> ShadowPair:
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
        row.sealed = seal(orjson.dumps({"body": each.body, "answer": storable(each.answer)}))
    return row


def _task(more: int) -> BackgroundTask:
    """The task that has not begun yet, while there is room in it; locked, so that it cannot begin
    without these pairs."""
    tasks = BackgroundTask.objects.select_for_update().filter(
        name=SHADOW_CALLS, status=BackgroundTask.Status.QUEUED, cancel_requested=False
    )
    task = tasks.order_by("id").last()
    if task is not None and ShadowPair.objects.filter(task=task).count() + more <= MOST_TOGETHER:
        return task
    return enqueue(SHADOW_CALLS, {}, by="gateway")
