"""Key usage is what calls in flight reserved, and what calls that have ended used."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db.models import F

from experiments.core.policy import Policy
from experiments.decisions.attempts import Attempted
from experiments.decisions.folding import fold_all
from experiments.decisions.outcomes import OutcomeReport, record_outcome
from experiments.decisions.verification import verify
from experiments.gateway.admission import Admitted, Call, KeyRules, admit
from experiments.gateway.call_request import asking
from experiments.gateway.in_flight import PROCESS_ENDED, settle_as_estimated
from experiments.gateway.protocols.chat import read_chat
from experiments.gateway.settlement import Settlement, settle
from experiments.limits import circuit_breakers
from experiments.limits.budgets import count_request
from experiments.limits.quotas import Limits, user_account
from experiments.models import APIKey, Decision, InFlightCall, KeyUsage, Scope
from experiments.routing.route import RouteRequest, route
from tests.installation import install

pytestmark = pytest.mark.django_db(transaction=True)
CHAT = (
    b'{"model": "router-auto", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}'
)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none-at-all")
    install()
    circuit_breakers.invalidate()
    yield
    circuit_breakers.invalidate()


@pytest.fixture
def key() -> Any:
    limits = {"requests_per_minute": 500, "budget_day": Decimal(5)}
    return APIKey.issue("limited", [Scope.ROUTE], **limits)


def admitted(*asked: Any) -> list[Admitted]:
    found = admit(asked)
    calls = [each for each in found if isinstance(each, Admitted)]
    assert len(calls) == len(asked), found
    return calls


def chats(secret: str, number: int) -> list[Admitted]:
    return admitted(*[asking(read_chat(CHAT, None), secret, "r") for _ in range(number)])


def attempt(call: Admitted, cost: int | None, status: str = "ok", tokens: int = 70) -> Attempted:
    model, now = call.decision.model, datetime.now(UTC)
    ended = Attempted(model, "openai", False, now, 5.0, status, cost=cost, error=status)
    return ended._replace(input_tokens=30, output_tokens=tokens - 30)


def settled(call: Admitted, *attempts: Attempted) -> None:
    costs = [one.cost for one in attempts]
    cost = None if None in costs else sum(one or 0 for one in costs)
    tokens = sum((one.input_tokens or 0) + (one.output_tokens or 0) for one in attempts)
    report = OutcomeReport(datetime.now(UTC), 30, 40, 9.0, success=True)
    settle([Settlement(call.decision, call.charge, attempts, report, "m", tokens, cost)])


def used(key_id: int) -> tuple[int, int, int]:
    fold_all()
    row = KeyUsage.objects.get(key_id=key_id, span=KeyUsage.DAY)
    return row.requests, row.tokens, row.cost


def test_calls_in_flight_and_every_way_to_end(key: Any) -> None:
    calls = chats(key.secret, 7)
    reserved = calls[0].charge
    assert reserved.cost is not None
    assert verify().differences == []
    settled(calls[0], attempt(calls[0], 700))
    settled(calls[1], attempt(calls[1], 100, "failed"), attempt(calls[1], 900))
    settled(calls[2])  # nothing was asked
    settled(calls[3], attempt(calls[3], None))  # the reservation of its cost stays
    settle_as_estimated(list(InFlightCall.objects.filter(pk=calls[4].decision.pk)), PROCESS_ENDED)
    report = OutcomeReport(datetime.now(UTC), 1, 1, success=True)  # of the caller, at the same time
    record_outcome(calls[5].decision.pk, report, datetime.now(UTC))
    record_outcome(calls[0].decision.pk, report, datetime.now(UTC))
    count_request(key.key, datetime.now(UTC))
    route(RouteRequest("Not through the gateway", key_id=key.key.pk))
    done = verify()
    assert (done.differences, done.left_out_usage_days) == ([], 0)
    assert used(key.key.pk) == (7, 70 + 140 + 70 + 3 * reserved.tokens, 1700 + 4 * reserved.cost)


def test_wrong_usage_is_named_and_corrected(key: Any) -> None:
    calls = chats(key.secret, 3)
    settled(calls[0], attempt(calls[0], 700))
    before = used(key.key.pk)
    days = KeyUsage.objects.filter(span=KeyUsage.DAY)
    days.update(cost=F("cost") + 11, requests=F("requests") - 1)
    found = {one.column: one for one in verify().differences}
    assert set(found) == {"cost", "requests"}
    assert (found["cost"].table, found["cost"].key["key_id"]) == ("KeyUsage", key.key.pk)
    assert (found["cost"].stored, found["cost"].counted) == (before[2] + 11, before[2])
    assert (found["requests"].stored, found["requests"].counted) == (2, 3)
    verify(repair=True)
    assert used(key.key.pk) == before
    days.delete()
    verify(repair=True)
    assert used(key.key.pk) == before
    assert verify().differences == []


def test_people_without_a_key_count_too() -> None:
    def ask(policy: Policy, text: str) -> Call:
        rules = KeyRules(user_account(5), Limits(day=10**9), frozenset(), frozenset())
        return Call(RouteRequest(text), rules, frozenset(), 20)

    first, _ = admitted(partial(ask, text="Hi"), partial(ask, text="Prove it."))
    settled(first, attempt(first, 5))
    assert verify().differences == []
    assert used(-5)[0] == 2


def test_days_from_before_reservations_were_kept_are_left_out(key: Any) -> None:
    calls = chats(key.secret, 2)
    settled(calls[0], attempt(calls[0], 700))
    for row in Decision.objects.all():
        del row.detail["charge"]
        row.save(update_fields=["detail"])
    done = verify()
    assert (done.differences, done.left_out_usage_days) == ([], 1)
    yesterday = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(1)
    KeyUsage.objects.create(key_id=3, span=KeyUsage.DAY, starts_at=yesterday, cost=8)
    [found] = verify().differences
    assert (found.key["key_id"], found.stored, found.counted) == (3, 8, 0)
