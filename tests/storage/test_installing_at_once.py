"""Several processes install at the same time: one works, the others wait for it."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.db import connection, connections

from experiments.storage.installation_lock import installation_lock
from tests.api.server import ROOT
from tests.storage.fresh_database import fresh_database

WAITING = "Another process is preparing this database. Waiting until it is done."


def start(url: str, *arguments: str, stdin: int | None = None) -> "subprocess.Popen[str]":
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "routing_site.settings",
        "SECRET_KEY": "only-for-these-tests-" + "x" * 40,
        "DATABASE_URL": url,
        "DEMO_API_KEY": "sy_only-for-these-tests",
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.django_db
def test_an_empty_database_is_prepared_once(tmp_path: Path) -> None:
    with fresh_database(tmp_path) as url:
        running = [start(url, *command) for command in [["prepare"], ["prepare"], ["migrate"]]]
        said = [process.communicate(timeout=240)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    prepared = "".join(said[:2])
    assert prepared.count("Seeded: ") == 1
    assert prepared.count("Nothing to seed") == 1
    assert prepared.count("as before") == 1
    assert sum(WAITING in each for each in said) >= 1


@pytest.mark.slow
@pytest.mark.django_db
def test_another_process_waits_and_says_so(tmp_path: Path) -> None:
    """A killed process leaves no lock behind."""
    hold = (
        "import sys, time; from experiments.storage.installation_lock import installation_lock\n"
        "with installation_lock(print): print('held', flush=True); time.sleep(600)"
    )
    with (
        fresh_database(tmp_path) as url,
        start(url, "shell", "--verbosity", "0", "-c", hold) as holder,
    ):
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with start(url, "migrate", "--plan") as waiting:
            assert waiting.stdout is not None
            assert waiting.stdout.readline() == WAITING + "\n"
            assert waiting.poll() is None
            holder.kill()
            assert "experiments.0001_initial" in waiting.communicate(timeout=120)[0]
            assert waiting.returncode == 0


@pytest.mark.django_db(transaction=True)
def test_within_a_process_the_lock_is_taken_once() -> None:
    waited: list[bool] = []
    with installation_lock(lambda: waited.append(True)), installation_lock(lambda: None):
        pass
    with installation_lock(lambda: waited.append(True)):
        pass
    assert waited == []


@pytest.mark.django_db(transaction=True)
def test_the_lock_ends_with_an_error() -> None:
    with pytest.raises(RuntimeError), installation_lock(lambda: None):
        raise RuntimeError
    other: list[bool] = []

    def take() -> None:
        with installation_lock(lambda: other.append(True)):
            other.append(False)
        connections.close_all()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join(timeout=30)
    assert other == [False]
    assert connection.vendor in {"sqlite", "postgresql"}
