"""What became of chat calls: attempts, outcomes, what keys really used, circuits. Many at once."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import DatabaseError, InterfaceError

from experiments.core.parameters import Change
from experiments.core.usage import Usage
from experiments.models import Attempt, Decision
from experiments.services.budgets import Charge, Correction, correct
from experiments.services.circuits import CallResult, record
from experiments.services.learned_parameters import Refusal, remember
from experiments.services.outcomes import Answer, OutcomeReport, enter_outcomes, lock_decisions
from experiments.services.shadow_queue import Overheard, queue
from experiments.services.statements import insert_all
from experiments.services.transactions import run_transaction

log = logging.getLogger("switchyard.gateway")

OK = "ok"


class Attempted(NamedTuple):
    """One call of a model, as `experiments.models.Attempt` keeps it.

    `blames` says whether the call speaks about the model's health at all: a request the caller got
    wrong, or hung up on, does not.
    """

    model: str
    endpoint: str
    is_fallback: bool
    started_at: datetime
    ended_ms: float
    status: str
    first_token_ms: float | None = None
    http_status: int | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    estimated: bool = False
    cost: int | None = None
    error: str = ""
    changes: tuple[Change, ...] = ()
    blames: bool = True


class Settlement(NamedTuple):
    """One call that has ended. `cost` is that of all its attempts; None is unknown."""

    decision: Decision
    charge: Charge
    attempts: tuple[Attempted, ...]
    report: OutcomeReport
    model: str
    tokens: int
    cost: int | None
    usage: Usage | None = None
    shadow: Overheard | None = None
    refusals: tuple[Refusal, ...] = ()


def settle(settlements: Sequence[Settlement]) -> None:
    """Writes all of them in one transaction; where that fails, each in its own. What the other
    model is to answer too is queued after that."""
    try:
        _settle(settlements)
    except (DatabaseError, InterfaceError):
        if len(settlements) == 1:
            decision_id = str(settlements[0].decision.pk)
            log.exception("An outcome was lost", extra={"decision_id": decision_id})
            return
        for settlement in settlements:
            settle([settlement])
    else:
        _queue_shadows(settlements)
        _remember([refusal for each in settlements for refusal in each.refusals])


def _queue_shadows(settlements: Sequence[Settlement]) -> None:
    """A shadow call that cannot be queued costs nothing but itself."""
    overheard = [each.shadow for each in settlements if each.shadow is not None]
    if not overheard:
        return
    try:
        queue(overheard)
    except Exception:
        log.exception("Shadow calls were not queued", extra={"count": len(overheard)})


def _remember(refusals: Sequence[Refusal]) -> None:
    """What is not remembered is found again by the next call."""
    try:
        remember(refusals, datetime.now(UTC))
    except Exception:
        log.exception("Refused parameters were not remembered", extra={"count": len(refusals)})


def _settle(settlements: Sequence[Settlement]) -> None:
    now = datetime.now(UTC)
    reports = {each.decision.pk: each.report for each in settlements}
    answers = {each.decision.pk: Answer(each.model, each.cost, each.usage) for each in settlements}
    decisions = {each.decision.pk: each.decision for each in settlements}

    def write() -> None:
        correct(Correction(each.charge, each.tokens, each.cost) for each in settlements)
        known = lock_decisions(reports, decisions)
        insert_all(
            [row for each in settlements if each.decision.pk in known for row in _rows(each)]
        )
        enter_outcomes(known, reports, now, answers)
        record([result for each in settlements for result in _results(each)], now)

    run_transaction(write)


def _rows(settlement: Settlement) -> list[Attempt]:
    return [
        Attempt(decision_id=settlement.decision.pk, number=number, **_columns(attempt))
        for number, attempt in enumerate(settlement.attempts, start=1)
    ]


def _columns(attempt: Attempted) -> Mapping[str, object]:
    values = attempt._asdict()
    del values["blames"]
    return {**values, "changes": [change._asdict() for change in attempt.changes]}


def _results(settlement: Settlement) -> list[CallResult]:
    return [
        CallResult(attempt.model, attempt.status != OK, attempt.error or attempt.status)
        for attempt in settlement.attempts
        if attempt.blames
    ]
