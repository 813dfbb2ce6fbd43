"""Database writes for shadow pairs: admits and records calls, and ends each pair once.

`experiments.gateway.shadow_worker` makes the calls; this module does all its writes."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple
from uuid import UUID

from experiments.configuration.policy_store import store
from experiments.core.judging import METRIC
from experiments.core.text import storable
from experiments.decisions.attempts import OK, Attempted
from experiments.decisions.outcomes import FeedbackOffError, Rating, record_feedback
from experiments.decisions.unit_totals import JUDGE
from experiments.limits import circuit_breakers
from experiments.limits.budgets import UsageCorrection, reconcile, reserve
from experiments.limits.circuit_breakers import CallResult
from experiments.limits.quotas import OWN_KEY, Limits, OverLimitError, QuotaStatus, Reservation
from experiments.models import LearningInput, OwnCall, ShadowPair
from experiments.models.lock_order import locked_ids
from experiments.shadow.datasets import feed
from experiments.shadow.queue import INTERRUPTED, Material, put_back
from experiments.storage.transactions import run_transaction

log = logging.getLogger("switchyard.shadows")

Status = ShadowPair.PairStatus


class Own(NamedTuple):
    """One of our calls, to be recorded. The last three fields are the judge's."""

    pair: ShadowPair
    purpose: OwnCall.Purpose
    attempts: tuple[Attempted, ...]
    given_first: bool | None = None
    winner: str = ""
    criterion: str = ""
    reason: str = ""


class Waiting(NamedTuple):
    """A pair that goes back to the queue, with what its calls used so far."""

    pair: ShadowPair
    material: Material
    why: str
    charge: Reservation | None
    tokens: int
    cost: int | None


class Ending(NamedTuple):
    """How a pair ends, and what its calls used in total; None if one has no price.
    `learning_input` is what a domain that learns keeps of the prompt."""

    pair: ShadowPair
    status: ShadowPair.PairStatus
    charge: Reservation | None = None
    tokens: int = 0
    cost: int | None = 0
    detail: str = ""
    answer: str = ""
    other_answer: str | None = None
    judge_model: str = ""
    revision: int | None = None
    preference: float | None = None
    learning_input: LearningInput | None = None


def charge_for(at: datetime, tokens: int, cost: int | None) -> Reservation:
    """The expected usage of a pair, under the current daily budget."""
    return Reservation(OWN_KEY, Limits(day=store.current().shadowing.budget), at, tokens, cost)


def begin(claims: Mapping[UUID, Reservation]) -> dict[UUID, str]:
    """Marks the pairs that the budget covers as started, and charges them. For each, "" or the
    reason it was not started; pairs that another task has started or ended are left out.

    Committed before any call: no pair is ever called twice."""
    waiting = ShadowPair.objects.filter(pk__in=claims, status=Status.WAITING)

    def write() -> dict[UUID, QuotaStatus | OverLimitError]:
        ours = locked_ids(waiting)
        answers = dict(zip(ours, reserve([claims[pk] for pk in ours]), strict=True))
        for pk, answer in answers.items():
            if isinstance(answer, QuotaStatus):
                ShadowPair.objects.filter(pk=pk).update(
                    status=Status.ASKING,
                    sealed="",
                    charged=claims[pk].cost,
                    charged_at=claims[pk].at,
                    detail="",
                )
        return answers

    answers = run_transaction(write)
    return {pk: a.code if isinstance(a, OverLimitError) else "" for pk, a in answers.items()}


def book(calls: Iterable[Own]) -> None:
    """Records calls, their cost and their effect on the models' circuit breakers."""
    calls = list(calls)
    now = datetime.now(UTC)
    results = [
        CallResult(attempt.model, attempt.status != OK, attempt.error or attempt.status)
        for call in calls
        for attempt in call.attempts
        if attempt.counts_for_breaker
    ]

    def write() -> None:
        OwnCall.objects.bulk_create([row for call in calls for row in _calls(call)])
        if results:
            circuit_breakers.record(results, now)

    run_transaction(write)


def wait(waiting: Iterable[Waiting]) -> None:
    """Returns pairs to the queue whose model cannot be called now."""
    for each in waiting:
        run_transaction(partial(_wait, each))


def _wait(each: Waiting) -> None:
    put_back(each.pair, each.material, each.why)
    _correct(each.charge, each.tokens, each.cost)


def end(endings: Iterable[Ending]) -> None:
    """Ends each pair once, in its own transaction, with everything that follows from its
    verdict."""
    for ending in endings:
        run_transaction(partial(_end, ending, datetime.now(UTC)))


def _end(ending: Ending, now: datetime) -> None:
    pair = ending.pair
    keeps_text = pair.decision.text is not None
    ended = ShadowPair.objects.filter(pk=pair.pk, status__in=ShadowPair.OPEN).update(
        status=ending.status,
        detail=ending.detail[:300],
        ended_at=now,
        sealed="",
        answer=storable(ending.answer) if keeps_text else None,
        other_answer=storable(ending.other_answer or "") if keeps_text else None,
        judge_model=ending.judge_model,
        revision=ending.revision,
        preference=ending.preference,
    )
    _correct(ending.charge, ending.tokens, ending.cost)
    if not ended:  # its process was taken for dead; its calls are recorded as they were
        OwnCall.objects.filter(pair_id=pair.pk, status=INTERRUPTED).delete()
    elif ending.preference is not None:
        _rate(pair.pk, ending.preference, now)
        feed(pair, ending.preference)
        if ending.learning_input is not None:
            LearningInput.objects.bulk_create([ending.learning_input], ignore_conflicts=True)


def _correct(charge: Reservation | None, tokens: int, cost: int | None) -> None:
    if charge is not None:
        reconcile([UsageCorrection(charge, tokens, cost)])


def _rate(decision_id: UUID, preference: float, now: datetime) -> None:
    """The verdict as a rating of its own metric. If feedback is off, only the pair stores it."""
    try:
        record_feedback([Rating(decision_id, METRIC, preference, JUDGE, now)], now)
    except FeedbackOffError:
        log.warning(
            "A verdict is not stored as a rating: feedback is off",
            extra={"decision_id": decision_id},
        )


def _calls(call: Own) -> Iterator[OwnCall]:
    keeps_text = call.pair.decision.text is not None
    for attempt in call.attempts:
        is_verdict = attempt is call.attempts[-1] and bool(call.winner)
        yield OwnCall(
            pair=call.pair,
            purpose=call.purpose,
            model=attempt.model,
            endpoint=attempt.endpoint,
            started_at=attempt.started_at,
            ended_ms=attempt.ended_ms,
            status=attempt.status,
            input_tokens=attempt.input_tokens,
            output_tokens=attempt.output_tokens,
            estimated=attempt.estimated,
            cost=attempt.cost,
            charged_at=call.pair.charged_at,
            reserved=call.pair.charged,
            error=storable(attempt.error)[:500],
            given_first=call.given_first,
            winner=call.winner if is_verdict else "",
            criterion=call.criterion if is_verdict else "",
            reason=storable(call.reason) if is_verdict and keeps_text else "",
        )
