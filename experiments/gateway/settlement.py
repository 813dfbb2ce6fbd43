"""Settles chat calls in batches: attempts, outcomes, actual usage of keys, circuit breakers."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from django.db import OperationalError

from experiments.core.usage import Usage
from experiments.decisions.attempts import OK, Attempted
from experiments.decisions.outcomes import (
    FinalCall,
    OutcomeReport,
    enter_outcomes,
    lock_decisions,
)
from experiments.gateway.in_flight import (
    INTERRUPTED,
    NOT_STORED,
    in_flight_among,
    interrupted_among,
    remove,
    settle_as_estimated,
)
from experiments.limits.budgets import UsageCorrection, reconcile
from experiments.limits.circuit_breakers import CallResult, record
from experiments.limits.learned_parameters import ParameterRefusal, remember
from experiments.limits.quotas import Reservation
from experiments.models import Attempt, Decision, InFlightCall
from experiments.shadow.queue import ShadowCandidate, queue
from experiments.storage.bulk_sql import Row, appended, run
from experiments.storage.transactions import (
    is_conflict,
    is_over_limit,
    is_unavailable,
    run_transaction,
    write_each,
)

log = logging.getLogger("switchyard.gateway")


class Settlement(NamedTuple):
    """One call that has ended. `cost` is that of all its attempts; None means unknown."""

    decision: Decision
    charge: Reservation
    attempts: tuple[Attempted, ...]
    report: OutcomeReport
    model: str
    tokens: int
    cost: int | None
    usage: Usage | None = None
    shadow: ShadowCandidate | None = None
    refusals: tuple[ParameterRefusal, ...] = ()


def settle(settlements: Sequence[Settlement]) -> list[Settlement]:
    """Records all of them in one transaction or, if that fails, each in its own. Returns those that
    are not recorded and must be settled later.

    An outcome that the database refuses permanently is recorded as estimated, so none is lost.
    Shadow calls are queued last."""
    left: list[Settlement] = []
    recorded: list[Settlement] = []
    for each, error in zip(settlements, write_each(settlements, _write), strict=True):
        if error is None:
            recorded.append(each)
        elif _may_pass(error) or not _is_estimated(each, error):
            left.append(each)
    _queue_shadows(recorded)
    _remember([refusal for each in recorded for refusal in each.refusals])
    return left


def abandoned(admitted_decision: Decision, charge: Reservation) -> Settlement:
    """The caller disconnected before a model was called: nothing was used."""
    report = OutcomeReport(datetime.now(UTC), error="The client disconnected.")
    return Settlement(admitted_decision, charge, (), report, admitted_decision.model, 0, 0)


def _may_pass(error: Exception) -> bool:
    """Whether the database may accept the same rows later. Values beyond its limits are never
    accepted."""
    if is_unavailable(error) or is_conflict(error):
        return True
    return isinstance(error, OperationalError) and not is_over_limit(error)


def _is_estimated(settlement: Settlement, error: Exception) -> bool:
    """For errors that a retry cannot fix: the outcome is kept as estimated, and the log has the
    reason."""
    decision_id = settlement.decision.pk
    log.error("An outcome was refused", exc_info=error, extra={"decision_id": str(decision_id)})
    try:
        settle_as_estimated(list(InFlightCall.objects.filter(pk=decision_id)), NOT_STORED)
    except Exception:
        log.exception("An outcome could not be estimated", extra={"decision_id": str(decision_id)})
        return False
    return True


def _queue_shadows(settlements: Sequence[Settlement]) -> None:
    """If a shadow call cannot be queued, only that shadow call is lost."""
    candidate = [each.shadow for each in settlements if each.shadow is not None]
    if not candidate:
        return
    try:
        queue(candidate)
    except Exception:
        log.exception("Shadow calls were not queued", extra={"count": len(candidate)})


def _remember(refusals: Sequence[ParameterRefusal]) -> None:
    """A parameter that is not stored is detected again by the next call."""
    try:
        remember(refusals, datetime.now(UTC))
    except Exception:
        log.exception("Refused parameters were not remembered", extra={"count": len(refusals)})


def _write(settlements: Sequence[Settlement]) -> list[None]:
    run_transaction(lambda: _enter(settlements))
    return [None] * len(settlements)


def _enter(settlements: Sequence[Settlement]) -> None:
    """A call that is no longer in flight was recorded before, unless a sweep took its process
    for dead: then the actual outcome replaces the estimate."""
    by_id = {each.decision.pk: each for each in settlements}
    in_flight = in_flight_among(by_id)
    interrupted = interrupted_among(by_id.keys() - in_flight)
    ours = {pk: each for pk, each in by_id.items() if pk in in_flight | interrupted}
    if not ours:
        return
    reconcile(UsageCorrection(each.charge, each.tokens, each.cost) for each in ours.values())
    known = lock_decisions(ours, {pk: each.decision for pk, each in ours.items()})
    if interrupted:
        Attempt.objects.filter(decision_id__in=interrupted, status=INTERRUPTED).delete()
    rows = [row for pk, each in ours.items() if pk in known for row in _rows(each)]
    run([appended(Attempt, rows)] if rows else [])
    remove(in_flight)
    _enter_outcomes(known, ours)
    record([result for each in ours.values() for result in _results(each)], datetime.now(UTC))


def _enter_outcomes(known: Mapping[UUID, Decision], settlements: Mapping[UUID, Settlement]) -> None:
    reports = {pk: each.report for pk, each in settlements.items()}
    answers = {pk: FinalCall(each.model, each.cost, each.usage) for pk, each in settlements.items()}
    enter_outcomes(known, reports, datetime.now(UTC), answers)


def _rows(settlement: Settlement) -> list[Row]:
    return [
        {"decision_id": settlement.decision.pk, "number": number, **_columns(attempt)}
        for number, attempt in enumerate(settlement.attempts, start=1)
    ]


def _columns(attempt: Attempted) -> Row:
    values = attempt._asdict()
    del values["counts_for_breaker"]
    values["changes"] = [change._asdict() for change in attempt.changes]
    return values


def _results(settlement: Settlement) -> list[CallResult]:
    return [
        CallResult(attempt.model, attempt.status != OK, attempt.error or attempt.status)
        for attempt in settlement.attempts
        if attempt.counts_for_breaker
    ]
