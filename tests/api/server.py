"""The real web server on a free port, on a separate database."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

ROOT = Path(__file__).resolve().parents[2]
KEY = "sy_only-for-these-tests"
# In one process: each manage.py takes seconds to begin.
PREPARE = """
import sys
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("seed")
for line in sys.argv[1:]:
    exec(line)
"""


class Server(NamedTuple):
    url: str
    database: Path
    environment: dict[str, str]

    def post(self, path: str, body: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {KEY}"}
        return httpx.post(f"{self.url}{path}", json=body, headers=headers, timeout=30)

    def manage(self, *arguments: str) -> str:
        return manage(self.environment, *arguments)


def environment_of(database: Path, port: int) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{database}",
        "DATABASE_BUSY_SECONDS": "1",
        "DJANGO_SETTINGS_MODULE": "routing_site.settings",
        "SECRET_KEY": "only-for-these-tests-" + "x" * 40,
        "DEMO_API_KEY": KEY,
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "WEB_CONCURRENCY": "2",
        "LOG_LEVEL": "WARNING",
        "BACKGROUND_TASKS": "false",
        "PYTHONWARNINGS": "ignore",
        "PROVIDER_KEY_NAMES": "NO_SUCH_KEY_IS_SET",
    }


def manage(environment: dict[str, str], *arguments: str) -> str:
    return _python(environment, "manage.py", *arguments)


def _python(environment: dict[str, str], *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@contextmanager
def running_server(folder: Path, prepare: Sequence[str] = (), **settings: str) -> Iterator[Server]:
    """Migrated, seeded and ready; stopped at the end. `prepare` are lines of Python that run
    before it starts, `settings` are added to its environment."""
    port = free_port()
    environment = {**environment_of(folder / "served.sqlite3", port), **settings}
    _python(environment, "-c", PREPARE, *prepare)
    server = Server(f"http://127.0.0.1:{port}", folder / "served.sqlite3", environment)
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            _wait(server, process, folder / "server.log")
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=40)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{server.url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"The server did not get ready:\n{log.read_text()[-4000:]}")


@contextmanager
def locked(server: Server) -> Iterator[None]:
    """Another program that writes to the database continuously."""
    other = sqlite3.connect(server.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()
