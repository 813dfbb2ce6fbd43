"""Processes shadow pairs: calls the other model, asks the judge to compare, ends the pair.

A few pairs advance together step by step, so that each paid call is recorded before the next one
is made. A resumed task processes the pairs that had not begun. While a model's circuit breaker
is open, the pairs that need it wait."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from experiments.background.tasks import Running
from experiments.configuration.policy_store import store
from experiments.core.costs import estimate_tokens
from experiments.core.judging import (
    JudgeVerdict,
    MalformedVerdictError,
    judge_messages,
    read_verdict,
)
from experiments.core.money import price_on, total
from experiments.core.policy import Policy
from experiments.core.shadowing import learns
from experiments.gateway.internal_calls import InternalCall, InternalClient, Reply
from experiments.gateway.shadow_pair import CIRCUIT_OPEN_TEXT, AnswerOrder, Case, verdicts_of
from experiments.learning.inputs import input_row
from experiments.limits import circuit_breakers
from experiments.limits.quotas import Reservation
from experiments.models import OwnCall, ShadowPair
from experiments.shadow import evaluation
from experiments.shadow.evaluation import Own
from experiments.shadow.queue import (
    defer,
    end_interrupted,
    expire,
    hold_up,
    is_used_up,
    material_of,
    waiting,
)
from experiments.storage.encryption import SealBrokenError

TOGETHER = 16
MOST_TRIES = 3
VERDICT_TOKENS = 120
Status, Purpose, Winner = ShadowPair.PairStatus, OwnCall.Purpose, OwnCall.Winner
WORDS = {
    "budget_day": "The day's budget is used up.",
    "unpriced_model": "A model has no price, so the budget cannot be kept.",
}


def work(running: Running) -> dict[str, Any]:
    """Processes the pairs of this task. Raises TaskCancelledError."""
    expire(datetime.now(UTC))
    end_interrupted(running.row.pk, datetime.now(UTC))
    pairs = _callable(waiting(running.row.pk))
    with InternalClient() as internal_client:
        for number, some in enumerate(_batched(pairs), start=1):
            _work_off([Case(pair) for pair in some], internal_client)
            running.advance(min(number * TOGETHER, len(pairs)), len(pairs))
    defer(running.row.pk, datetime.now(UTC))
    ended = ShadowPair.objects.filter(task_id=running.row.pk)
    return {status: n for status in Status if (n := ended.filter(status=status).count())}


def _batched(pairs: Sequence[ShadowPair]) -> Iterator[Sequence[ShadowPair]]:
    return iter(pairs[at : at + TOGETHER] for at in range(0, len(pairs), TOGETHER))


def _callable(pairs: Sequence[ShadowPair]) -> list[ShadowPair]:
    """The pairs whose models may be called; of those that need a model that waits for a probe,
    only the first. The others are stored with the reason they wait."""
    judge, state = store.current().shadowing.judge, circuit_breakers.tripped(datetime.now(UTC))
    closed, to_probe = set(state.closed_to_all), set(state.to_probe)
    free, held_up = [], defaultdict(list)
    for pair in pairs:
        needed = {pair.other_model} | ({judge} if judge else set())
        if stopped := sorted(needed & closed):
            held_up[stopped[0]].append(pair)
        else:
            free.append(pair)
            closed |= needed & to_probe
    for model, some in held_up.items():
        hold_up(some, CIRCUIT_OPEN_TEXT.format(model=model))
    return free


def _work_off(cases: Sequence[Case], internal_client: InternalClient) -> None:
    policy = store.current()
    _unseal(policy, cases)
    begun = _begin(policy, _open(cases))
    _shadow(policy, [case for case in begun if case.other is None], internal_client)
    _choose_judge(policy, _open(begun))
    _judge(policy, _open(begun), internal_client)
    evaluation.wait(case.waiting() for case in begun if case.waits_for)
    evaluation.end(case.ending() for case in cases if case.status is not None)


def _open(cases: Sequence[Case]) -> list[Case]:
    return [case for case in cases if case.is_open]


def _unseal(policy: Policy, cases: Sequence[Case]) -> None:
    for case in cases:
        try:
            case.material = material_of(case.pair)
        except SealBrokenError as error:
            case.stop(Status.LOST, str(error))
            continue
        case.other = case.material.other
        if case.other is not None:
            case.verdicts = verdicts_of(case.pair, policy.shadowing.judge)


def _begin(policy: Policy, cases: Sequence[Case]) -> list[Case]:
    """The cases that this task may process, and that the budgets cover."""
    now = datetime.now(UTC)
    spent = {name: is_used_up(policy, name, now) for name in {case.pair.domain for case in cases}}
    for case in cases:
        if spent[case.pair.domain]:
            case.stop(Status.SKIPPED, WORDS["budget_day"])
    cases = _open(cases)
    charges = {case.pair.pk: _charge(policy, case) for case in cases}
    answers = evaluation.begin(charges)
    begun = [case for case in cases if case.pair.pk in answers]
    for case in begun:
        if refusal := answers[case.pair.pk]:
            case.stop(Status.SKIPPED, WORDS.get(refusal, refusal))
        else:
            charge = case.charge = charges[case.pair.pk]
            case.pair.charged, case.pair.charged_at = charge.cost, charge.at
    return _open(begun)


def _charge(policy: Policy, case: Case) -> Reservation:
    """The calls still to make: the other model's expected answer, and two verdicts that read
    both."""
    row, now = case.pair.decision, datetime.now(UTC)
    usual = row.detail["output_tokens"].get(
        case.pair.other_model, row.detail["inputs"]["default_output_tokens"]
    )
    asked = [(case.pair.other_model, row.input_tokens, usual)] if case.other is None else []
    if judge := _judge_of(policy, case):
        read = row.input_tokens + usual + estimate_tokens(case.material.answer) + VERDICT_TOKENS * 2
        asked += [(judge, read, VERDICT_TOKENS)] * (len(AnswerOrder) - len(case.verdicts))
    return evaluation.charge_for(
        now,
        sum(read + written for _, read, written in asked),
        total([_cost(policy, model, now, *tokens) for model, *tokens in asked]),
    )


def _cost(policy: Policy, model: str, now: datetime, read: int, written: int) -> int | None:
    price = price_on(policy.prices.get(model, ()), now.date())
    return price.cost(read, written) if price else None


def _ask(
    policy: Policy, questions: Sequence[InternalCall], internal_client: InternalClient
) -> list[Reply | None]:
    """The reply to each question, in order; None if the model's circuit breaker is open. If the
    model waits for a probe, the first question is the probe."""
    now = datetime.now(UTC)
    state = circuit_breakers.tripped(now)
    probed = {question.model for question in questions} & state.to_probe
    probes = {model for model in probed if circuit_breakers.claim_probe(model, now)}
    asked = []
    for number, question in enumerate(questions):
        if question.model in probes:
            probes.discard(question.model)
        elif question.model in state.closed_to_all | state.to_probe:
            continue
        asked.append(number)
    replies = internal_client.ask(policy, [questions[number] for number in asked])
    found = dict(zip(asked, replies, strict=True))
    return [found.get(number) for number in range(len(questions))]


def _shadow(policy: Policy, cases: Sequence[Case], internal_client: InternalClient) -> None:
    questions = [InternalCall(case.pair.other_model, case.material.body) for case in cases]
    replies = _ask(policy, questions, internal_client)
    evaluation.book(
        Own(case.pair, Purpose.SHADOW, reply.attempts)
        for case, reply in zip(cases, replies, strict=True)
        if reply
    )
    for case, reply in zip(cases, replies, strict=True):
        if reply is None:
            case.waits_for = case.pair.other_model
            continue
        case.replies.append(reply)
        case.other = reply.answer
        if not reply.answer:
            case.stop(Status.FAILED, f"The other model did not answer: {reply.error}")


def _choose_judge(policy: Policy, cases: Sequence[Case]) -> None:
    for case in cases:
        if (judge := _judge_of(policy, case)) is None:
            why = "No judge is chosen." if policy.shadowing.judge is None else _NOT_PERMITTED
            case.stop(Status.ANSWERED, why)
        else:
            case.judge, case.revision = judge, policy.revision


_NOT_PERMITTED = "The judge may not read prompts of this domain."


def _judge_of(policy: Policy, case: Case) -> str | None:
    """If a domain requires certified models, the judge must be certified too."""
    judge, domain = policy.shadowing.judge, policy.domains.get(case.pair.domain)
    if judge is None or domain is None:
        return None
    return judge if judge in policy.permitted(domain, None, frozenset()) else None


def _judge(policy: Policy, cases: Sequence[Case], internal_client: InternalClient) -> None:
    """Both orders, each retried a few times if the judge gives no verdict."""
    for _ in range(MOST_TRIES):
        left = [
            (case, order) for case in cases for order in AnswerOrder if order not in case.verdicts
        ]
        questions = [_question(policy, case, order) for case, order in left]
        replies = _ask(policy, questions, internal_client)
        verdicts = [
            (*each, reply) for each, reply in zip(left, replies, strict=True) if reply is not None
        ]
        evaluation.book([_read(*each) for each in verdicts])
        asked = {(case.pair.pk, order) for case, order, _ in verdicts}
        stopped = {case.pair.pk for case, order in left if (case.pair.pk, order) not in asked}
    for case in cases:
        if len(case.verdicts) == len(AnswerOrder):
            case.stop(Status.JUDGED)
            if case.material.text and learns(policy, case.pair.domain):
                case.learning_input = input_row(case.pair.decision, case.material.text)
        elif case.pair.pk in stopped:
            case.waits_for = case.judge
        else:
            case.stop(Status.FAILED, f"The judge gave no verdict: {case.problem}")


def _read(case: Case, order: AnswerOrder, reply: Reply) -> Own:
    case.replies.append(reply)
    own = Own(case.pair, Purpose.JUDGE, reply.attempts, order is AnswerOrder.GIVEN_FIRST)
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


def _winner(verdict: JudgeVerdict, order: AnswerOrder) -> str:
    if verdict.first not in {0.0, 1.0}:
        return Winner.TIE
    is_given = (verdict.first == 1.0) == (order is AnswerOrder.GIVEN_FIRST)
    return Winner.GIVEN if is_given else Winner.OTHER


def _question(policy: Policy, case: Case, order: AnswerOrder) -> InternalCall:
    answers = [case.material.answer, case.other or ""]
    first, second = answers if order is AnswerOrder.GIVEN_FIRST else reversed(answers)
    conversation = case.material.body.get("messages", [])
    rubric = policy.domains[case.pair.domain].rubric
    body: dict[str, Any] = {"messages": judge_messages(conversation, first, second, rubric)}
    if policy.models[case.judge].capabilities.supports_json_mode:
        body["response_format"] = {"type": "json_object"}
    return InternalCall(case.judge, body)
