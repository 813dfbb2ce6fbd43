"""Concurrent calls of one model: first come, first served, and no slot is lost."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from experiments.gateway.concurrency import (
    BusyError,
    ConcurrencyLimiter,
    HostSlots,
    of_this_machine,
)
from tests.api.server import ROOT

HOLD = """
import sys, time
from pathlib import Path
from experiments.gateway.concurrency import HostSlots
print(HostSlots(Path(sys.argv[1])).take("m", int(sys.argv[2])), flush=True)
time.sleep(60)
"""


@pytest.fixture
def limiter(tmp_path: Path) -> ConcurrencyLimiter:
    places = HostSlots(tmp_path)
    return ConcurrencyLimiter(lambda: places)


def another_process(folder: Path, limit: int) -> subprocess.Popen[str]:
    """Takes a slot, reports its number and keeps it."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), str(limit)],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


async def hold(
    limiter: ConcurrencyLimiter, seconds: float, patience: float = 5.0, limit: int = 1
) -> None:
    async with limiter.place("m", limit, patience):
        await asyncio.sleep(seconds)


def test_slots_are_assigned_in_order(limiter: ConcurrencyLimiter) -> None:
    order: list[int] = []

    async def one(number: int) -> None:
        async with limiter.place("m", 1, 5.0):
            order.append(number)
            await asyncio.sleep(0.001)

    async def all_of_them() -> None:
        await asyncio.gather(*(one(number) for number in range(20)))

    asyncio.run(all_of_them())
    assert order == list(range(20))


def test_waiting_times_out(limiter: ConcurrencyLimiter) -> None:
    async def two() -> None:
        first = asyncio.ensure_future(hold(limiter, 0.2))
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await hold(limiter, 0, patience=0.02)
        await first
        await hold(limiter, 0, patience=0.02)  # free again

    asyncio.run(two())


def test_caller_that_gives_up_takes_no_slot(limiter: ConcurrencyLimiter) -> None:
    async def three() -> None:
        first = asyncio.ensure_future(hold(limiter, 0.05))
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(hold(limiter, 0))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(first, waiting, return_exceptions=True)
        await hold(limiter, 0, patience=0.02)

    asyncio.run(three())


def test_waiter_cancelled_as_its_slot_comes_leaves_it_to_others(
    limiter: ConcurrencyLimiter,
) -> None:
    async def race() -> None:
        entered = asyncio.Event()

        async def holder() -> None:
            async with limiter.place("m", 1, 5.0):
                await entered.wait()

        first = asyncio.ensure_future(holder())
        await asyncio.sleep(0)
        second = asyncio.ensure_future(hold(limiter, 0))
        await asyncio.sleep(0)
        entered.set()
        await first
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        await hold(limiter, 0, patience=0.02)

    asyncio.run(race())


def test_no_limit(limiter: ConcurrencyLimiter) -> None:
    async def many() -> None:
        await asyncio.gather(*(hold(limiter, 0.01, 0.0, limit=0) for _ in range(100)))

    asyncio.run(many())


def test_models_have_separate_limits(tmp_path: Path) -> None:
    places = HostSlots(tmp_path)
    assert places.take("m", 1) == 0
    assert places.take("m", 1) is None
    assert places.take("another", 1) == 0


def test_exactly_all_slots_are_assigned(tmp_path: Path) -> None:
    places = HostSlots(tmp_path)
    assert {places.take("m", 5) for _ in range(5)} == {0, 1, 2, 3, 4}
    assert places.take("m", 5) is None
    places.leave("m", 3)
    assert places.take("m", 5) == 3


def test_lowered_limit_applies_to_the_next_caller(tmp_path: Path) -> None:
    places = HostSlots(tmp_path)
    taken = [places.take("m", 3) for _ in range(3)]
    places.leave("m", taken[0] or 0)
    assert places.take("m", 2) is None


def test_processes_share_the_slots_and_a_killed_one_releases_its_own(tmp_path: Path) -> None:
    places = HostSlots(tmp_path)
    other = another_process(tmp_path, 1)
    try:
        assert said(other) == "0"
        assert places.take("m", 1) is None
    finally:
        end(other)
    assert places.take("m", 1) == 0
    third = another_process(tmp_path, 1)
    try:
        assert said(third) == "None"
    finally:
        end(third)


def test_a_deleted_file_is_created_again(tmp_path: Path) -> None:
    places = HostSlots(tmp_path)
    places.leave("m", places.take("m", 1) or 0)
    [file] = tmp_path.iterdir()
    file.unlink()
    assert places.take("m", 1) == 0
    other = another_process(tmp_path, 1)
    try:
        assert said(other) == "None"
    finally:
        end(other)


def test_folder_that_cannot_be_used_is_named(tmp_path: Path, settings: Any) -> None:
    (tmp_path / "file").write_text("")
    settings.RUNTIME_DIR = str(tmp_path / "file")
    of_this_machine.cache_clear()
    with pytest.raises(ImproperlyConfigured, match=r"RUNTIME_DIR.*file"):
        of_this_machine()
