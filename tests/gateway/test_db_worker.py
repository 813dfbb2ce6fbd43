"""The thread between the event loop and the database: batches, failures, and its end."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from experiments.gateway import db_worker as module
from experiments.gateway.admission import Admitted
from experiments.gateway.db_worker import DatabaseWorker
from experiments.gateway.settlement import Settlement, abandoned
from experiments.limits.quotas import Limits, Reservation
from experiments.models import Decision
from experiments.routing.route import StorageUnavailableError

pytestmark = pytest.mark.django_db  # its thread closes connections


@pytest.fixture
def db_worker() -> Any:
    db_worker = DatabaseWorker()
    yield db_worker
    db_worker.close()


def test_calls_that_arrive_during_a_batch_are_admitted_together(
    db_worker: DatabaseWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    working, release = threading.Event(), threading.Event()

    def admit(asked: Any) -> list[Any]:
        batches.append(len(asked))
        working.set()
        release.wait(5)
        return [f"let in {asking}" for asking in asked]

    monkeypatch.setattr(module, "admit", admit)

    async def five() -> list[Any]:
        first = asyncio.ensure_future(db_worker.admit("0"))  # type: ignore[arg-type]
        await asyncio.to_thread(working.wait, 5)
        others = [asyncio.ensure_future(db_worker.admit(str(n))) for n in range(1, 5)]  # type: ignore[arg-type]
        await asyncio.sleep(0)
        release.set()
        return await asyncio.gather(first, *others)

    assert asyncio.run(five()) == [f"let in {number}" for number in range(5)]
    assert batches == [1, 4]


def test_each_call_gets_its_own_refusal(
    db_worker: DatabaseWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "admit", lambda asked: [ValueError(a) for a in asked])

    async def one() -> None:
        with pytest.raises(ValueError, match="mine"):
            await db_worker.admit("mine")  # type: ignore[arg-type]

    asyncio.run(one())


def test_database_failure_fails_the_batch_and_the_thread_continues(
    db_worker: DatabaseWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("away")

    async def twice() -> None:
        monkeypatch.setattr(module, "admit", broken)
        with pytest.raises(RuntimeError, match="away"):
            await db_worker.admit("a")  # type: ignore[arg-type]
        monkeypatch.setattr(module, "admit", lambda asked: asked)
        assert await db_worker.admit("b") == "b"  # type: ignore[arg-type, comparison-overlap]

    asyncio.run(twice())


def ended(number: int) -> Settlement:
    """The end of a call that was never stored."""
    decision = Decision(id=UUID(int=number), model="m")
    return abandoned(decision, Reservation(1, Limits(), datetime.now(UTC), 1, 1))


def numbers(settlements: Sequence[Settlement]) -> list[int]:
    return [each.decision.pk.int for each in settlements]


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert holds()


def test_outcomes_are_recorded_soon_and_together(
    db_worker: DatabaseWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    booked: list[list[int]] = []

    def settle(some: Sequence[Settlement]) -> list[Settlement]:
        booked.append(numbers(some))
        return []

    monkeypatch.setattr(module, "settle", settle)
    for number in range(3):
        db_worker.settle(ended(number))
    wait_until(lambda: booked)
    assert booked == [[0, 1, 2]]


def test_outcome_that_cannot_be_recorded_is_kept_until_it_can(
    db_worker: DatabaseWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[list[int]] = []

    def settle(some: Sequence[Settlement]) -> list[Settlement]:
        tried.append(numbers(some))
        if len(tried) == 1:
            raise RuntimeError("disk full")
        return [each for each in some if len(tried) < 4 and each.decision.pk.int == 1]

    monkeypatch.setattr(module, "settle", settle)
    db_worker.settle(ended(1))
    wait_until(lambda: tried)
    db_worker.settle(ended(2))
    wait_until(lambda: len(tried) == 4)
    db_worker.close()
    assert tried == [[1], [1, 2], [1], [1]]
    said = [record.getMessage() for record in caplog.records]
    assert said.count("Outcomes wait for the database, and are kept") == 1
    assert said[-1] == "Outcomes that waited for the database are recorded"


def test_end_records_all_outcomes(
    db_worker: DatabaseWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    booked: list[int] = []

    def settle(some: Sequence[Settlement]) -> list[Settlement]:
        booked.extend(numbers(some))
        return []

    monkeypatch.setattr(module, "settle", settle)
    for number in range(200):
        db_worker.settle(ended(number))
    db_worker.close()
    assert booked == list(range(200))


def test_end_retries_until_its_time_limit(
    db_worker: DatabaseWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def settle(some: Sequence[Settlement]) -> list[Settlement]:
        tried.append(len(some))
        return list(some) if len(tried) < 3 else []

    monkeypatch.setattr(module, "settle", settle)
    db_worker.settle(ended(1))
    db_worker.close(seconds=30)
    assert tried == [1, 1, 1]


def test_end_has_a_time_limit_and_logs_what_the_sweep_must_settle(
    db_worker: DatabaseWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "settle", list)
    db_worker.settle(ended(7))
    db_worker.close(seconds=0.5)
    last = caplog.records[-1]
    assert last.getMessage().startswith("Outcomes were not recorded before the end")
    assert getattr(last, "decision_ids") == [str(UUID(int=7))]  # noqa: B009


def test_no_call_is_admitted_while_too_many_outcomes_wait(
    db_worker: DatabaseWorker, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.GATEWAY_MAX_PENDING_OUTCOMES = 2
    away = threading.Event()
    monkeypatch.setattr(module, "settle", lambda some: [] if away.is_set() else list(some))
    monkeypatch.setattr(module, "admit", lambda asked: asked)

    async def ask() -> Any:
        return await db_worker.admit("a")  # type: ignore[arg-type]

    db_worker.settle(ended(1))
    assert asyncio.run(ask()) == "a"
    db_worker.settle(ended(2))
    time.sleep(0.3)
    with pytest.raises(StorageUnavailableError):
        asyncio.run(ask())
    away.set()
    wait_until(lambda: not db_worker._ended)
    assert asyncio.run(ask()) == "a"


def test_a_call_admitted_for_a_disconnected_caller_is_settled(
    db_worker: DatabaseWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else would settle it: its model is never called."""
    working, release = threading.Event(), threading.Event()
    booked: list[Settlement] = []
    late = ended(5)
    nothing: Any = None
    admitted = Admitted(late.decision, nothing, nothing, {}, nothing, late.charge)

    def admit(asked: Any) -> list[Any]:
        working.set()
        release.wait(5)
        return [admitted]

    def settle(some: Sequence[Settlement]) -> list[Settlement]:
        booked.extend(some)
        return []

    monkeypatch.setattr(module, "admit", admit)
    monkeypatch.setattr(module, "settle", settle)

    async def gone() -> None:
        asked = asyncio.ensure_future(db_worker.admit("a"))  # type: ignore[arg-type]
        await asyncio.to_thread(working.wait, 5)
        asked.cancel()
        await asyncio.sleep(0)
        release.set()
        await asyncio.to_thread(wait_until, lambda: booked)

    asyncio.run(gone())
    [one] = booked
    assert (one.decision.pk.int, one.tokens, one.cost) == (5, 0, 0)
    assert not db_worker._serving
