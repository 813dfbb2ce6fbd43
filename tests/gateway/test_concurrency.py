"""The concurrency limit of one model, and the cost of many callers at once."""

import asyncio
import time

import httpx
import openai
import pytest

from tests.gateway.chats import TEXT, turns
from tests.gateway.conftest import Gateway
from tests.gateway.rows import LANES
from tests.gateway.stub import Stub

pytestmark = pytest.mark.server


async def ask_all(gateway: Gateway, model: str, count: int) -> list[str]:
    """The model that answered each call, or its error code."""

    async def one(client: openai.AsyncOpenAI) -> str:
        try:
            answer = await client.chat.completions.create(model=model, messages=turns())
        except openai.APIError as error:
            return str(error.code)
        return answer.model

    async with gateway.async_client() as client:
        return await asyncio.gather(*(one(client) for _ in range(count)))


def test_calls_over_a_models_limit_go_to_another_model(gateway: Gateway, stub: Stub) -> None:
    lane = LANES["narrow"]
    stub.behave(lane.strong_name, delay=1.5)
    models = asyncio.run(ask_all(gateway, lane.model, 8))
    assert stub.most_at_once(lane.strong_name) <= 2
    assert 1 <= models.count(lane.strong_name) <= 2
    assert set(models) == {lane.strong_name, lane.weak_name}
    stub.behave(lane.strong_name)


def test_waiting_callers_get_the_slots_of_callers_who_leave(gateway: Gateway, stub: Stub) -> None:
    lane = LANES["narrow"]
    stub.behave(lane.strong_name, delay=0.1)
    models = asyncio.run(ask_all(gateway, lane.model, 4))
    assert models.count(lane.strong_name) >= 3
    stub.behave(lane.strong_name)


def test_busy_model_named_outright_is_503(gateway: Gateway, stub: Stub) -> None:
    lane = LANES["narrow_alone"]
    stub.behave(lane.strong_name, delay=1.5)
    answers = asyncio.run(ask_all(gateway, lane.strong_name, 8))
    assert set(answers) == {lane.strong_name, "upstream_concurrency_limit"}
    stub.behave(lane.strong_name)


def test_limit_below_the_number_of_processes_holds(gateway: Gateway, stub: Stub) -> None:
    """Two processes and one call at a time: waiting callers of both get their turn."""
    lane = LANES["single"]
    stub.behave(lane.strong_name, delay=0.1)
    answers = asyncio.run(ask_all(gateway, lane.strong_name, 20))
    assert answers == [lane.strong_name] * 20
    assert stub.most_at_once(lane.strong_name) == 1
    stub.behave(lane.strong_name)


def test_two_hundred_streams_at_once(gateway: Gateway, stub: Stub) -> None:
    lane = LANES["crowd"]
    stub.behave(lane.strong_name, pause=0.05)

    async def one(client: openai.AsyncOpenAI) -> str:
        text = ""
        chunks = await client.chat.completions.create(
            model=lane.model, messages=turns(), stream=True
        )
        async for chunk in chunks:
            text += chunk.choices[0].delta.content or ""
        return text

    async def crowd() -> list[str]:
        async with gateway.async_client() as client:
            return await asyncio.gather(*(one(client) for _ in range(200)))

    assert asyncio.run(crowd()) == [TEXT] * 200
    stub.behave(lane.strong_name)


def test_slow_provider_does_not_delay_pages(gateway: Gateway, stub: Stub) -> None:
    """Thirty callers wait; there are sixteen threads for pages."""
    lane = LANES["crowd"]
    stub.behave(lane.strong_name, delay=5.0)

    async def pages() -> float:
        waiting = asyncio.ensure_future(ask_all(gateway, lane.model, 30))
        await asyncio.sleep(0.7)
        started = time.monotonic()
        async with httpx.AsyncClient() as browser:
            for _ in range(3):
                assert (await browser.get(f"{gateway.server.url}/readyz")).status_code == 200
        elapsed = time.monotonic() - started
        assert not waiting.done()
        assert set(await waiting) == {lane.strong_name}
        return elapsed

    assert asyncio.run(pages()) < 3.5
    stub.behave(lane.strong_name)
