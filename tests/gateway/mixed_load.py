"""Chat calls, routed prompts and feedback at the same time, over kept connections."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.api.server import KEY, Server
from tests.gateway.rows import secret_of

CHAT_CALLERS, REST_CALLERS = 32, 3
SENTENCES = ("Sort a list.", "Prove it.", "Write a poem about the sea.", "How long do eggs boil?")


@dataclass
class Answers:
    """Statuses by endpoint, and the decision ids of successful chat calls."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    answered: list[str] = field(default_factory=list)
    routed: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def failed(self) -> dict[str, int]:
        return {f"{client} {code}": n for (client, code), n in self.statuses.items() if code >= 400}


def run(server: Server, each: int, key: str) -> Answers:
    return asyncio.run(_run(server, each, key))


async def _run(server: Server, each: int, key: str) -> Answers:
    answers = Answers()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(server.url, connector=connector) as session:
        rest = [
            asyncio.ensure_future(work(session, answers, random.Random(number)))
            for number in range(REST_CALLERS)
            for work in (_routes, _rates)
        ]
        await asyncio.gather(
            *(_chats(session, answers, number, each, key) for number in range(CHAT_CALLERS))
        )
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
    return answers


async def _chats(
    session: aiohttp.ClientSession, answers: Answers, number: int, each: int, key: str
) -> None:
    chance = random.Random(number)
    for turn in range(each):
        body = {
            "model": chance.choice(["router-auto", "router/plain", "router/stored"]),
            "messages": [{"role": "user", "content": chance.choice(SENTENCES)}],
            "user": f"user-{chance.randrange(40)}",
            "stream": turn % 4 == 0,
        }
        status, headers = await _post(
            session, answers, "chat", "/v1/chat/completions", body, secret_of(key)
        )
        if status == 200:
            answers.answered.append(headers["x-switchyard-decision-id"])


async def _routes(session: aiohttp.ClientSession, answers: Answers, chance: random.Random) -> None:
    while True:
        item = {"text": chance.choice(SENTENCES), "unit_id": f"user-{chance.randrange(40)}"}
        path, body = "/api/v1/route", item
        if chance.random() < 0.3:
            path, body = "/api/v1/route/batch", {"items": [item] * 5}  # type: ignore[dict-item]
        await _post(session, answers, "route", path, body, KEY)


async def _rates(session: aiohttp.ClientSession, answers: Answers, chance: random.Random) -> None:
    while True:
        if not answers.answered:
            await asyncio.sleep(0.05)
            continue
        some = chance.sample(answers.answered, min(3, len(answers.answered)))
        items = [
            {"decision_id": one, "metric": "quality", "value": chance.random(), "source": "human"}
            for one in some
        ]
        await _post(session, answers, "feedback", "/api/v1/feedback", {"items": items}, KEY)


async def _post(
    session: aiohttp.ClientSession, answers: Answers, client: str, path: str, body: Any, key: str
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    async with session.post(path, json=body, headers=headers) as answer:
        text = await answer.text()
        answers.statuses[client, answer.status] += 1
        if answer.status >= 400:
            answers.faults.append(f"{client} {answer.status} {text[:200]}")
        return answer.status, answer.headers
