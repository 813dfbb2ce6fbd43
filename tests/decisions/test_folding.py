"""Totals are exact whatever is folded, by any process, and after a process died while folding."""

import random
import signal
import subprocess
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import connection, models, transaction

from experiments.decisions.folding import TABLES, fold_all, unfolded
from experiments.decisions.verification import verify
from experiments.limits.budgets import UsageCorrection, count_request, reconcile, reserve
from experiments.limits.key_usage import spent_today
from experiments.limits.quotas import Limits, OverLimitError, Reservation
from experiments.models import APIKey, KeyUsage, MetricSum, Rollup, RollupBin, Scope, UnitSum
from experiments.models.sums import key_columns
from experiments.storage.transactions import run_transaction
from tests.decisions import recount, running_totals_process
from tests.decisions.test_verification_processes import run, verified, writers
from tests.storage.fresh_database import fresh_database
from tests.storage.test_installing_at_once import start

NOON = datetime(2026, 11, 30, 12, 0, 30, tzinfo=UTC)
FOLDER = """
import sys
from experiments.decisions.folding import fold_all
print("ready", flush=True)
while True:
    fold_all(batch=7)
"""


def assert_sums_are_exact() -> None:
    assert recount.stored(UnitSum) == recount.units()
    assert recount.stored(MetricSum) == recount.metrics()
    assert recount.stored(Rollup) == recount.hours()
    assert recount.stored_bins() == recount.bins()
    assert verify().differences == []


def rows_per_key(model: type[models.Model]) -> set[int]:
    return set(Counter(model._default_manager.values_list(*key_columns(model))).values())


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("batch", [1, 13, 5_000])
def test_sums_are_the_same_before_and_after(batch: int) -> None:
    recount.prepare()
    chance = random.Random(batch)
    decisions = recount.decide(chance, 60)
    recount.report(chance, decisions, 150)
    assert all(unfolded(model) for model in TABLES if model is not KeyUsage)
    assert_sums_are_exact()
    changes = sum(map(unfolded, TABLES))
    assert fold_all(batch) == changes
    assert_sums_are_exact()
    assert not any(map(unfolded, TABLES))
    recount.report(chance, decisions, 50)
    assert_sums_are_exact()
    assert fold_all(batch) > 0
    assert_sums_are_exact()
    for model in (MetricSum, Rollup, RollupBin, UnitSum):
        assert rows_per_key(model) == {1}
    assert fold_all(batch) == 0


@pytest.mark.django_db
def test_budgets_count_what_is_not_folded() -> None:
    def take(cost: int) -> str:
        charge = Reservation(1, Limits(day=1_000, requests=5), NOON, 10, cost)
        with transaction.atomic():
            [found] = reserve([charge])
        return found.code if isinstance(found, OverLimitError) else "ok"

    assert take(600) == "ok"
    assert take(500) == "budget_day"
    fold_all()
    assert take(300) == "ok"
    assert take(200) == "budget_day"
    call = Reservation(1, Limits(day=1_000, requests=5), NOON, 10, 600)
    with transaction.atomic():
        reconcile([UsageCorrection(call, 10, 100)])
    assert spent_today(1, NOON) == 400
    assert [take(200), take(200), take(200)] == ["ok"] * 3
    fold_all()
    assert take(0) == "requests_per_minute"
    assert spent_today(1, NOON) == 1_000


@pytest.mark.django_db
def test_requests_of_the_rest_api_count_what_is_not_folded() -> None:
    key = APIKey.issue("few", [Scope.ROUTE], requests_per_minute=3).key
    assert count_request(key, NOON)
    fold_all()
    assert [count_request(key, NOON) for _ in range(3)] == [True, True, False]
    assert sum(row.requests for row in KeyUsage.objects.all()) == 3


def in_threads(*works: "threading.Thread") -> None:
    for work in works:
        work.start()
    for work in works:
        work.join(120)
        assert not work.is_alive()


@pytest.mark.django_db(transaction=True)
def test_a_budget_for_50_admits_50_of_200_while_usage_is_folded() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    limits = Limits(day=50, month=50)
    answers: Counter[str] = Counter()
    over = threading.Event()

    def call() -> None:
        for _ in range(20):
            charges = [Reservation(1, limits, NOON, 10, 1), Reservation(2, Limits(), NOON, 1, 1)]
            found = run_transaction(lambda: reserve(charges))[0]  # noqa: B023
            answers[found.code if isinstance(found, OverLimitError) else "ok"] += 1
        connection.close()

    def fold() -> None:
        while not over.is_set():
            fold_all(batch=3)
        connection.close()

    folders = [threading.Thread(target=fold) for _ in range(2)]
    for folder in folders:
        folder.start()
    try:
        in_threads(*(threading.Thread(target=call) for _ in range(10)))
    finally:
        over.set()
        for folder in folders:
            folder.join(60)
    assert answers == {"ok": 50, "budget_day": 150}
    assert spent_today(1, NOON) == 50
    assert spent_today(2, NOON) == 200


@pytest.mark.django_db(transaction=True)
def test_two_folders_next_to_writers_lose_nothing() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("threads share SQLite's database in memory; processes are tested below")
    from experiments.configuration.seeding import seed

    seed()
    recount.prepare()
    over, differences = threading.Event(), []

    def fold() -> None:
        while not over.is_set():
            fold_all(batch=7)
        connection.close()

    def watch() -> None:
        while not over.is_set():
            differences.extend(verify().differences)
        connection.close()

    others = [threading.Thread(target=each) for each in (fold, fold, watch)]
    for other in others:
        other.start()
    try:
        assert running_totals_process.write_concurrently() == []
    finally:
        over.set()
        for other in others:
            other.join(60)
    assert differences == []
    assert_sums_are_exact()


def folder(url: str) -> "subprocess.Popen[str]":
    process = start(url, "shell", "--verbosity", "0", "-c", FOLDER)
    assert process.stdout is not None
    while (line := process.stdout.readline()) != "ready\n":
        assert line, "the folding process ended"
    return process


@pytest.mark.slow
@pytest.mark.django_db
def test_killed_folders_next_to_writing_processes_lose_nothing(tmp_path: Path) -> None:
    with fresh_database(tmp_path) as url:
        run(url, "prepare")
        with writers(url, 2):
            folders = [folder(url), folder(url)]
            for _ in range(2):
                assert verified(url)[1]["differences"] == []
                killed = folders.pop(0)
                killed.send_signal(signal.SIGKILL)
                killed.communicate(timeout=30)
                assert killed.returncode == -signal.SIGKILL
                assert verified(url)[1]["differences"] == []
                folders.append(folder(url))
            for process in folders:
                process.kill()
                process.communicate()
        assert verified(url)[1]["differences"] == []
        run(url, "run_tasks", "--once")
        count = "from experiments.decisions.folding import TABLES, unfolded"
        said = run(
            url, "shell", "--verbosity", "0", "-c", f"{count}; print(sum(map(unfolded, TABLES)))"
        )
        assert said.splitlines()[-1] == "0"
        assert verified(url)[1]["differences"] == []
