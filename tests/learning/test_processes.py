"""Rounds with several background processes, one of which is killed in the middle."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.api.server import PREPARE, ROOT, environment_of

pytestmark = [pytest.mark.server, pytest.mark.slow]

STREAM = """
import datetime
from django.utils import timezone
from experiments.learning.rounds import run_rounds
from tests.learning import stream
stream.START = timezone.now() - datetime.timedelta(minutes=30)
stream.learning_on()
run_rounds(stream.moment(-1))
stream.send(stream.asked(120), 0, paired=[number % 2 == 0 for number in range(120)])
"""


class Installation:
    """A database with 120 labeled requests that no round has seen."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "served.sqlite3"
        self.environment = {
            **environment_of(self.database, 8000),
            "LAB_DIR": str(folder / "lab"),
            "TASK_LEASE_SECONDS": "2",
            "DATABASE_BUSY_SECONDS": "20",
        }
        command = [sys.executable, "-c", PREPARE, f"exec({STREAM!r}, {{}})"]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()[-2000:]

    def value(self, question: str) -> object:
        with sqlite3.connect(self.database, timeout=20) as connection:
            return connection.execute(question).fetchone()[0]

    @contextmanager
    def run_tasks(self) -> Iterator["subprocess.Popen[bytes]"]:
        command = [sys.executable, "manage.py", "run_tasks"]
        with subprocess.Popen(command, cwd=ROOT, env=self.environment) as running:
            try:
                yield running
            finally:
                if running.poll() is None:
                    running.send_signal(signal.SIGTERM)

    def until(self, question: str, wanted: object, seconds: float = 120.0) -> None:
        deadline = time.monotonic() + seconds
        while self.value(question) != wanted:
            assert time.monotonic() < deadline, f"{question}: {self.value(question)}"
            time.sleep(0.05)


ROUNDS = "SELECT count(*) FROM experiments_learninground WHERE requests = 120"
CHECKPOINTS = "SELECT count(*) FROM experiments_learnedcheckpoint"
ROUTERS = "SELECT count(*) FROM experiments_router WHERE kind = 'learned'"
RUNNING = "SELECT COALESCE(MAX(status), '') FROM experiments_periodicjob WHERE name = 'learn'"


def test_two_processes_run_a_round_once(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    with installation.run_tasks(), installation.run_tasks():
        installation.until(ROUNDS, 2)  # of the domain, and of all domains
        time.sleep(8)  # both look for a round again
    assert installation.value(ROUNDS) == 2
    assert installation.value(CHECKPOINTS) == installation.value(ROUTERS) == 1


def test_a_round_of_a_killed_process_is_run_by_the_next_one(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    with installation.run_tasks() as first:
        installation.until(RUNNING, "running")
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    with installation.run_tasks():
        installation.until(ROUNDS, 2)
        time.sleep(6)
    assert installation.value(ROUNDS) == 2
    assert installation.value(CHECKPOINTS) == installation.value(ROUTERS) == 1
