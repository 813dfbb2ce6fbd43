"""The strong model's provider crashes under load: only callers who have begun to read lose an
answer, and the rows show what happened."""

import asyncio
from collections import Counter

import openai
import pytest

from tests.gateway.chats import TEXT, turns
from tests.gateway.conftest import Gateway
from tests.gateway.rows import LANES
from tests.gateway.running_totals import until
from tests.gateway.stub import Stub

pytestmark = pytest.mark.server
CALLERS, EACH = 12, 8


def test_nothing_accepted_is_lost(gateway: Gateway, stub: Stub) -> None:
    lane = LANES["pulled"]
    stub.behave(lane.strong_name, delay=0.05)
    answers: Counter[str] = Counter()
    broken: list[str] = []

    async def caller(client: openai.AsyncOpenAI, number: int) -> None:
        for turn in range(EACH):
            if number == 0 and turn == EACH // 3:
                await asyncio.to_thread(stub.behave, lane.strong_name, cut_after=0)
            if (number + turn) % 2:
                await whole(client)
            else:
                await streamed(client)

    async def whole(client: openai.AsyncOpenAI) -> None:
        answer = await client.chat.completions.create(model=lane.model, messages=turns())
        assert answer.choices[0].message.content == TEXT
        answers[answer.model] += 1

    async def streamed(client: openai.AsyncOpenAI) -> None:
        text, model = "", ""
        chunks = await client.chat.completions.create(
            model=lane.model, messages=turns(), stream=True
        )
        try:
            async for chunk in chunks:
                text, model = text + (chunk.choices[0].delta.content or ""), chunk.model
        except openai.APIError:
            broken.append(text)  # a stream that had begun
            return
        assert text == TEXT
        answers[model] += 1

    async def load() -> None:
        async with gateway.async_client() as client:
            await asyncio.gather(*(caller(client, number) for number in range(CALLERS)))

    asyncio.run(load())
    assert all(broken)
    assert sum(answers.values()) + len(broken) == CALLERS * EACH
    assert answers[lane.strong_name] > 0
    assert answers[lane.weak_name] > 0
    seen_by_the_books(gateway, answers)


def seen_by_the_books(gateway: Gateway, answers: Counter[str]) -> None:
    lane = LANES["pulled"]
    assert gateway.stored.count("pulled") == CALLERS * EACH
    question = (
        "SELECT o.model AS fallen, COUNT(*) AS n FROM experiments_outcome o "
        "JOIN experiments_decision d ON d.id = o.decision_id "
        "WHERE d.domain = 'pulled' AND o.success GROUP BY o.model"
    )

    def booked() -> dict[str, int]:
        rows = {row["fallen"]: row["n"] for row in gateway.stored.rows(question)}
        return rows if sum(rows.values()) == sum(answers.values()) else {}

    until(booked)
    circuit = gateway.stored.circuit(lane.strong_name)
    assert circuit["open_until"] is not None
    attempts = gateway.stored.rows(
        "SELECT status, COUNT(*) AS n FROM experiments_attempt WHERE model = ? GROUP BY status",
        lane.strong_name,
    )
    assert {row["status"] for row in attempts} == {"ok", "cut"}
