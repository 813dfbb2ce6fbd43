"""What routing is worth in a domain, in one sentence, with the step that fits it.

The sentence uses like-for-like pairs only: both models' answers to the same prompt.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from django.utils import timezone

from experiments.analysis.learning.schedule import PAIRS_AT_FULL_RATE
from experiments.analysis.learning.worth import FEWEST_PAIRS, Finding, Worth, finding_of
from experiments.core.policy import Method, Policy
from experiments.core.shadowing import learns
from experiments.formatting import plural
from experiments.learning import serving
from experiments.learning.consent import budget_of, costs
from experiments.learning.pair_worth import LEARNED, SHIPPED, from_document
from experiments.models import Domain, LearnedCheckpoint, LearningRound, ServingChange, ShadowPair
from experiments.shadow.queue import is_used_up, spent, spent_in

HALF = (0.475, 0.525)


class Step(StrEnum):
    """The button next to the sentence."""

    SWITCH_ON = "switch-on"
    CHOOSE_JUDGE = "choose-judge"
    SEE_PAIRS = "see-pairs"
    APPROVE = "approve"
    SEND_TO_WEAK = "send-to-weak"
    SEND_TO_STRONG = "send-to-strong"
    SET_TARGET = "set-target"
    RAISE_BUDGET = "raise-budget"


class WorthStatus(NamedTuple):
    """`code` names the case, `attention` whether an operator should act."""

    code: str
    sentence: str
    step: Step
    attention: bool = False


class WorthInputs(NamedTuple):
    """What the sentence depends on. `pairs` counts judged pairs, `worth` is of the serving
    router."""

    learning: bool
    has_judge: bool
    routed: bool
    pairs: int
    worth: Worth | None = None
    proposed: bool = False
    used_up: bool = False


def status_of(facts: WorthInputs) -> WorthStatus:
    """The sentence of every case, the most decisive first."""
    if not facts.learning and facts.worth is None:
        return WorthStatus("off", "Learning is off.", Step.SWITCH_ON)
    if not facts.routed:
        said = "No router decides here, so there is nothing to learn for."
        return WorthStatus("not_routed", said, Step.SET_TARGET)
    found = _by_finding(facts)
    if facts.proposed:
        said = f"{found.sentence} A learned router waits for your approval."
        return WorthStatus("proposed", said, Step.APPROVE, attention=True)
    return found


def _by_finding(facts: WorthInputs) -> WorthStatus:
    worth, finding = facts.worth, finding_of(facts.worth)
    if worth is None:
        return _without_worth(facts)
    if finding is Finding.WEAK_AS_GOOD:
        said = "The weak model is as good on this traffic: send everything to it."
        return WorthStatus("weak_as_good", said, Step.SEND_TO_WEAK, attention=True)
    if finding is Finding.RECOVERS and worth.recovered is not None:
        return WorthStatus("recovers", _recovers(worth), Step.SET_TARGET)
    if finding is Finding.DOES_NOT_PAY:
        return WorthStatus("does_not_pay", _does_not_pay(worth), Step.SEND_TO_STRONG, True)
    said = f"No better than random so far: {plural(worth.pairs, 'pair')}."
    return WorthStatus("no_better", said, Step.SEE_PAIRS)


def _without_worth(facts: WorthInputs) -> WorthStatus:
    if not facts.has_judge:
        said = (
            "No judge is configured: no pairs are drawn, and nothing learned serves without pairs."
        )
        return WorthStatus("no_judge", said, Step.CHOOSE_JUDGE, attention=True)
    if facts.used_up:
        said = f"Today's budget is spent: {plural(facts.pairs, 'pair')} so far."
        return WorthStatus("used_up", said, Step.RAISE_BUDGET)
    said = f"Too early: {plural(facts.pairs, 'pair')}, a first answer needs {FEWEST_PAIRS}."
    return WorthStatus("too_few", said, Step.SEE_PAIRS)


def _recovers(worth: Worth) -> str:
    recovered = worth.recovered
    assert recovered is not None  # noqa: S101 - of this finding
    lower, upper = (round(100 * max(0.0, min(1.0, one))) for one in recovered[1:])
    value = round(100 * recovered.value)
    return f"Recovers {value} % of the quality gap {_at_cost(worth)} ({lower} to {upper} %)."


def _at_cost(worth: Worth) -> str:
    if worth.cost is None:
        return f"with {round(100 * worth.share)} % of prompts to the strong model"
    if HALF[0] <= worth.cost <= HALF[1]:
        return "at half the cost"
    return f"at {round(100 * worth.cost)} % of the cost"


def _does_not_pay(worth: Worth) -> str:
    if worth.advantage.upper < 0:
        why = "the router chooses worse than random routing"
    elif worth.pairs >= PAIRS_AT_FULL_RATE:
        why = f"{plural(worth.pairs, 'pair')} show no advantage over random routing"
    else:
        why = "the weak model costs about as much as the strong one"
    return f"Routing does not pay here: {why}."


class DomainLearning(NamedTuple):
    """Everything that the page of a domain shows about learning. Money in nano-dollars."""

    domain: Domain
    status: WorthStatus
    learning: bool
    costs: str
    pairs: int
    wanted_pairs: int
    spent: int
    budget: Decimal
    serving: str
    why: str
    last_change: ServingChange | None
    can_undo: bool
    proposal: ServingChange | None
    checkpoint: LearnedCheckpoint | None
    rounds: tuple[LearningRound, ...]
    changes: tuple[ServingChange, ...]
    worth: Mapping[str, Worth]
    keeps_ratings: bool
    has_judge: bool


SHOWN_ROUNDS = 200


def learning_of(policy: Policy, domain: Domain) -> DomainLearning:
    """The state of one domain. About ten queries."""
    now, name = timezone.now(), domain.name
    rounds = tuple(LearningRound.objects.filter(domain=name)[:SHOWN_ROUNDS])
    changes = tuple(ServingChange.objects.filter(domain=name).exclude(state="withdrawn")[:20])
    applied = [row for row in changes if row.state == ServingChange.ChangeState.APPLIED]
    present = serving.present(domain).router
    last = applied[0] if applied and applied[0].router_after == present else None
    pairs = judged_pairs(name)
    proposal = next((row for row in changes if row.state == "proposed"), None)
    worth = worth_now(rounds)
    facts = _facts(policy, domain, pairs, worth, proposal, now)
    budget = budget_of(domain)
    return DomainLearning(
        domain=domain,
        status=status_of(facts),
        learning=facts.learning,
        costs=costs(budget),
        pairs=pairs,
        wanted_pairs=PAIRS_AT_FULL_RATE,
        spent=spent_in(name, now),
        budget=budget,
        serving=present,
        why=_why(domain, last, rounds),
        last_change=last,
        can_undo=last is not None,
        proposal=proposal,
        checkpoint=LearnedCheckpoint.objects.filter(
            domain=name, state__in=LearnedCheckpoint.ACTIVE
        ).first(),
        rounds=rounds,
        changes=changes,
        worth=worth,
        keeps_ratings=domain.prompt_storage != Domain.PromptStorage.NONE,
        has_judge=facts.has_judge,
    )


def judged_pairs(name: str) -> int:
    return ShadowPair.objects.filter(domain=name, status=ShadowPair.PairStatus.JUDGED).count()


def worth_now(rounds: tuple[LearningRound, ...]) -> dict[str, Worth]:
    """Of the newest round that has any, by `learned` and `shipped`."""
    found: dict[str, Any] = next((row.worth for row in rounds if row.worth), {})
    return {name: from_document(document) for name, document in found.items()}


def _facts(
    policy: Policy,
    domain: Domain,
    pairs: int,
    worth: Mapping[str, Worth],
    proposal: ServingChange | None,
    now: datetime,
) -> WorthInputs:
    name = domain.name
    overall = spent(now) >= policy.shadowing.budget
    return WorthInputs(
        learning=learns(policy, name),
        has_judge=policy.shadowing.judge is not None,
        routed=domain.method == Method.ROUTELLM,
        pairs=pairs,
        worth=worth.get(LEARNED if serving.is_learned(domain) else SHIPPED),
        proposed=proposal is not None,
        used_up=overall or is_used_up(policy, name, now),
    )


def _why(domain: Domain, last: ServingChange | None, rounds: tuple[LearningRound, ...]) -> str:
    if last is not None:
        return last.reason
    if rounds and rounds[0].requests:
        return rounds[0].reason
    return "It is the router that the domain was configured with."


class LearningAlert(NamedTuple):
    """A domain where an operator should act. `code` is that of its status."""

    domain: str
    code: str
    sentence: str


RECENT = timedelta(days=30)


def needing_attention(policy: Policy) -> list[LearningAlert]:
    """Domains where an operator should act. Three queries, and three for each that learned."""
    if not policy.switches.learning:
        return []
    now = timezone.now()
    known = set(
        LearningRound.objects.exclude(domain="")
        .filter(at__gte=now - RECENT)
        .order_by()
        .values_list("domain", flat=True)
        .distinct()
    )
    proposals = {row.domain: row for row in ServingChange.objects.filter(state="proposed")}
    found = []
    for domain in Domain.objects.select_related("router").filter(name__in=known):
        rounds = tuple(LearningRound.objects.filter(domain=domain.name)[:10])
        worth = worth_now(rounds)
        proposal = proposals.get(domain.name)
        facts = _facts(policy, domain, judged_pairs(domain.name), worth, proposal, now)
        status = status_of(facts)
        if status.attention:
            found.append(LearningAlert(domain.name, status.code, status.sentence))
    return found
