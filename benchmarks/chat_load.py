"""Callers of a chat endpoint, plain and streaming, over kept connections.

wrk does not read streams, so this is its own small client: each caller keeps one connection, sends
a request, reads its answer to the end, and sends the next. It runs in a process of its own:
`python -m benchmarks.chat_load` reads the load as JSON and prints one line of it.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

DONE = b"[DONE]"
LONGEST_SECONDS = 30.0
STRIDE = 1009  # callers send different prompts at any time


@dataclass(frozen=True)
class ChatLoad:
    """`body` is sent with the text of each prompt in turn."""

    port: int
    callers: int
    seconds: float
    streams: bool
    model: str
    key: str
    prompts: Sequence[str]


class Result(NamedTuple):
    """Times are milliseconds: until the whole answer, and until a stream's first event."""

    requests: int
    errors: int
    seconds: float
    p50_ms: float
    p99_ms: float
    first_p50_ms: float


class Answer(NamedTuple):
    is_good: bool
    first: float
    end: float


def run(load: ChatLoad) -> Result:
    return asyncio.run(_run(load))


async def _run(load: ChatLoad) -> Result:
    requests = [_request(load, text) for text in load.prompts]
    until = time.perf_counter() + load.seconds
    started = time.perf_counter()
    found = await asyncio.gather(
        *(_caller(load, requests, number, until) for number in range(load.callers))
    )
    elapsed = time.perf_counter() - started
    answers = [answer for each in found for answer in each]
    good = [answer for answer in answers if answer.is_good]
    ends, firsts = sorted(a.end for a in good), sorted(a.first for a in good)
    return Result(
        len(good),
        len(answers) - len(good),
        round(elapsed, 3),
        _share(ends, 0.5),
        _share(ends, 0.99),
        _share(firsts, 0.5),
    )


async def _caller(
    load: ChatLoad, requests: Sequence[bytes], number: int, until: float
) -> list[Answer]:
    answers: list[Answer] = []
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while time.perf_counter() < until:
        request = requests[(number * STRIDE + len(answers)) % len(requests)]
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                connection = connection or await asyncio.open_connection("127.0.0.1", load.port)
                answers.append(await _ask(*connection, request, streams=load.streams))
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
            answers.append(Answer(False, 0.0, 0.0))
            if connection:
                connection[1].close()
            connection = None
            await asyncio.sleep(0.01)
    if connection:
        connection[1].close()
    return answers


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, *, streams: bool
) -> Answer:
    started = time.perf_counter()
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    first, body = 0.0, b""
    if b"transfer-encoding: chunked" in head:
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            first = first or time.perf_counter() - started
            await reader.readexactly(2)
        await reader.readline()
    else:
        body = await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    end = time.perf_counter() - started
    is_good = b" 200 " in head[:16] and (DONE in body if streams else b'"choices"' in body)
    return Answer(is_good, first or end, end)


def _request(load: ChatLoad, text: str) -> bytes:
    body = {
        "model": load.model,
        "messages": [{"role": "user", "content": text}],
        "stream": load.streams,
        "user": f"user-{len(text) % 300}",
    }
    raw = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{load.port}\r\n"
        f"Authorization: Bearer {load.key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(raw)}\r\n\r\n"
    )
    return head.encode() + raw


def _share(ordered: Sequence[float], share: float) -> float:
    if not ordered:
        return float("nan")
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3, 3)


if __name__ == "__main__":
    print(json.dumps(run(ChatLoad(**json.load(sys.stdin)))._asdict()))
