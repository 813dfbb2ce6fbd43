"""Thresholds with real processes: two that answer, and one that moves and is killed."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.prompt_streams import stream
from tests.api.server import ROOT, Server, running_server
from tests.storage.fresh_database import fresh_database

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

KILLED_AT, RESTARTED_AT, REQUESTS = 400, 500, 900


@contextmanager
def background_process(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "run_tasks"],
        cwd=ROOT,
        env=server.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=30)


def routed(server: Server, prompt: str) -> dict[str, Any]:
    """Tries again where the database is busy, as the response asks for."""
    for _ in range(10):
        answer = server.post("/api/v1/route", {"text": prompt, "domain": "general"})
        if answer.status_code != 503:
            break
        time.sleep(float(answer.headers["Retry-After"]))
    assert answer.status_code == 201, answer.text
    decision: dict[str, Any] = answer.json()
    return decision


def wait_for_a_table(server: Server) -> None:
    """The first table changes the threshold that the domain was seeded with."""
    seeded = routed(server, "Is there a table?")["router"]["threshold"]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if routed(server, "Is there a table?")["router"]["threshold"] != seeded:
            return
        time.sleep(0.5)
    raise AssertionError("No threshold table within a minute.")


def test_two_web_processes_keep_the_share_while_the_mover_is_killed(tmp_path: Path) -> None:
    prompts = list(stream("mixed", REQUESTS, seed=7))
    decisions: list[dict[str, Any]] = []
    with (
        fresh_database(tmp_path) as url,
        running_server(tmp_path, DATABASE_URL=url) as server,
    ):
        with background_process(server) as mover:
            wait_for_a_table(server)
            decisions += [routed(server, prompt) for prompt in prompts[:KILLED_AT]]
            mover.send_signal(signal.SIGKILL)
        decisions += [routed(server, prompt) for prompt in prompts[KILLED_AT:RESTARTED_AT]]
        with background_process(server):
            decisions += [routed(server, prompt) for prompt in prompts[RESTARTED_AT:]]

    thresholds = [one["router"]["threshold"] for one in decisions]
    assert len(set(thresholds[:KILLED_AT])) > 3, "tables moved"
    assert len(set(thresholds[KILLED_AT + 50 : RESTARTED_AT])) == 1, "no process moved them"
    assert thresholds[-1] != thresholds[RESTARTED_AT - 1], "the next process went on"
    strong = [one["tier"] == "strong" for one in decisions[200:]]
    assert sum(strong) / len(strong) == pytest.approx(0.5, abs=0.05)
