"""The thread between the event loop and the database: batches, faults, and its end."""

import asyncio
import threading
from typing import Any

import pytest

from experiments.gateway import desk as module
from experiments.gateway.desk import Desk

pytestmark = pytest.mark.django_db  # its thread tidies connections up


@pytest.fixture
def desk() -> Any:
    desk = Desk()
    yield desk
    desk.close()


def test_calls_that_arrive_meanwhile_are_let_in_together(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    working, go_on = threading.Event(), threading.Event()

    def admit(asked: Any) -> list[Any]:
        batches.append(len(asked))
        working.set()
        go_on.wait(5)
        return [f"let in {asking}" for asking in asked]

    monkeypatch.setattr(module, "admit", admit)

    async def five() -> list[Any]:
        first = asyncio.ensure_future(desk.admit("0"))  # type: ignore[arg-type]
        await asyncio.to_thread(working.wait, 5)
        others = [asyncio.ensure_future(desk.admit(str(n))) for n in range(1, 5)]  # type: ignore[arg-type]
        await asyncio.sleep(0)
        go_on.set()
        return await asyncio.gather(first, *others)

    assert asyncio.run(five()) == [f"let in {number}" for number in range(5)]
    assert batches == [1, 4]


def test_each_is_told_its_own_refusal(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "admit", lambda asked: [ValueError(a) for a in asked])

    async def one() -> None:
        with pytest.raises(ValueError, match="mine"):
            await desk.admit("mine")  # type: ignore[arg-type]

    asyncio.run(one())


def test_fault_is_everybodys_and_the_thread_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("away")

    async def twice() -> None:
        monkeypatch.setattr(module, "admit", broken)
        with pytest.raises(RuntimeError, match="away"):
            await desk.admit("a")  # type: ignore[arg-type]
        monkeypatch.setattr(module, "admit", lambda asked: asked)
        assert await desk.admit("b") == "b"  # type: ignore[arg-type, comparison-overlap]

    asyncio.run(twice())


def test_what_has_ended_is_booked_soon_and_together(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    booked: list[list[Any]] = []
    monkeypatch.setattr(module, "settle", lambda ended: booked.append(list(ended)))
    for number in range(3):
        desk.settle(number)  # type: ignore[arg-type]
    for _ in range(100):
        if booked:
            break
        threading.Event().wait(0.02)
    assert booked == [[0, 1, 2]]


def test_outcome_that_cannot_be_booked_stops_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    booked: list[Any] = []

    def settle(ended: Any) -> None:
        booked.append(ended)
        if len(booked) == 1:
            raise RuntimeError("disk full")

    monkeypatch.setattr(module, "settle", settle)
    desk.settle("a")  # type: ignore[arg-type]
    threading.Event().wait(0.3)
    desk.settle("b")  # type: ignore[arg-type]
    desk.close()
    assert booked == [["a"], ["b"]]


def test_end_books_everything(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    booked: list[Any] = []
    monkeypatch.setattr(module, "settle", booked.extend)
    for number in range(200):
        desk.settle(number)  # type: ignore[arg-type]
    desk.close()
    assert booked == list(range(200))
