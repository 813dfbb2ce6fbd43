"""Calls of one model at a time: who comes first is served first, and nobody's place is lost."""

import asyncio

import pytest

from experiments.gateway.crowds import PROCESSES_VARIABLE, BusyError, Crowds, share_of


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROCESSES_VARIABLE, "1")


async def hold(crowds: Crowds, seconds: float, patience: float = 5.0, limit: int = 1) -> None:
    async with crowds.place("m", limit, patience):
        await asyncio.sleep(seconds)


def test_places_are_given_in_order() -> None:
    order: list[int] = []

    async def one(crowds: Crowds, number: int) -> None:
        async with crowds.place("m", 1, 5.0):
            order.append(number)
            await asyncio.sleep(0.001)

    async def all_of_them() -> None:
        crowds = Crowds()
        await asyncio.gather(*(one(crowds, number) for number in range(20)))

    asyncio.run(all_of_them())
    assert order == list(range(20))


def test_patience_ends() -> None:
    async def two() -> None:
        crowds = Crowds()
        first = asyncio.ensure_future(hold(crowds, 0.2))
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await hold(crowds, 0, patience=0.02)
        await first
        await hold(crowds, 0, patience=0.02)  # free again

    asyncio.run(two())


def test_whoever_gives_up_waiting_takes_no_place() -> None:
    async def three() -> None:
        crowds = Crowds()
        first = asyncio.ensure_future(hold(crowds, 0.05))
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(hold(crowds, 0))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(first, waiting, return_exceptions=True)
        await hold(crowds, 0, patience=0.02)

    asyncio.run(three())


def test_place_that_comes_while_its_waiter_is_cancelled_goes_on() -> None:
    async def race() -> None:
        crowds = Crowds()
        entered = asyncio.Event()

        async def holder() -> None:
            async with crowds.place("m", 1, 5.0):
                await entered.wait()

        first = asyncio.ensure_future(holder())
        await asyncio.sleep(0)
        second = asyncio.ensure_future(hold(crowds, 0))
        await asyncio.sleep(0)
        entered.set()
        await first  # the place is the second's now, who has not run yet
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        await hold(crowds, 0, patience=0.02)

    asyncio.run(race())


def test_no_limit() -> None:
    async def many() -> None:
        crowds = Crowds()
        await asyncio.gather(*(hold(crowds, 0.01, 0.0, limit=0) for _ in range(100)))

    asyncio.run(many())


@pytest.mark.parametrize(
    ("processes", "limit", "share"), [("1", 5, 5), ("2", 5, 2), ("4", 2, 1), ("", 3, 3)]
)
def test_each_process_has_its_part(
    monkeypatch: pytest.MonkeyPatch, processes: str, limit: int, share: int
) -> None:
    monkeypatch.setenv(PROCESSES_VARIABLE, processes)
    assert share_of(limit) == share
