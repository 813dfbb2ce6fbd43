"""The running sums are exactly those of a recount of all raw rows."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from experiments.models import Decision, Feedback, MetricSum, Outcome, Rollup, UnitSum
from tests.decisions import recount, running_totals_process

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.usefixtures("seeded")
def test_sums_are_exact_after_thousands_of_events_in_any_order() -> None:
    recount.prepare()
    chance = random.Random(7)
    decisions = recount.decide(chance, 300)
    recount.report(chance, decisions, 1200)
    decisions += recount.decide(chance, 200)
    recount.report(chance, decisions, 1200)

    assert recount.stored(UnitSum) == recount.units()
    assert recount.stored(MetricSum) == recount.metrics()
    assert recount.stored(Rollup) == recount.hours()
    assert recount.stored_bins() == recount.bins()
    assert Decision.objects.count() == 500
    assert Outcome.objects.count() > 300
    assert Feedback.objects.count() > 600


@pytest.mark.usefixtures("seeded")
def test_the_order_of_events_does_not_matter() -> None:
    """The same reports forwards and backwards, on decisions that are alike."""
    recount.prepare()
    rows = recount.decide(random.Random(1), 100)
    chance = random.Random(2)
    reports = [chance.getrandbits(32) for _ in range(400)]
    for seed in reports:
        recount.report(random.Random(seed), rows, 1)
    before = recount.stored(UnitSum), recount.stored(MetricSum), recount.stored(Rollup)
    for seed in reversed(reports):
        recount.report(random.Random(seed), rows, 1)
    assert (recount.stored(UnitSum), recount.stored(MetricSum), recount.stored(Rollup)) == before


@pytest.mark.usefixtures("seeded")
def test_forced_units_are_in_no_sum_of_units_but_in_the_hours() -> None:
    recount.prepare()
    recount.decide(random.Random(3), 300)
    forced = [d for d in Decision.objects.all() if d.detail["inputs"]["force_arm"]]
    assert forced
    counted = sum(counts["decisions"] for counts in recount.stored(UnitSum).values())
    assert counted == 300 - len(forced)
    assert sum(counts["decisions"] for counts in recount.stored(Rollup).values()) == 300


@pytest.mark.slow
def test_concurrent_writers_lose_nothing_on_sqlite(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{tmp_path}/stored.sqlite3",
        "DATABASE_BUSY_SECONDS": "60",
        "LOG_LEVEL": "ERROR",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.decisions.running_totals_process"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "equal"), done.stderr


@pytest.mark.django_db(transaction=True)
def test_concurrent_writers_lose_nothing_on_postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("runs where the tests run on PostgreSQL; SQLite has a test of its own")
    from experiments.configuration.seeding import seed

    seed()
    recount.prepare()
    assert running_totals_process.write_concurrently() == []
    assert running_totals_process.differences() == []
