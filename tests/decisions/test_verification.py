"""Sums are compared with a recount, and corrected, while others write."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from experiments.configuration.policy_store import store
from experiments.decisions import recounting
from experiments.decisions.folding import fold_all
from experiments.decisions.group_commit import store_decisions
from experiments.decisions.outcomes import OutcomeReport, Rating, record_feedback, record_outcome
from experiments.decisions.pruning import prune
from experiments.decisions.rebuilding import rebuild
from experiments.decisions.recounting import Difference, RecountSpan
from experiments.decisions.verification import verify
from experiments.models import Decision, Feedback, MetricSum, Outcome, Rollup, RollupBin, UnitSum
from experiments.routing.route import RouteRequest, route
from experiments.routing.runtime import engine
from tests.decisions import recount
from tests.installation import install

TABLES: list[tuple[type[Any], str]] = [
    (Rollup, "cost_squares"),
    (RollupBin, "count"),
    (UnitSum, "decisions"),
    (MetricSum, "total"),
]


@pytest.fixture
def history(seeded: None) -> None:
    recount.prepare()
    chance = random.Random(11)
    recount.report(chance, recount.decide(chance, 150), 400)
    fold_all()


def everything() -> dict[str, recount.Counted]:
    return {model.__name__: recount.stored(model) for model, _ in TABLES}


@pytest.mark.usefixtures("history")
def test_sums_that_the_writers_kept_differ_nowhere() -> None:
    done = verify()
    assert done.differences == []
    assert (done.hours, done.days, done.left_out_hours, done.pruned_before) == (1, 1, 0, None)
    assert recount.units() == recount.stored(UnitSum)
    assert recount.hours() == recount.stored(Rollup)


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(("model", "column"), TABLES)
def test_one_wrong_sum_is_named_and_corrected(model: type[Any], column: str) -> None:
    before, row = everything(), model.objects.order_by("pk").first()
    model.objects.filter(pk=row.pk).update(**{column: F(column) + 5})
    [found] = verify().differences
    right = getattr(row, column)
    assert (found.table, found.column) == (model.__name__, column)
    assert (found.stored, found.counted) == (right + 5, right)
    assert verify(repair=True).corrected == 1
    assert verify().differences == []
    assert everything() == before


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(("model", "column"), TABLES)
def test_rows_that_are_missing_or_too_many(model: type[Any], column: str) -> None:
    before = everything()
    row = model.objects.order_by("pk").first()
    row.pk, row.domain = None, "nowhere"
    row.save(force_insert=True)
    model.objects.filter(pk=model.objects.order_by("-pk")[1].pk).delete()
    assert {found.table for found in verify().differences} == {model.__name__}
    verify(repair=True)
    assert everything() == before
    assert not model.objects.filter(domain="nowhere").exists()


@pytest.mark.usefixtures("history")
def test_sums_of_hours_without_a_decision() -> None:
    past = Rollup.objects.order_by("pk").first()
    assert past is not None
    hour = past.hour - timedelta(hours=30)
    Rollup.objects.create(hour=hour, domain="legal", tier="weak", model="m", method="x", cost=9)
    [found] = verify().differences
    assert found == Difference(
        "Rollup",
        {
            "hour": hour,
            "domain": "legal",
            "experiment": "",
            "arm": "",
            "tier": "weak",
            "model": "m",
            "method": "x",
        },
        "cost",
        9,
        0,
    )
    assert str(found) == (
        f"Rollup (hour {hour}, domain legal, tier weak, model m, method x): cost is 9, counted 0"
    )
    assert verify(since=hour + timedelta(hours=1)).differences == []


@pytest.mark.usefixtures("history")
def test_an_outcome_or_a_rating_that_no_sum_counts() -> None:
    decision = Decision.objects.filter(outcome=None).order_by("pk").first()
    assert decision is not None
    now = timezone.now()
    Outcome.objects.create(decision=decision, occurred_at=now, received_at=now, input_tokens=5)
    shared = {"decision": decision, "occurred_at": now, "received_at": now}
    Feedback.objects.filter(decision=decision).delete()
    Feedback.objects.create(metric="quality", source="human", value=0.25, **shared)
    Feedback.objects.create(metric="stars", source="human", value=2.5, **shared)
    assert verify().differences != []
    verify(repair=True)
    assert recount.units() == recount.stored(UnitSum)
    assert recount.hours() == recount.stored(Rollup)
    assert recount.metrics() == recount.stored(MetricSum)


@pytest.mark.usefixtures("seeded")
def test_halves_bins_and_names_are_counted_as_python_counts_them() -> None:
    """Half a microsecond and half a millionth go to the even neighbor; 7/20 is in bin 7."""
    engine.warm_up(store.current())
    now = timezone.now()
    for number, latency in enumerate([0.0005, 0.0015, 0.0025, 2.6755, 1e9 / 3, 0.1 + 0.2]):
        row = route(RouteRequest(f"Prompt {number}", unit_id='it\'s 100 % "me"'))
        record_outcome(row.pk, OutcomeReport(now, 5, 7, latency_ms=latency), now)
        for source, value in [("a", 0.0000005), ("b", 0.0), ("judge", 1 / 3)]:
            rating = Rating(row.pk, "quality", value, source, now)
            record_feedback([rating, rating._replace(metric="own", value=number / 3)], now)
    scores = [0.0, 0.05, 0.15, 0.35, 0.7000000000000001, 0.7, 0.9999999999999999, 1.0, 0.3]
    edges = [250, 251, 100_000, 100_001, 0, None, 1_500, 1_501, 5]
    for score, latency_us in zip(scores, edges, strict=True):
        row = route(RouteRequest("Edge"))
        recounted = Decision.objects.get(pk=row.pk)
        recounted.pk = recounted.id = row.id.__class__(int=row.id.int + 1)
        recounted.detail["scores"] = {"a.b%'": {"value": score}, "none": {"reason": "x"}}
        recounted.detail["slow_ms"] = 1.5
        recounted.confidence, recounted.latency_us = score, latency_us
        recounted.detail["candidates"] = [[recounted.domain, 0.9], ["it's", 0.1], ["x", 0.05]]
        recounted.experiment, recounted.rollout, recounted.rollout_arm = "", "flag", "treated"
        recounted.phase = latency_us
        store_decisions([recounted])
        record_outcome(recounted.id, OutcomeReport(now, latency_ms=1.5 + score), now)
    assert verify().differences == []
    assert sum(UnitSum.objects.values_list("slow", flat=True)) == 8
    assert set(UnitSum.objects.filter(slow=1).values_list("phase", flat=True)) >= {251, 100_001}
    assert RollupBin.objects.get(kind="score:a.b%'", bin="07").count == 1
    assert (
        sum(Rollup.objects.values_list("response_us", flat=True))
        == 333_333_336_313 + 9 * 1_500 + 4_250
    )


@pytest.mark.usefixtures("history")
def test_pruned_spans_are_left_out_and_stay() -> None:
    Decision.objects.update(created_at=timezone.now() - timedelta(days=3))
    verify(repair=True)
    before = everything()
    assert prune(timezone.now().date()) == 150
    done = verify(repair=True)
    assert (done.differences, done.corrected) == ([], 0)
    assert everything() == before
    assert done.left_out_hours >= 1
    assert done.left_out_days >= 1
    assert "their decisions are pruned" in printed("verify_totals")[1]


def printed(*arguments: str) -> tuple[int, str]:
    said, status = StringIO(), 0
    try:
        call_command(*arguments, stdout=said)
    except SystemExit as end:
        status = int(str(end.code))
    return status, said.getvalue()


@pytest.mark.usefixtures("history")
def test_the_command_says_what_differs_and_ends_with_1() -> None:
    status, said = printed("verify_totals")
    assert (status, said) == (0, "Compared 1 hour and 1 day: 0 differences.\n")
    MetricSum.objects.update(total=F("total") + 1)
    count = MetricSum.objects.count()
    status, said = printed("verify_totals")
    assert status == 1
    assert said.count("MetricSum (day ") == min(count, 100)
    assert f"{count} differences" in said

    status, said = printed("verify_totals", "--json")
    found = json.loads(said)
    assert (status, found["hours"], found["days"]) == (1, 1, 1)
    one = found["differences"][0]
    assert (one["table"], one["column"]) == ("MetricSum", "total")
    assert one["stored"] - one["counted"] == 1
    assert one["key"]["metric"] in {"helpful", "stars"}

    status, said = printed("verify_totals", "--repair")
    assert (status, f"Corrected {count} rows." in said) == (0, True)
    assert printed("verify_totals")[0] == 0
    assert printed("verify_totals", "--until", "2020-01-01")[1].startswith("Compared 0 hours")


# While others write. The tests' SQLite database is in memory, which threads lock whole: see
# test_verification_processes.py for SQLite in a file.

threads = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite is in memory")


@pytest.fixture
def installed(transactional_db: None) -> None:
    install()
    engine.warm_up(store.current())


@contextmanager
def traffic(writers: int = 4) -> Iterator[Callable[[], int]]:
    """Threads that decide, report and rate all the time; gives how many decisions there are."""
    over, errors, made = threading.Event(), [], [0] * writers

    def write(number: int) -> None:
        chance = random.Random(number)
        try:
            while not over.is_set():
                row = route(RouteRequest(f"Prompt {made[number]}", unit_id=f"u{made[number] % 5}"))
                now = datetime.now(UTC)
                record_outcome(row.pk, OutcomeReport(now, 9, chance.randrange(99), 1.5, True), now)
                rated = Rating(row.pk, "quality", chance.choice([0.0, 1.0, 1 / 3]), "a", now)
                record_feedback([rated, rated._replace(metric="stars", value=2.0)], now)
                made[number] += 1
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    running = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in running:
        thread.start()
    try:
        yield lambda: sum(made)
    finally:
        over.set()
        for thread in running:
            thread.join()
    assert errors == []
    assert sum(made) > 0


def wait_for(count: Callable[[], int], more: int) -> None:
    goal = count() + more
    for _ in range(3_000):
        if count() >= goal:
            return
        threading.Event().wait(0.01)
    raise AssertionError("There is no writer.")


@threads
def test_nothing_differs_while_others_write(installed: None) -> None:
    with traffic() as count:
        for _ in range(15):
            wait_for(count, 1)
            assert verify().differences == []
    assert verify().differences == []


@threads
def test_sums_are_corrected_exactly_while_others_write(installed: None) -> None:
    with traffic() as count:
        for _ in range(3):
            wait_for(count, 5)
            for model, column in TABLES:
                row = model.objects.order_by("pk").first()
                model.objects.filter(pk=row.pk).update(**{column: F(column) + 1000})
            assert {found.table for found in verify(repair=True).differences} == {
                model.__name__ for model, _ in TABLES
            }
            assert verify().differences == []
        for model, column in TABLES[:2]:
            model.objects.update(**{column: F(column) + 3})
        rebuild()
        wait_for(count, 5)
    assert verify().differences == []
    assert recount.hours() == recount.stored(Rollup)
    assert recount.bins() == recount.stored_bins()


@threads
def test_two_corrections_at_once_add_a_difference_once(installed: None) -> None:
    rows = [route(RouteRequest("Prompt", unit_id="u")) for _ in range(5)]
    hour = RecountSpan.of_hour(rows[0].created_at.replace(minute=0, second=0, microsecond=0))
    start = threading.Barrier(4)

    def correct() -> None:
        try:
            start.wait()
            recounting.correct(recounting.rollups(), hour)
        finally:
            connections.close_all()

    for _ in range(5):
        Rollup.objects.update(decisions=F("decisions") + 7)
        running = [threading.Thread(target=correct) for _ in range(4)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        assert sum(Rollup.objects.values_list("decisions", flat=True)) == 5


@threads
def test_no_table_is_locked(installed: None) -> None:
    """An open transaction of a writer holds up neither the comparison nor other hours."""
    row = route(RouteRequest("Prompt"))
    old = row.created_at - timedelta(hours=2)
    Rollup.objects.create(hour=old.replace(minute=0, second=0, microsecond=0), domain="x", cost=1)
    begun, over = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                Rollup.objects.filter(decisions__gt=0).update(decisions=F("decisions"))
                begun.set()
                over.wait(30)
        finally:
            connections.close_all()

    writer = threading.Thread(target=hold)
    writer.start()
    try:
        assert begun.wait(10)
        with CaptureQueriesContext(connection) as queries, transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '2s'")
            assert len(verify(repair=True).differences) == 1
        assert not [query for query in queries if "LOCK TABLE" in query["sql"]]
    finally:
        over.set()
        writer.join()
    assert verify().differences == []
