"""A worker imports nothing at its first request, because it is forked ready."""

import json
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.api.server import KEY, ROOT, Server, running_server

pytestmark = pytest.mark.server
HEAVY = {"sklearn", "pandas", "pyarrow", "torch", "routellm"}
MEBIBYTE = 1024
LOGIN = """
from django.contrib.auth import get_user_model
from django.test import Client
user = get_user_model().objects.create_superuser("ann")
client = Client()
client.force_login(user)
open("{file}", "w").write(client.cookies["sessionid"].value)
"""
PAGES = (
    "/",
    "/domains/technical/",
    "/decisions/",
    "/experiments/",
    "/rollouts/",
    "/lab/",
    "/admin/",
)


class Logged(NamedTuple):
    server: Server
    log: Path
    cookies: dict[str, str]

    def lines(self) -> list[dict[str, Any]]:
        """The last line may be half written."""
        lines = self.log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def pids(self, role: str) -> set[int]:
        return {line[role] for line in self.lines()}


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    folder = tmp_path_factory.mktemp("cold")
    log, session = folder / "modules.jsonl", folder / "session"
    login = LOGIN.format(file=session).strip().replace("\n", "; ")
    with running_server(
        folder,
        prepare=(login,),
        MODULE_LOG=str(log),
        GUNICORN_CMD_ARGS=f"--config {ROOT / 'tests/api/gunicorn_module_log.py'}",
    ) as server:
        yield Logged(server, log, {"sessionid": session.read_text()})


def test_no_first_request_imports_anything(logged: Logged) -> None:
    """For every worker and every page."""
    chat = {"model": "router-auto", "messages": [{"role": "user", "content": "Fix my loop."}]}
    for _ in range(8):
        logged.server.post("/api/v1/route", {"text": "Fix my loop.", "unit_id": "u"})
        logged.server.post("/v1/chat/completions", chat)
    for path in PAGES:
        response = httpx.get(f"{logged.server.url}{path}", cookies=logged.cookies)
        assert response.status_code == 200, path
    wait_for_line(logged, PAGES[-1])
    imported = {line["path"]: line["imported"] for line in logged.lines() if line["imported"]}
    assert imported == {}
    assert {"/api/v1/route", "/v1/chat/completions", *PAGES} <= {
        line["path"] for line in logged.lines()
    }


def test_processes_that_serve_load_nothing_that_trains(logged: Logged) -> None:
    logged.server.post("/api/v1/route", {"text": "Fix my loop."})
    loaded: set[str] = set().union(*(line["loaded"] for line in logged.lines()))
    assert "numpy" in loaded
    assert loaded & HEAVY == set()


def test_a_worker_takes_at_most_160_mebibytes_under_load(logged: Logged) -> None:
    def ask(number: int) -> int:
        body = {"text": f"Question {number} about loops in Python", "unit_id": f"u{number % 50}"}
        with httpx.Client() as client:
            headers = {"Authorization": f"Bearer {KEY}"}
            answers = [
                client.post(f"{logged.server.url}/api/v1/route", json=body, headers=headers)
                for _ in range(25)
            ]
        return sum(answer.status_code == 201 for answer in answers)

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(ask, range(60))) == 1500
    workers = logged.pids("worker")
    assert len(workers) == 2
    used = {pid: proportional_set_size(pid) for pid in workers}
    assert max(used.values()) <= 160 * MEBIBYTE, used


def test_the_process_that_forks_has_no_database_open(logged: Logged) -> None:
    logged.server.post("/api/v1/route", {"text": "Fix my loop."})
    (master,) = logged.pids("master")
    assert opened_by(master, logged.server.database) == []
    assert any(opened_by(worker, logged.server.database) for worker in logged.pids("worker"))
    with sqlite3.connect(logged.server.database) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def proportional_set_size(pid: int) -> int:
    """In kibibytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def opened_by(pid: int, database: Path) -> list[str]:
    links = [file.readlink() for file in Path(f"/proc/{pid}/fd").iterdir()]
    return [str(link) for link in links if str(link).startswith(str(database))]


def wait_for_line(logged: Logged, path: str) -> None:
    """A line is written after its response is sent."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if any(line["path"] == path for line in logged.lines()):
            return
        time.sleep(0.05)
