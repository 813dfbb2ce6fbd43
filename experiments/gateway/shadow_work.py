"""The background work on shadow pairs: ask the other model, have the judge compare, end the pair.

Step by step for a few pairs together, so that what was paid for is booked before anything else is
asked. A task that is taken up again asks anew for the pairs that had not ended.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from experiments.core.costs import estimate_tokens
from experiments.core.judging import (
    MalformedVerdictError,
    Verdict,
    judge_messages,
    preference,
    read_verdict,
)
from experiments.core.money import price_on
from experiments.core.policy import Policy
from experiments.gateway.aside import Asides, Question, Reply
from experiments.models import OwnCall, ShadowPair
from experiments.services import circuits, shadows
from experiments.services.budgets import Charge
from experiments.services.policies import store
from experiments.services.sealing import SealBrokenError
from experiments.services.shadow_queue import Material, expire, material_of, waiting
from experiments.services.shadows import Ending, Own
from experiments.services.tasks import Running

TOGETHER = 16
MOST_TRIES = 3
VERDICT_TOKENS = 120
Status, Purpose, Winner = ShadowPair.Status, OwnCall.Purpose, OwnCall.Winner
WORDS = {
    "budget_day": "The day's budget is used up.",
    "unpriced_model": "A model has no price, so the budget cannot be kept.",
}


def work(running: Running) -> dict[str, Any]:
    """Works off the pairs of this task. Raises TaskCancelledError."""
    expire(datetime.now(UTC))
    pairs = waiting(running.row.pk)
    with Asides() as asides:
        for number, some in enumerate(_batched(pairs), start=1):
            _work_off([_Case(pair) for pair in some], asides)
            running.advance(min(number * TOGETHER, len(pairs)), len(pairs))
    ended = ShadowPair.objects.filter(task_id=running.row.pk)
    return {status: n for status in Status if (n := ended.filter(status=status).count())}


def _batched(pairs: Sequence[ShadowPair]) -> Iterator[Sequence[ShadowPair]]:
    return iter(pairs[at : at + TOGETHER] for at in range(0, len(pairs), TOGETHER))


class Order(Enum):
    """Which answer the judge reads first."""

    GIVEN_FIRST = 1
    OTHER_FIRST = 2


class _Case:
    """One pair on its way to its end."""

    def __init__(self, pair: ShadowPair) -> None:
        self.pair = pair
        self.material = Material({}, "")
        self.charge: Charge | None = None
        self.other: str | None = None
        self.verdicts: dict[Order, Verdict] = {}
        self.problem = ""
        self.replies: list[Reply] = []
        self.status: ShadowPair.Status | None = None
        self.detail = ""
        self.judge = ""
        self.revision: int | None = None

    def stop(self, status: ShadowPair.Status, detail: str = "") -> None:
        self.status, self.detail = status, detail

    @property
    def is_open(self) -> bool:
        return self.status is None

    def ending(self) -> Ending:
        costs = [reply.cost for reply in self.replies]
        known = [cost for cost in costs if cost is not None]
        is_judged = self.status is Status.JUDGED
        return Ending(
            pair=self.pair,
            status=self.status or Status.FAILED,
            charge=self.charge,
            tokens=sum(reply.tokens for reply in self.replies),
            cost=sum(known) if len(known) == len(costs) else None,
            detail=self.detail,
            answer=self.material.answer,
            other_answer=self.other,
            judge_model=self.judge,
            revision=self.revision,
            preference=self._preference() if is_judged else None,
        )

    def _preference(self) -> float:
        return preference(self.verdicts[Order.GIVEN_FIRST], self.verdicts[Order.OTHER_FIRST])


def _work_off(cases: Sequence[_Case], asides: Asides) -> None:
    policy = store.current()
    _unseal(cases)
    _admit(policy, _open(cases))
    _shadow(policy, _open(cases), asides)
    _judge(policy, _open(cases), asides)
    shadows.end(case.ending() for case in cases)


def _open(cases: Sequence[_Case]) -> list[_Case]:
    return [case for case in cases if case.is_open]


def _unseal(cases: Sequence[_Case]) -> None:
    for case in cases:
        try:
            case.material = material_of(case.pair)
        except SealBrokenError as error:
            case.stop(Status.LOST, str(error))


def _admit(policy: Policy, cases: Sequence[_Case]) -> None:
    charges = [_charge(policy, case) for case in cases]
    for case, charge, refusal in zip(cases, charges, shadows.admit(charges), strict=True):
        if refusal:
            case.stop(Status.SKIPPED, WORDS.get(refusal, refusal))
        else:
            case.charge = charge


def _charge(policy: Policy, case: _Case) -> Charge:
    """The other model's usual answer, and two verdicts that read everything."""
    row, now = case.pair.decision, datetime.now(UTC)
    usual = row.detail["output_tokens"].get(
        case.pair.other_model, row.detail["inputs"]["default_output_tokens"]
    )
    asked = [(case.pair.other_model, row.input_tokens, usual)]
    if judge := _judge_of(policy, case):
        read = row.input_tokens + usual + estimate_tokens(case.material.answer) + VERDICT_TOKENS * 2
        asked += [(judge, read, VERDICT_TOKENS)] * 2
    costs = [_cost(policy, model, now, *tokens) for model, *tokens in asked]
    known = [cost for cost in costs if cost is not None]
    return shadows.charge_for(
        now,
        sum(read + written for _, read, written in asked),
        sum(known) if len(known) == len(costs) else None,
    )


def _cost(policy: Policy, model: str, now: datetime, read: int, written: int) -> int | None:
    price = price_on(policy.prices.get(model, ()), now.date())
    return price.cost(read, written) if price else None


def _shadow(policy: Policy, cases: Sequence[_Case], asides: Asides) -> None:
    questions = [Question(case.pair.other_model, case.material.body) for case in cases]
    replies = asides.ask(policy, questions, _closed(questions))
    shadows.book(
        Own(case.pair, Purpose.SHADOW, reply.attempts)
        for case, reply in zip(cases, replies, strict=True)
    )
    for case, reply in zip(cases, replies, strict=True):
        case.replies.append(reply)
        case.other = reply.answer
        if not reply.answer:
            case.stop(Status.FAILED, f"The other model did not answer: {reply.error}")
        elif (judge := _judge_of(policy, case)) is None:
            why = "No judge is chosen." if policy.shadowing.judge is None else _NOT_PERMITTED
            case.stop(Status.ANSWERED, why)
        else:
            case.judge, case.revision = judge, policy.revision


_NOT_PERMITTED = "The judge may not read prompts of this domain."


def _judge_of(policy: Policy, case: _Case) -> str | None:
    """A domain that asks for certified models does so of the judge too."""
    judge, domain = policy.shadowing.judge, policy.domains.get(case.pair.domain)
    if judge is None or domain is None:
        return None
    return judge if judge in policy.permitted(domain, None, frozenset()) else None


def _judge(policy: Policy, cases: Sequence[_Case], asides: Asides) -> None:
    """Both orders, each asked again a few times where the judge gives no verdict."""
    left = [(case, order) for case in cases for order in Order]
    for _ in range(MOST_TRIES):
        questions = [_question(policy, case, order) for case, order in left]
        replies = asides.ask(policy, questions, _closed(questions))
        shadows.book([_read(*each, reply) for each, reply in zip(left, replies, strict=True)])
        left = [(case, order) for case, order in left if order not in case.verdicts]
    for case in cases:
        if len(case.verdicts) == len(Order):
            case.stop(Status.JUDGED)
        else:
            case.stop(Status.FAILED, f"The judge gave no verdict: {case.problem}")


def _read(case: _Case, order: Order, reply: Reply) -> Own:
    case.replies.append(reply)
    own = Own(case.pair, Purpose.JUDGE, reply.attempts, order is Order.GIVEN_FIRST)
    if not reply.answer:
        case.problem = reply.error
        return own
    try:
        verdict = read_verdict(reply.answer)
    except MalformedVerdictError as error:
        case.problem = str(error)
        return own
    case.verdicts[order] = verdict
    winner = _winner(verdict, order)
    return own._replace(winner=winner, criterion=verdict.criterion, reason=verdict.reason)


def _winner(verdict: Verdict, order: Order) -> str:
    if verdict.first not in {0.0, 1.0}:
        return Winner.TIE
    is_given = (verdict.first == 1.0) == (order is Order.GIVEN_FIRST)
    return Winner.GIVEN if is_given else Winner.OTHER


def _question(policy: Policy, case: _Case, order: Order) -> Question:
    answers = [case.material.answer, case.other or ""]
    first, second = answers if order is Order.GIVEN_FIRST else reversed(answers)
    conversation = case.material.body.get("messages", [])
    rubric = policy.domains[case.pair.domain].rubric
    body: dict[str, Any] = {"messages": judge_messages(conversation, first, second, rubric)}
    if policy.models[case.judge].capabilities.supports_json_mode:
        body["response_format"] = {"type": "json_object"}
    return Question(case.judge, body)


def _closed(questions: Sequence[Question]) -> frozenset[str]:
    """Models whose circuits are open; of one that waits for a probe this is the probe."""
    now = datetime.now(UTC)
    state = circuits.tripped(now)
    asked = {question.model for question in questions} & state.to_probe
    return state.closed_to_all | {m for m in asked if not circuits.claim_probe(m, now)}
