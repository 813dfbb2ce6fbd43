"""The server while its database stalls: many concurrent callers, and probes."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import httpx

from tests.api.server import KEY, Server

# The tests' DATABASE_BUSY_SECONDS, and the extra time for a response on a machine
# that other tests keep busy.
BUSY_SECONDS, SLACK_SECONDS = 2, 2.0
CALLERS = 24
CHAT = {"model": "router-auto", "messages": [{"role": "user", "content": "Fix my loop."}]}


class Answered(NamedTuple):
    status: int
    seconds: float
    retry_after: str | None
    body: str


def timed(send: Callable[[], httpx.Response]) -> Answered:
    started = time.monotonic()
    response = send()
    seconds = time.monotonic() - started
    return Answered(
        response.status_code, seconds, response.headers.get("retry-after"), response.text
    )


def ask(client: httpx.Client, number: int) -> Answered:
    """Every third call is a chat."""
    if number % 3 == 0:
        return timed(lambda: client.post("/v1/chat/completions", json=CHAT))
    return timed(lambda: client.post("/api/v1/route", json={"text": f"Question {number}"}))


def client_of(server: Server) -> httpx.Client:
    headers = {"Authorization": f"Bearer {KEY}"}
    return httpx.Client(base_url=server.url, headers=headers, timeout=60)


@contextmanager
def callers(server: Server) -> Iterator[list[Answered]]:
    """More callers than the server has threads. Their responses are complete at the end."""
    answers: list[Answered] = []
    with client_of(server) as client, ThreadPoolExecutor(CALLERS) as pool:
        asked = [pool.submit(ask, client, number) for number in range(CALLERS)]
        time.sleep(0.3)
        yield answers
        answers += [future.result() for future in asked]


def refuses_everything_in_time(server: Server) -> None:
    """The process stays alive and reports at once that it is not ready."""
    with client_of(server) as prober, callers(server) as answers:
        for _ in range(4):
            health = timed(lambda: prober.get("/healthz"))
            assert health.status == 200
            assert health.seconds < 0.5
        time.sleep(1.0)  # responses of /readyz are cached for a second
        ready = timed(lambda: prober.get("/readyz"))
        assert ready.status == 503, ready.body
        assert ready.seconds < 3 + SLACK_SECONDS
    assert {(answer.status, answer.retry_after) for answer in answers} == {(503, "1")}
    assert max(answer.seconds for answer in answers) < BUSY_SECONDS + SLACK_SECONDS


def recovers(server: Server) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if httpx.get(f"{server.url}/readyz", timeout=10).status_code == 200:
            break
        time.sleep(0.2)
    with client_of(server) as client:
        for number in (1, 2, 4, 5):
            answer = ask(client, number)
            assert answer.status == 201, answer
