"""The queue of shadow pairs: prompt and answer, encrypted, until a background task processes
them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from django.db.models import F, Q, QuerySet, Sum, Value
from django.db.models.functions import Concat

from experiments.analysis.learning.schedule import PAIRS_AT_FULL_RATE
from experiments.background.tasks import enqueue
from experiments.configuration.policy_store import store
from experiments.core.policy import Policy
from experiments.core.shadowing import is_shadowed, shadow_odds
from experiments.core.text import storable
from experiments.limits.key_usage import spent_today
from experiments.limits.quotas import OWN_KEY
from experiments.models import BackgroundTask, Decision, OwnCall, ShadowPair
from experiments.models.lock_order import locked_ids
from experiments.storage.encryption import SealBrokenError, seal, unseal
from experiments.storage.transactions import run_transaction

Status = ShadowPair.PairStatus

SHADOW_CALLS = "shadow_calls"
LONGEST_WAIT = timedelta(hours=1)
TRIED_AGAIN_AFTER = timedelta(seconds=30)
MOST_TOGETHER = 64
USED_UP = "budget_day"
INTERRUPTED = "interrupted"
INTERRUPTION = "Its process ended before its calls were recorded. No call is repeated."


class ShadowCandidate(NamedTuple):
    """An answered call to repeat with `other`: its request, the answer the user received, and the
    part of the request that routers score."""

    decision: Decision
    model: str
    other: str
    body: Mapping[str, Any]
    answer: str
    text: str = ""


class Material(NamedTuple):
    """The decrypted data of a waiting pair. `other` is the other model's answer, once it has
    arrived."""

    body: dict[str, Any]
    answer: str
    other: str | None = None
    text: str = ""


def queue(candidates: Sequence[ShadowCandidate]) -> None:
    """Stores each pair that is still drawn, encrypted, and queues a task for them. Once a daily
    budget is spent, only the fact that the call was not made is stored."""
    now, policy = datetime.now(UTC), store.current()
    expire(now)
    used_up = spent(now) >= policy.shadowing.budget
    enough = {each.decision.domain: has_enough_pairs(each.decision.domain) for each in candidates}
    rows = []
    for each in candidates:
        domain = each.decision.domain
        odds = shadow_odds(policy, domain, enough_pairs=enough[domain])
        if is_shadowed(policy, domain, str(each.decision.pk), enough_pairs=enough[domain]):
            stops = used_up or is_used_up(policy, domain, now)
            rows.append(_row(each, now, odds, is_used_up=stops))
    waits = [row for row in rows if row.status == Status.WAITING]

    def write() -> None:
        if waits:
            task = _task(len(waits), now, Q(run_after__lte=now))
            for row in waits:
                row.task = task
        ShadowPair.objects.bulk_create(rows)

    if rows:
        run_transaction(write)


def has_enough_pairs(domain: str) -> bool:
    """Whether the domain has its 400 judged pairs: from then on, learning draws half as many."""
    judged = ShadowPair.objects.filter(domain=domain, status=Status.JUDGED).order_by()
    return judged[PAIRS_AT_FULL_RATE - 1 : PAIRS_AT_FULL_RATE].exists()


def is_used_up(policy: Policy, domain: str, now: datetime) -> bool:
    """Whether the domain's own daily budget is spent; the one of all domains is checked apart."""
    found = policy.domains.get(domain)
    if found is None or found.learning_budget is None:
        return False
    return spent_in(domain, now) >= found.learning_budget


def spent_in(domain: str, now: datetime) -> int:
    """Nano-dollars of this UTC day's pairs of a domain, calls in flight at their estimates."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    today = ShadowPair.objects.filter(domain=domain, created_at__gte=midnight)
    booked = today.aggregate(cost=Sum("calls__cost"))["cost"] or 0
    running = today.filter(status=Status.ASKING).aggregate(cost=Sum("charged"))["cost"] or 0
    return int(booked + running)


def expire(now: datetime) -> int:
    """Ends pairs that no task will process any more, and deletes their prompts. Returns how
    many."""
    pairs, waiting = ShadowPair.objects, ShadowPair.objects.filter(status=Status.WAITING)
    late = waiting.filter(created_at__lt=now - LONGEST_WAIT)
    held_up = Concat(Value("Not processed within an hour. "), F("detail"))
    lost = _lose(late.exclude(detail=""), now, held_up)
    lost += _lose(late, now, "Not processed within an hour. Is `manage.py run_tasks` running?")
    open_tasks = Q(
        task__status__in=[BackgroundTask.TaskStatus.QUEUED, BackgroundTask.TaskStatus.RUNNING]
    )
    dropped = waiting.exclude(open_tasks)
    lost += _lose(dropped, now, "Its background task was cancelled, or failed.")
    interrupted = pairs.filter(status=Status.ASKING).exclude(open_tasks)
    return lost + sum(_interrupt(pair, now) for pair in interrupted)


def end_interrupted(task_id: int, now: datetime) -> None:
    """Ends the pairs that a previous worker had started when it lost this task."""
    for pair in ShadowPair.objects.filter(task_id=task_id, status=Status.ASKING):
        _interrupt(pair, now)


def _lose(rows: "QuerySet[ShadowPair]", now: datetime, why: Any) -> int:
    if not rows.exists():  # the usual case: then there is no wait for the write lock
        return 0
    return run_transaction(
        lambda: ShadowPair.objects.filter(pk__in=locked_ids(rows)).update(
            status=Status.LOST, detail=why, ended_at=now, sealed=""
        )
    )


def _interrupt(pair: ShadowPair, now: datetime) -> int:
    """Calls that were not recorded count at their estimated cost: it stays charged to the day."""

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
            charged_at=pair.charged_at,
            reserved=pair.charged,
            error=INTERRUPTION,
        )
        return 1

    return run_transaction(write)


def spent(now: datetime) -> int:
    """Nano-dollars of Switchyard's own calls this UTC day, calls in flight at their estimates."""
    return spent_today(OWN_KEY, now)


def waiting(task_id: int) -> list[ShadowPair]:
    rows = ShadowPair.objects.filter(task_id=task_id, status=Status.WAITING)
    return list(rows.select_related("decision").order_by("created_at"))


def material_of(pair: ShadowPair) -> Material:
    """Raises SealBrokenError."""
    try:
        data = orjson.loads(unseal(pair.sealed, LONGEST_WAIT))
    except orjson.JSONDecodeError:
        raise SealBrokenError("The stored prompt cannot be decrypted.") from None
    return Material(**data)


def put_back(pair: ShadowPair, material: Material, why: str) -> None:
    """Returns a started pair to the queue, with the results so far."""
    ShadowPair.objects.filter(pk=pair.pk, status=Status.ASKING).update(
        status=Status.WAITING,
        sealed=_sealed(material, pair.created_at),
        charged=None,
        charged_at=None,
        detail=why,
    )


def hold_up(pairs: Sequence[ShadowPair], why: str) -> None:
    rows = ShadowPair.objects.filter(pk__in=[pair.pk for pair in pairs])
    run_transaction(lambda: rows.filter(pk__in=locked_ids(rows)).update(detail=why))


def defer(task_id: int, now: datetime) -> None:
    """Moves the waiting pairs of this task to a later one."""
    left = ShadowPair.objects.filter(task_id=task_id, status=Status.WAITING)

    def write() -> None:
        if more := left.count():
            task = _task(more, now + TRIED_AGAIN_AFTER, Q(run_after__gt=now))
            left.filter(pk__in=locked_ids(left)).update(task=task)

    run_transaction(write)


def _sealed(material: Material, at: datetime) -> str:
    return seal(orjson.dumps(material._asdict()), at)


def _row(each: ShadowCandidate, now: datetime, odds: float, *, is_used_up: bool) -> ShadowPair:
    row = ShadowPair(
        decision_id=each.decision.pk,
        domain=each.decision.domain,
        model=each.model,
        other_model=each.other,
        created_at=now,
        odds=odds,
    )
    if is_used_up:
        row.status, row.detail, row.ended_at = Status.SKIPPED, USED_UP, now
    else:
        row.sealed = _sealed(_material(each), now)
    return row


def _material(each: ShadowCandidate) -> Material:
    return Material(dict(each.body), storable(each.answer), text=storable(each.text))


def _task(more: int, start: datetime, when: Q) -> BackgroundTask:
    """A task for that time that has not begun and has room; locked, so that it cannot begin
    without these pairs. Otherwise a new one."""
    tasks = BackgroundTask.objects.select_for_update(no_key=True).filter(
        when, name=SHADOW_CALLS, status=BackgroundTask.TaskStatus.QUEUED, cancel_requested=False
    )
    task = tasks.order_by("id").last()
    if task is not None and ShadowPair.objects.filter(task=task).count() + more <= MOST_TOGETHER:
        return task
    return enqueue(SHADOW_CALLS, {}, by="gateway", run_after=start)
