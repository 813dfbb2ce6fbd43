"""Chat calls in flight: recorded on admission, removed on settlement.

If a process dies, `sweep_abandoned_calls` settles its calls as estimated: the key stays charged
with the reservation, one attempt records the reason, and the outcome has no tokens, because they
are unknown. If the process was alive after all, its later settlement replaces the estimate."""

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

from experiments.decisions.outcomes import OutcomeReport, enter_outcomes, lock_decisions
from experiments.gateway import processes
from experiments.limits.quotas import Reservation
from experiments.models import Attempt, Decision, InFlightCall
from experiments.storage.bulk_sql import Insertion, appended, delete, insert_all, present
from experiments.storage.transactions import (
    ConcurrentUpdateError,
    is_unavailable,
    run_transaction,
    write_each,
)

log = logging.getLogger("switchyard.gateway")

INTERRUPTED = "interrupted"
PROCESS_ENDED = "The process that served the call ended before its outcome was recorded."
NOT_STORED = "The database refused the call's outcome."
BATCH = 200


def begin(process: UUID, calls: Iterable[tuple[Decision, Reservation]]) -> Insertion:
    """The rows of admitted calls, to be written with their decisions."""
    return appended(
        InFlightCall,
        [
            {
                "decision_id": decision.pk,
                "process_id": process,
                "started_at": decision.created_at,
                "key_id": charge.key_id,
                "by_minute": charge.limits.by_minute,
                "tokens": charge.tokens,
                "cost": charge.cost,
            }
            for decision, charge in calls
        ],
    )


def in_flight_among(ids: Collection[UUID]) -> set[UUID]:
    return set(present(InFlightCall, "decision_id", sorted(ids)))


def interrupted_among(ids: Collection[UUID]) -> set[UUID]:
    """Calls that a sweep has settled as estimated."""
    if not ids:
        return set()
    rows = Attempt.objects.filter(decision_id__in=ids, status=INTERRUPTED)
    return set(rows.values_list("decision_id", flat=True))


def remove(ids: Collection[UUID]) -> None:
    """Raises ConcurrentUpdateError if another transaction has removed one of them."""
    if delete(InFlightCall, "decision_id", sorted(ids)) != len(ids):
        raise ConcurrentUpdateError("A call in flight was settled at the same time.")


def release(serving: Collection[UUID], begun_before: datetime) -> int:
    """Releases calls that this process no longer serves to the next sweep; returns how many.
    They arise when the database's reply to their admission is lost."""
    rows = InFlightCall.objects.filter(
        process_id=processes.own().id, started_at__lt=begun_before
    ).values_list("pk", flat=True)
    lost = sorted(set(rows) - set(serving))
    if lost:
        left = InFlightCall.objects.filter(pk__in=lost)
        run_transaction(lambda: left.update(process_id=None))
    return len(lost)


def sweep_abandoned_calls() -> int:
    """Settles the calls of dead processes as estimated; returns how many. Safe to run anywhere,
    any number of times: it never touches a call of a living process."""
    serving = InFlightCall.objects.order_by().values_list("process_id", flat=True).distinct()
    ids = set(serving)
    dead = processes.dead_among({pk for pk in ids if pk is not None})
    settled = 0
    for process in [None, *dead] if None in ids else dead:
        settled += _settle_all(process)
    if settled:
        log.warning("Abandoned calls were settled as estimated", extra={"count": settled})
    processes.forget_dead()
    return settled


def settle_as_estimated(calls: Sequence[InFlightCall], why: str) -> list[None]:
    """In one transaction. A pruned decision has nothing to settle."""

    def write() -> None:
        by_id = {call.pk: call for call in calls}
        decisions = lock_decisions(by_id)
        if in_flight_among(by_id) != by_id.keys():
            raise ConcurrentUpdateError("A call in flight was settled at the same time.")
        insert_all([_attempt(row, by_id[pk], why) for pk, row in decisions.items()])
        remove(by_id)
        reports = {pk: OutcomeReport(by_id[pk].started_at, error=why) for pk in decisions}
        enter_outcomes(decisions, reports, datetime.now(UTC))

    run_transaction(write)
    return [None] * len(calls)


def _settle_all(process: UUID | None) -> int:
    settled = 0
    for calls in _batches(process):
        for call, error in zip(
            calls, write_each(calls, lambda some: settle_as_estimated(some, PROCESS_ENDED)),
            strict=True,
        ):  # fmt: skip
            if error is None:
                settled += 1
            elif is_unavailable(error):
                raise error
            else:
                log.error(
                    "An abandoned call could not be settled",
                    extra={"decision_id": str(call.pk)},
                    exc_info=error,
                )
    return settled


def _batches(process: UUID | None) -> Iterator[list[InFlightCall]]:
    """One at a time by id, so that a call that cannot be settled does not block the others."""
    rows = InFlightCall.objects.filter(process_id=process).order_by("pk")
    calls = list(rows[:BATCH])
    while calls:
        yield calls
        calls = list(rows.filter(pk__gt=calls[-1].pk)[:BATCH])


def _attempt(row: Decision, call: InFlightCall, why: str) -> Attempt:
    return Attempt(
        decision_id=row.pk,
        number=1,
        model=row.model,
        is_fallback=False,
        started_at=call.started_at,
        ended_ms=0.0,
        status=INTERRUPTED,
        input_tokens=row.input_tokens,
        output_tokens=max(0, call.tokens - row.input_tokens),
        estimated=True,
        cost=call.cost,
        error=why,
    )
