"""Two processes under chat calls of one key, routed prompts and feedback: nothing fails, nothing
is lost, and every total matches the raw rows."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.server import ROOT, free_port
from tests.gateway import mixed_load
from tests.gateway.database_server import database_server
from tests.gateway.running_totals import until

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.django_db(transaction=True)]

LATENCY = "0.02"
EACH = 20


@pytest.fixture
def provider() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.stub_provider", str(port), LATENCY, "0"]
    process = subprocess.Popen(command, cwd=ROOT)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=10)


def test_nothing_fails_and_nothing_is_lost(tmp_path: Path, provider: str) -> None:
    with database_server(tmp_path, provider, DATABASE_BUSY_SECONDS="30") as stored:
        answers = mixed_load.run(stored.server, EACH, "load")
        assert answers.failed() == {}, answers.faults[:5]
        assert len(answers.answered) == mixed_load.CHAT_CALLERS * EACH
        assert answers.statuses["route", 201] + answers.statuses["route", 200] > 20
        assert answers.statuses["feedback", 200] > 20
        until(lambda: stored.ask("in_flight") == 0, 30)
        assert stored.ask("without_outcome", answers.answered) == []
        assert stored.ask("differing_sums") == []
        usage = stored.ask("usage", "load")
        assert usage["day"] == usage["minute"] == usage["counted"]
        assert usage["counted"][0] == mixed_load.CHAT_CALLERS * EACH
        assert usage["counted"][2] > 0
        assert stored.deadlocks() == 0
