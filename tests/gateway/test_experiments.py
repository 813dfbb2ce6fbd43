"""Gateway calls are units of experiments, with their actual outcomes."""

from datetime import UTC, datetime
from typing import Any

import pytest

from experiments.decisions.attempts import Attempted
from experiments.decisions.folding import fold_all
from experiments.decisions.outcomes import OutcomeReport
from experiments.gateway.admission import Admitted, admit
from experiments.gateway.call_request import asking
from experiments.gateway.execution import CallExecution
from experiments.gateway.protocols.chat import read_chat
from experiments.gateway.response_headers import headers
from experiments.gateway.settlement import Settlement, settle
from experiments.limits import circuit_breakers
from experiments.models import APIKey, Outcome, Scope, UnitSum
from tests.experiment_rows import running

CHAT = (
    '{"model": "%s", "user": "user-%d", "messages": [{"role": "user", "content": "Fix my loop."}]}'
)


@pytest.fixture(autouse=True)
def _experiment(seeded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none-at-all")
    circuit_breakers.invalidate()
    running("cheaper", now=datetime.now(UTC))


@pytest.fixture
def secret(seeded: None) -> str:
    return APIKey.issue("tests", [Scope.ROUTE]).secret


def admitted(secret: str, model: str = "router/technical", user: int = 1) -> Admitted:
    [answer] = admit([asking(read_chat((CHAT % (model, user)).encode(), None), secret, "r")])
    assert isinstance(answer, Admitted), answer
    return answer


def attempt(model: str, status: str, cost: int) -> Attempted:
    return Attempted(model, "openai", False, datetime.now(UTC), 5.0, status, cost=cost)


def booked(call: Admitted, model: str, *attempts: Attempted) -> None:
    cost = sum(each.cost or 0 for each in attempts)
    report = OutcomeReport(datetime.now(UTC), 100, 20, 9.0, success=True)
    settle([Settlement(call.decision, call.charge, attempts, report, model, 120, cost)])


def test_arm_is_sticky_and_in_the_headers(secret: str) -> None:
    arms = {}
    for user in range(12):
        call = admitted(secret, user=user)
        assert admitted(secret, user=user).decision.arm == call.decision.arm
        arms[call.decision.arm] = call
    assert set(arms) == {"control", "weak"}
    assert arms["weak"].decision.model != arms["control"].decision.model
    chat = read_chat((CHAT % ("router/technical", 1)).encode(), None)
    nothing: Any = None
    execution = CallExecution(chat, arms["weak"], nothing)
    assert headers(execution, "m", 1.0)["x-switchyard-arm"] == "weak"


def test_fallback_counts_in_the_arm_that_chose_another_model(secret: str) -> None:
    call = admitted(secret)
    row = call.decision
    other = row.weak_model if row.model == row.strong_model else row.strong_model
    booked(call, other, attempt(row.model, "failed", 0), attempt(other, "ok", 7_000))
    fold_all()
    sums = UnitSum.objects.get(experiment="cheaper", arm=row.arm)
    assert (sums.decisions, sums.outcomes, sums.errors) == (1, 1, 0)
    assert (sums.fallbacks, sums.cost) == (1, 7_000)
    assert Outcome.objects.get(pk=row.pk).model == other


@pytest.mark.parametrize("model", ["openai/gpt-4.1", "router-local-0.5"])
def test_callers_who_name_a_model_or_router_are_in_no_experiment(secret: str, model: str) -> None:
    call = admitted(secret, model)
    assert (call.decision.experiment, call.decision.arm) == ("", "")
    booked(call, call.decision.model, attempt(call.decision.model, "ok", 7_000))
    assert not UnitSum.objects.exists()
