"""Killing processes in the middle of chat calls loses no outcome."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.gateway.chats import turns
from tests.gateway.database_server import DatabaseServer, database_server, worker_pids
from tests.gateway.rows import secret_of
from tests.gateway.running_totals import until
from tests.gateway.stub import Stub, running_stub

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.django_db(transaction=True)]

MODEL = "stub/plain-strong"
CALLERS = 12
SECONDS = 25.0  # longer than the interval of heartbeats and sweeps


@pytest.fixture
def stub() -> Iterator[Stub]:
    with running_stub() as stub:
        yield stub


async def _ask(client: openai.AsyncOpenAI) -> str:
    """The result of one call: its decision, or the name of an error."""
    try:
        raw = await client.chat.completions.with_raw_response.create(
            model="router/plain", messages=turns(), max_tokens=40
        )
    except openai.APIError as error:
        return type(error).__name__
    return raw.headers["x-switchyard-decision-id"]


async def _swept(stored: DatabaseServer, stub: Stub, *, kill: bool) -> tuple[list[str], int]:
    """The results of slow calls, and how many a sweep settled while all of them were in flight."""
    url = f"{stored.server.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key=secret_of("load"), max_retries=0) as client:
        calls = [asyncio.ensure_future(_ask(client)) for _ in range(CALLERS)]
        while len(await asyncio.to_thread(stub.calls, MODEL)) < CALLERS:
            await asyncio.sleep(0.05)
        if kill:
            os.kill(await asyncio.to_thread(stored.ask, "busiest_process"), signal.SIGKILL)
        swept = await asyncio.to_thread(stored.server.manage, "sweep_abandoned_calls")
        assert not any(call.done() and "-" in call.result() for call in calls), "too slow"
        return await asyncio.gather(*calls), int(swept.split()[1])


def test_calls_of_a_killed_process_are_estimated_and_those_of_the_others_untouched(
    tmp_path: Path, stub: Stub
) -> None:
    stub.behave(MODEL, delay=SECONDS)
    with database_server(tmp_path, stub.url) as stored:
        answers, swept = asyncio.run(_swept(stored, stub, kill=True))
        answered = [each for each in answers if "-" in each]
        assert swept == CALLERS - len(answered) > 0
        until(lambda: stored.ask("in_flight") == 0, 30)
        assert stored.ask("without_outcome", answered) == []
        statuses = stored.ask("attempts")
        assert statuses.get("interrupted", 0) == swept
        assert statuses.get("ok", 0) == len(answered)
        assert stored.ask("differing_sums") == []
        usage = stored.ask("usage", "load")
        assert usage["day"][0] == usage["counted"][0] == CALLERS
        assert usage["day"][2] == usage["minute"][2] == usage["counted"][2]


def test_a_sweep_touches_no_call_while_its_process_lives(tmp_path: Path, stub: Stub) -> None:
    stub.behave(MODEL, delay=SECONDS)
    with database_server(tmp_path, stub.url) as stored:
        answers, swept = asyncio.run(_swept(stored, stub, kill=False))
        assert swept == 0
        until(lambda: stored.ask("in_flight") == 0, 30)
        assert stored.ask("without_outcome", answers) == []
        assert stored.ask("attempts") == {"ok": CALLERS}


def test_the_end_of_a_server_settles_what_is_answered(tmp_path: Path, stub: Stub) -> None:
    """Outcomes are batched for a tenth of a second: `SIGTERM` right after a response loses none."""
    with database_server(tmp_path, stub.url) as stored:
        url = f"{stored.server.url}/v1"
        client = openai.OpenAI(base_url=url, api_key=secret_of("load"), max_retries=0)
        raw = client.chat.completions.with_raw_response.create(
            model="router/plain", messages=turns()
        )
        decision = raw.headers["x-switchyard-decision-id"]
        for pid in worker_pids(stored.server):
            os.kill(pid, signal.SIGTERM)
        until(lambda: stored.ask("in_flight") == 0, 20)
        assert stored.ask("without_outcome", [decision]) == []
