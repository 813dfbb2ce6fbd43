"""A call is recorded while it is in flight and settled once: by its process, or by the sweep if
its process is dead."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from experiments.decisions.attempts import Attempted
from experiments.decisions.folding import fold_all
from experiments.decisions.outcomes import OutcomeReport, record_outcome
from experiments.gateway import in_flight, processes
from experiments.gateway.admission import Admitted, admit
from experiments.gateway.call_request import asking
from experiments.gateway.in_flight import NOT_STORED, PROCESS_ENDED, sweep_abandoned_calls
from experiments.gateway.protocols.chat import read_chat
from experiments.gateway.settlement import Settlement, abandoned, settle
from experiments.limits import circuit_breakers
from experiments.models import (
    APIKey,
    Attempt,
    Decision,
    InFlightCall,
    KeyUsage,
    Outcome,
    ProcessSuspicion,
    Rollup,
    Scope,
    ServingProcess,
)
from tests.database_faults import CHECK, DEADLOCK, TOO_LARGE, refusing
from tests.installation import install

pytestmark = pytest.mark.django_db(transaction=True)

CHAT = (
    b'{"model": "router/technical", "max_tokens": 50, '
    b'"messages": [{"role": "user", "content": "Fix my loop."}]}'
)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none-at-all")
    monkeypatch.setattr(processes, "_own", None)
    install()
    circuit_breakers.invalidate()
    yield
    monkeypatch.setattr(processes, "_own", None)


@pytest.fixture
def secret() -> str:
    return APIKey.issue("tests", [Scope.ROUTE], tokens_per_minute=9_000_000).secret


def admitted(secret: str, count: int = 1) -> list[Admitted]:
    found = admit([asking(read_chat(CHAT, None), secret, "r")] * count)
    assert all(isinstance(each, Admitted) for each in found), found
    return [each for each in found if isinstance(each, Admitted)]


def settlement(call: Admitted, tokens: int = 120, cost: int = 7_000) -> Settlement:
    attempt = Attempted(
        call.decision.model, "openai", False, datetime.now(UTC), 5.0, "ok", cost=cost,
        input_tokens=tokens - 20, output_tokens=20,
    )  # fmt: skip
    report = OutcomeReport(datetime.now(UTC), tokens - 20, 20, 9.0, success=True)
    return Settlement(call.decision, call.charge, (attempt,), report, attempt.model, tokens, cost)


def used() -> dict[str, tuple[int, int, int]]:
    fold_all()
    return {row.span: (row.requests, row.tokens, row.cost) for row in KeyUsage.objects.all()}


def move_to(process: UUID | None) -> None:
    InFlightCall.objects.update(process_id=process)


def elsewhere(heartbeat: datetime | None = None) -> ServingProcess:
    """A process of another machine."""
    now = timezone.now()
    return ServingProcess.objects.create(
        id=uuid4(), host="other", machine="other-boot pid:[1]", pid=1, started_ticks=1,
        started_at=now, heartbeat_at=heartbeat or now,
    )  # fmt: skip


def test_it_is_recorded_with_its_process_time_and_reservation(secret: str) -> None:
    [call] = admitted(secret)
    row = InFlightCall.objects.get()
    assert row.pk == call.decision.pk
    assert row.started_at == call.decision.created_at
    assert (row.tokens, row.cost) == (call.charge.tokens, call.charge.cost)
    assert (row.key_id, row.by_minute) == (call.charge.key_id, True)
    process = ServingProcess.objects.get()
    assert row.process_id == process.pk == processes.own().id
    assert process.pid == os.getpid()
    assert processes.is_alive_here(process) is True


def test_a_refused_call_is_not_in_flight() -> None:
    few = APIKey.issue("few", [Scope.ROUTE], requests_per_minute=1).secret
    admit([asking(read_chat(CHAT, None), few, "r")] * 3)
    assert InFlightCall.objects.count() == Decision.objects.count() == 1


def test_settling_removes_it(secret: str) -> None:
    calls = admitted(secret, 3)
    assert settle([settlement(call) for call in calls]) == []
    assert not InFlightCall.objects.exists()
    assert used() == {"day": (3, 360, 21_000), "minute": (3, 360, 21_000)}


def test_settling_twice_counts_once(secret: str) -> None:
    """As after a commit whose confirmation was lost."""
    [call] = admitted(secret)
    settle([settlement(call)])
    assert settle([settlement(call)]) == []
    assert used()["day"] == (1, 120, 7_000)
    assert Attempt.objects.count() == 1
    assert sum(row.outcomes for row in Rollup.objects.all()) == 1


def test_a_sweep_settles_calls_of_a_dead_process_as_estimated(secret: str) -> None:
    calls = admitted(secret, 2)
    before = used()
    move_to(uuid4())
    assert sweep_abandoned_calls() == 2
    assert not InFlightCall.objects.exists()
    assert used() == before
    outcome = Outcome.objects.get(pk=calls[0].decision.pk)
    assert (outcome.success, outcome.error) == (None, PROCESS_ENDED)
    assert (outcome.input_tokens, outcome.output_tokens, outcome.cost) == (None, None, None)
    attempt = Attempt.objects.get(decision=calls[0].decision)
    assert (attempt.status, attempt.estimated) == ("interrupted", True)
    assert (attempt.input_tokens or 0) + (attempt.output_tokens or 0) == calls[0].charge.tokens
    assert attempt.cost == calls[0].charge.cost
    rollups = list(Rollup.objects.values_list("outcomes", "errors", "reconciled"))
    assert [sum(column) for column in zip(*rollups, strict=True)] == [2, 0, 0]
    assert sweep_abandoned_calls() == 0


def test_the_command_sweeps(secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    admitted(secret)
    move_to(uuid4())
    call_command("sweep_abandoned_calls")
    assert "Settled 1 abandoned calls" in capsys.readouterr().out


def test_a_call_of_a_living_process_is_never_touched(secret: str) -> None:
    """However old its heartbeat is: the kernel decides."""
    admitted(secret)
    long_ago = timezone.now() - timedelta(days=9)
    ServingProcess.objects.update(heartbeat_at=long_ago)
    InFlightCall.objects.update(started_at=long_ago)
    for _ in range(3):
        assert sweep_abandoned_calls() == 0
    assert InFlightCall.objects.exists()


def test_a_stopped_process_is_alive_and_a_killed_one_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stat = processes._stat(child.pid)
    assert stat is not None
    row = ServingProcess(
        id=uuid4(), host="h", machine=processes.machine(), pid=child.pid,
        started_ticks=stat.ticks, started_at=timezone.now(), heartbeat_at=timezone.now(),
    )  # fmt: skip
    assert processes.is_alive_here(row) is True
    child.send_signal(19)
    assert processes.is_alive_here(row) is True
    child.kill()
    while (now := processes._stat(child.pid)) is not None and now.state != "Z":
        pass
    assert processes.is_alive_here(row) is False  # a zombie serves nothing
    child.communicate()
    assert processes.is_alive_here(row) is False


def test_a_later_process_with_the_same_number_is_another_one() -> None:
    processes.beat()
    row = ServingProcess.objects.get()
    row.started_ticks = (row.started_ticks or 0) + 1
    assert processes.is_alive_here(row) is False


def test_a_silent_process_elsewhere_is_dead_only_after_a_while(secret: str, settings: Any) -> None:
    settings.PROCESS_DEAD_SECONDS = 60.0
    admitted(secret)
    process = elsewhere(timezone.now() - timedelta(hours=5))
    move_to(process.pk)
    assert sweep_abandoned_calls() == 0
    suspicion = ProcessSuspicion.objects.get()
    assert suspicion.process_id == process.pk
    ProcessSuspicion.objects.update(since=suspicion.since - timedelta(seconds=50))
    assert sweep_abandoned_calls() == 0
    ProcessSuspicion.objects.update(since=suspicion.since - timedelta(seconds=61))
    assert sweep_abandoned_calls() == 1


def test_a_heartbeat_shows_that_the_process_lives(secret: str, settings: Any) -> None:
    settings.PROCESS_DEAD_SECONDS = 60.0
    admitted(secret)
    process = elsewhere()
    move_to(process.pk)
    sweep_abandoned_calls()
    ProcessSuspicion.objects.update(since=timezone.now() - timedelta(hours=1))
    ServingProcess.objects.filter(pk=process.pk).update(heartbeat_at=timezone.now())
    assert sweep_abandoned_calls() == 0
    assert ProcessSuspicion.objects.get().since > timezone.now() - timedelta(minutes=1)
    assert InFlightCall.objects.count() == 1


def test_actual_outcome_replaces_the_estimate(secret: str) -> None:
    """Its process was taken for dead but is alive."""
    [call] = admitted(secret)
    move_to(uuid4())
    assert sweep_abandoned_calls() == 1
    assert settle([settlement(call)]) == []
    assert used()["day"] == (1, 120, 7_000)
    attempt = Attempt.objects.get()
    assert (attempt.status, attempt.cost) == ("ok", 7_000)
    outcome = Outcome.objects.get()
    assert (outcome.success, outcome.error, outcome.cost) == (True, "", 7_000)
    fold_all()
    assert list(Rollup.objects.values_list("outcomes", "reconciled")) == [(1, 1)]
    settle([settlement(call)])
    assert used()["day"] == (1, 120, 7_000)


def test_an_outcome_that_the_caller_reported_stays(secret: str) -> None:
    [call] = admitted(secret)
    at = datetime.now(UTC)
    record_outcome(call.decision.pk, OutcomeReport(at, 5, 6, 7.0, success=True), at)
    move_to(uuid4())
    assert sweep_abandoned_calls() == 1
    outcome = Outcome.objects.get()
    assert (outcome.success, outcome.input_tokens) == (True, 5)


def test_a_pruned_decision_leaves_nothing_in_flight(secret: str) -> None:
    admitted(secret)
    move_to(uuid4())
    Decision.objects.all().delete()
    assert sweep_abandoned_calls() == 1
    assert not InFlightCall.objects.exists()


def test_calls_that_nothing_serves_are_released_and_swept(secret: str) -> None:
    served, lost = admitted(secret, 2)
    later = datetime.now(UTC) + timedelta(seconds=1)
    assert in_flight.release({served.decision.pk, lost.decision.pk}, later) == 0
    assert in_flight.release({served.decision.pk}, datetime.now(UTC) - timedelta(hours=1)) == 0
    assert in_flight.release({served.decision.pk}, later) == 1
    assert sweep_abandoned_calls() == 1
    assert InFlightCall.objects.get().pk == served.decision.pk


def test_a_disconnected_caller_is_charged_nothing(secret: str) -> None:
    [call] = admitted(secret)
    settle([abandoned(call.decision, call.charge)])
    assert used()["day"] == (1, 0, 0)
    outcome = Outcome.objects.get()
    assert (outcome.success, outcome.error) == (None, "The client disconnected.")


@pytest.mark.parametrize("code", [DEADLOCK, TOO_LARGE, CHECK])
def test_what_the_database_refuses_fails_alone_and_is_not_lost(secret: str, code: str) -> None:
    """It is kept if it may be stored later, and recorded as estimated if not."""
    first, second, third = admitted(secret, 3)
    ended = [settlement(call) for call in (first, second, third)]
    attempt = ended[1].attempts[0]._replace(error="refuse me")
    ended[1] = ended[1]._replace(attempts=(attempt,))
    with refusing(Attempt, "NEW.error = 'refuse me'", code):
        left = settle(ended)
    good = Outcome.objects.filter(success=True)
    assert set(good.values_list("pk", flat=True)) == {first.decision.pk, third.decision.pk}
    if code == DEADLOCK and connection.vendor == "postgresql":
        assert left == [ended[1]]
        assert settle(left) == []
        assert Outcome.objects.filter(success=True).count() == 3
    else:
        assert left == []
        assert Outcome.objects.get(pk=second.decision.pk).error == NOT_STORED
        assert Attempt.objects.get(decision=second.decision).status == "interrupted"
    assert not InFlightCall.objects.exists()


def test_rows_of_ended_and_long_dead_processes_are_removed() -> None:
    processes.beat()
    processes.leave()
    assert not ServingProcess.objects.exists()
    old = elsewhere(timezone.now() - timedelta(days=2))
    ProcessSuspicion.objects.create(
        process_id=old.pk, heartbeat_at=old.heartbeat_at, since=timezone.now()
    )
    new = elsewhere()
    sweep_abandoned_calls()
    assert [row.pk for row in ServingProcess.objects.all()] == [new.pk]
    assert not ProcessSuspicion.objects.exists()


def test_another_machine_cannot_be_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes.is_alive_here(elsewhere()) is None
    monkeypatch.setattr(processes, "machine", lambda: "")
    processes.beat()
    assert processes.is_alive_here(ServingProcess.objects.get(host=processes.own().host)) is None
