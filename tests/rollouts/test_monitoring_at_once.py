"""`advance_rollouts` from several machines at the same moment: each step is taken once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from experiments.models import PolicyRevision
from tests.rollouts import monitoring_process

ROOT = Path(__file__).resolve().parents[2]
ONCE = [(10.0, "running"), (25.0, "running"), (50.0, "running")]


@pytest.mark.slow
def test_each_step_is_taken_once_on_sqlite(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.rollouts.monitoring_process"],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": f"sqlite:///{tmp_path}/rounds.sqlite3",
            "DATABASE_BUSY_SECONDS": "60",
            "LOG_LEVEL": "ERROR",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, str(ONCE)), done.stderr


@pytest.mark.django_db(transaction=True)
def test_each_step_is_taken_once_on_postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("runs where the tests run on PostgreSQL; SQLite has a test of its own")
    from experiments.configuration.seeding import seed

    seed()
    assert monitoring_process.rounds_at_once() == []
    assert monitoring_process.steps_taken() == ONCE
    numbers = list(PolicyRevision.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
