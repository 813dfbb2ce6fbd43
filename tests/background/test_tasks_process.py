"""The background process that the web server starts and stops."""

import sqlite3
import time
from pathlib import Path

import pytest

from tests.api.server import running_server

pytestmark = pytest.mark.server


def _queue(database: Path) -> int:
    """A task with an unknown name: it can only fail."""
    with sqlite3.connect(database, timeout=10) as rows:
        cursor = rows.execute(
            "INSERT INTO experiments_backgroundtask (name, arguments, status, by, queued_at,"
            " run_after, attempts, cancel_requested, done_steps, all_steps, log, result, error)"
            " VALUES ('unheard-of', '{}', 'queued', '', '2026-01-01', '2026-01-01', 0, 0, 0, 0,"
            " '', '{}', '')"
        )
        assert cursor.lastrowid
        return cursor.lastrowid


def _status(database: Path, task: int) -> str:
    with sqlite3.connect(database, timeout=10) as rows:
        query = "SELECT status FROM experiments_backgroundtask WHERE id = ?"
        return str(rows.execute(query, (task,)).fetchone()[0])


def _jobs_done(database: Path) -> int:
    with sqlite3.connect(database, timeout=10) as rows:
        query = "SELECT count(*) FROM experiments_periodicjob WHERE status = 'done'"
        return int(rows.execute(query).fetchone()[0])


@pytest.mark.slow
def test_the_server_processes_the_queue_until_it_ends(tmp_path: Path) -> None:
    with running_server(tmp_path, BACKGROUND_TASKS="true") as server:
        task, deadline = _queue(server.database), time.monotonic() + 60
        while _status(server.database, task) != "failed":
            assert time.monotonic() < deadline, "No process ran the task."
            time.sleep(0.2)
        while _jobs_done(server.database) < 7:
            assert time.monotonic() < deadline, "The periodic jobs did not run."
            time.sleep(0.2)
    late = _queue(tmp_path / "served.sqlite3")
    time.sleep(3)
    assert _status(tmp_path / "served.sqlite3", late) == "queued"
