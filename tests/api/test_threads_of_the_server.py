"""The threads that answer pages and API requests."""

import asyncio
import threading
import time
from functools import partial

import pytest

from routing_site.threads import ThreadStack


def pause(seconds: float) -> int:
    time.sleep(seconds)
    return threading.get_ident()


def test_the_thread_that_became_free_last_works_next() -> None:
    async def run() -> tuple[set[int], set[int]]:
        stack = ThreadStack(4)
        together = await asyncio.gather(*(stack.call(lambda: pause(0.2)) for _ in range(4)))
        one_by_one = set()
        for _ in range(20):
            one_by_one.add(await stack.call(threading.get_ident))
        return set(together), one_by_one

    together, one_by_one = asyncio.run(run())
    assert len(together) == 4
    assert len(one_by_one) == 1


def test_more_work_than_threads_waits_its_turn() -> None:
    done: list[int] = []

    async def run() -> None:
        stack = ThreadStack(1)
        await asyncio.gather(*(stack.call(partial(done.append, n)) for n in range(50)))

    asyncio.run(run())
    assert done == list(range(50))


def test_work_that_no_thread_takes_in_time_is_not_done() -> None:
    done: list[str] = []

    def late() -> str:
        done.append("late")
        return "done"

    async def run() -> str:
        stack = ThreadStack(1)
        busy = asyncio.ensure_future(stack.call(lambda: pause(0.5)))
        await asyncio.sleep(0.1)
        answer = await stack.call(late, 0.1, lambda: "refused")
        await busy
        await stack.call(lambda: None)
        return answer

    assert asyncio.run(run()) == "refused"
    assert done == []


def test_work_that_has_begun_is_not_refused() -> None:
    async def run() -> str:
        return await ThreadStack(1).call(
            lambda: "done" if pause(0.3) else "", 0.1, lambda: "refused"
        )

    assert asyncio.run(run()) == "done"


def test_errors_reach_the_caller_and_the_thread_goes_on() -> None:
    def fail() -> None:
        raise ValueError("no")

    async def run() -> str:
        stack = ThreadStack(1)
        with pytest.raises(ValueError, match="no"):
            await stack.call(fail)
        return await stack.call(lambda: "on")

    assert asyncio.run(run()) == "on"
