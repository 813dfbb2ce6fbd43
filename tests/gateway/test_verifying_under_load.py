"""`verify_totals` finds no difference next to two processes under load, calls in flight
included."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.api.server import ROOT, free_port
from tests.gateway import mixed_load
from tests.gateway.database_server import database_server
from tests.gateway.running_totals import until

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def provider() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.stub_provider", str(port), "0.1", "0"]
    process = subprocess.Popen(command, cwd=ROOT)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=10)


def test_nothing_differs_at_any_moment(tmp_path: Path, provider: str) -> None:
    with (
        database_server(tmp_path, provider, DATABASE_BUSY_SECONDS="30") as stored,
        ThreadPoolExecutor(1) as pool,
    ):
        load = pool.submit(mixed_load.run, stored.server, 40, "load")
        watched = stored.ask("watched_totals", 8)
        assert watched["differences"] == []
        assert watched["looks"] > 2
        assert watched["most_in_flight"] > 0
        assert load.result().failed() == {}
        until(lambda: stored.ask("in_flight") == 0, 30)
        assert stored.ask("watched_totals", 0)["differences"] == []
