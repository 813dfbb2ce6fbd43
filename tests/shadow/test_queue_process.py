"""Shadow calls end to end: the real server and a real queue process, one of which is killed."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.api.server import KEY, ROOT, Server, running_server
from tests.shadow.provider import Provider, provider, usual

pytestmark = pytest.mark.server

SET_UP = "from tests.shadow.rows import set_up; set_up('{url}')"
SECRET_WORDS = "perspicacious aardvark"
BROKER = "redis://127.0.0.1:6379/13"
Rows = list[tuple[Any, ...]]


def rows(database: Path, question: str) -> Rows:
    with sqlite3.connect(database, timeout=10) as connection:
        return connection.execute(question).fetchall()


def until(found: Callable[[], bool], seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.1)


def ask(server: Server, *, stream: bool = False, text: str = SECRET_WORDS) -> httpx.Response:
    body = {
        "model": "router/technical",
        "stream": stream,
        "messages": [{"role": "user", "content": text}],
    }
    headers = {"Authorization": f"Bearer {KEY}"}
    url = f"{server.url}/v1/chat/completions"
    return httpx.post(url, json=body, headers=headers, timeout=30)


def states(server: Server) -> list[str]:
    return [row[0] for row in rows(server.database, "SELECT status FROM experiments_shadowpair")]


@contextmanager
def process(server: Server, *command: str, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs next to the server, on its database; stopped at the end, if it has not ended before."""
    environment = {**server.environment, **settings}
    with subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.kill()


def run_tasks(server: Server, **settings: str) -> Any:
    return process(server, "manage.py", "run_tasks", **settings)


def test_a_call_is_answered_first_and_compared_afterwards(tmp_path: Path) -> None:
    """Whole and streamed; the server's own process works through the queue."""
    with (
        provider() as stub,
        running_server(
            tmp_path, prepare=(SET_UP.format(url=stub.url),), BACKGROUND_TASKS="true"
        ) as server,
    ):
        whole, streamed = ask(server), ask(server, stream=True)
        assert whole.json()["choices"][0]["message"]["content"] == "Badly answered."
        assert "Well answered" not in streamed.text
        until(lambda: states(server) == ["judged", "judged"])
        shown = rows(server.database, "SELECT metric, source, value FROM experiments_feedback")
        assert shown == [("judge_preference", "judge", 0.0)] * 2
        decided = rows(server.database, "SELECT count(*) FROM experiments_decision")
        assert decided == [(2,)]
        assert SECRET_WORDS in str(stub.asked("judge")[0])
    stored = b"".join(file.read_bytes() for file in tmp_path.glob("served.sqlite3*"))
    assert SECRET_WORDS.encode() not in stored
    assert b"Badly answered" not in stored


@pytest.mark.slow
def test_calls_of_a_killed_queue_process_are_not_paid_twice(tmp_path: Path) -> None:
    """Killed while the other model answers: another process resumes the task and calls the rest."""
    reached, release = threading.Event(), threading.Event()

    def slow(model: str, body: dict[str, Any]) -> str:
        if model == "strong":
            reached.set()
            release.wait(240)
        return usual(model, body)

    with (
        provider(slow) as stub,
        running_server(tmp_path, prepare=(SET_UP.format(url=stub.url),)) as server,
    ):
        ask(server)
        until(lambda: states(server) == ["waiting"])
        with run_tasks(server, TASK_LEASE_SECONDS="2") as first:
            assert reached.wait(240)
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
        sealed = "SELECT status, sealed FROM experiments_shadowpair"
        assert rows(server.database, sealed) == [("asking", "")]
        release.set()
        with run_tasks(server, TASK_LEASE_SECONDS="2"):
            taken = "SELECT status, attempts FROM experiments_backgroundtask"
            until(lambda: rows(server.database, taken) == [("done", 2)])
        assert states(server) == ["lost"]
        assert len(stub.bodies) == 2  # the user's answer, and the other model's
        own = "SELECT status, estimated, cost FROM experiments_owncall"
        charged = "SELECT SUM(cost) AS cost FROM experiments_keyusage WHERE key_id = 0"
        assert rows(server.database, own) == [
            ("interrupted", 1, rows(server.database, charged)[0][0])
        ]


@pytest.mark.slow
def test_what_was_queued_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    with provider() as stub:
        with running_server(tmp_path, prepare=(SET_UP.format(url=stub.url),)) as server:
            ask(server)  # booked and queued when the server ends, if not before
        assert states(server) == ["waiting"]
        server.manage("run_tasks", "--once")
        assert states(server) == ["judged"]


# Celery, over the real Redis


@pytest.fixture
def broker() -> Iterator[str]:
    """A database number of our own, emptied before and after."""
    connection = redis.Redis.from_url(BROKER)
    try:
        connection.flushdb()
    except redis.ConnectionError:
        warnings.warn(
            pytest.PytestWarning("NO REDIS ANSWERS AT 127.0.0.1:6379: Celery is not tried."),
            stacklevel=1,
        )
        pytest.skip("NO REDIS ANSWERS AT 127.0.0.1:6379: Celery is not tried.")
    yield BROKER
    connection.flushdb()
    connection.close()


@contextmanager
def celery_server(folder: Path, broker: str, stub: Provider) -> Iterator[Server]:
    prepare = (SET_UP.format(url=stub.url),)
    with running_server(folder, prepare=prepare, CELERY_BROKER_URL=broker) as server:
        yield server


def worker(server: Server) -> Any:
    return process(
        server, "-m", "celery", "--app", "routing_site.celery", "worker", "--pool", "prefork",
        "--concurrency", "1", "--hostname", f"test-{uuid.uuid4().hex}", "--loglevel", "WARNING",
        "--without-gossip", "--without-mingle",
    )  # fmt: skip


@pytest.mark.slow
def test_celery_carries_the_same_work(tmp_path: Path, broker: str) -> None:
    with provider() as stub, celery_server(tmp_path, broker, stub) as server:
        ask(server)
        until(lambda: states(server) == ["waiting"])
        connection = redis.Redis.from_url(broker)
        until(lambda: connection.llen("switchyard") == 1)
        assert SECRET_WORDS.encode() not in (connection.lrange("switchyard", 0, -1)[0])
        connection.close()
        with worker(server):
            until(lambda: states(server) == ["judged"])


@pytest.mark.slow
def test_a_task_of_a_dead_celery_worker_is_sent_again(tmp_path: Path, broker: str) -> None:
    """Celery loses a killed worker's tasks. The watching process does not."""
    reached, release = threading.Event(), threading.Event()

    def slow(model: str, body: dict[str, Any]) -> str:
        if model == "strong":
            reached.set()
            release.wait(240)
        return usual(model, body)

    with provider(slow) as stub, celery_server(tmp_path, broker, stub) as server:
        server.environment["TASK_LEASE_SECONDS"] = "2"
        ask(server)
        with worker(server) as first:
            assert reached.wait(240)
            children = f"/proc/{first.pid}/task/{first.pid}/children"
            for child in [int(pid) for pid in Path(children).read_text().split()]:
                os.kill(child, signal.SIGKILL)
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
        release.set()
        assert states(server) == ["asking"]
        with worker(server), run_tasks(server):
            until(lambda: states(server) == ["lost"])
        assert len(stub.asked("strong")) == 1


@pytest.mark.slow
def test_an_unavailable_broker_loses_nothing(tmp_path: Path) -> None:
    """The response is sent, the row waits."""
    with (
        provider() as stub,
        running_server(
            tmp_path,
            prepare=(SET_UP.format(url=stub.url),),
            CELERY_BROKER_URL="redis://127.0.0.1:9/0",
        ) as server,
    ):
        assert ask(server).status_code == 200
        until(lambda: states(server) == ["waiting"])
        assert ask(server).status_code == 200
        queued = rows(server.database, "SELECT status FROM experiments_backgroundtask")
        assert queued == [("queued",)]
