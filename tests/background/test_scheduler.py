"""Periodic jobs: run when due, by one process, repeated after a failure, caught up after a stop."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Barrier, Event, Lock, Thread

import pytest
from django.core.management import call_command
from django.db import connection

from experiments.background import scheduler
from experiments.background.scheduler import Daily, Every, Report, ScheduledJob
from experiments.models import PeriodicJob

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
EACH_MINUTE = Every(60)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
runs: list[datetime] = []


def count(due: datetime, report: Report) -> None:
    runs.append(due)
    report(f"Run {len(runs)}.")


def fail(due: datetime, report: Report) -> None:
    runs.append(due)
    raise ValueError("No prices.")


def job(
    run: Callable[[datetime, Report], object] = count,
    schedule: Every | Daily = EACH_MINUTE,
    *,
    catches_up: bool = False,
) -> ScheduledJob:
    return ScheduledJob("count", schedule, "Counts.", run, catches_up)


@pytest.fixture(autouse=True)
def _only_these_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    runs.clear()
    monkeypatch.setattr(scheduler, "_jobs", {})


def run_at(moment: datetime) -> int:
    return scheduler.run_due(moment)


def row() -> PeriodicJob:
    return PeriodicJob.objects.get(name="count")


def test_a_new_job_runs_at_once_and_then_at_its_time() -> None:
    scheduler.register(job())
    assert [run_at(NOW), run_at(NOW + 59 * MINUTE / 60), run_at(NOW + MINUTE)] == [1, 0, 1]
    assert (row().status, row().result, row().error) == ("done", "Run 2.", "")
    assert (row().last_started_at, row().next_run_at) == (NOW + MINUTE, NOW + 2 * MINUTE)
    assert row().leased_until is None


@pytest.mark.parametrize(
    ("moment", "due"),
    [
        (datetime(2026, 11, 20, 2, 59, tzinfo=UTC), datetime(2026, 11, 20, 3, tzinfo=UTC)),
        (datetime(2026, 11, 20, 3, 0, tzinfo=UTC), datetime(2026, 11, 21, 3, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), datetime(2027, 1, 1, 3, tzinfo=UTC)),
    ],
)
def test_the_next_time_of_a_daily_job(moment: datetime, due: datetime) -> None:
    assert Daily(3).after(moment) == due


def test_a_held_job_is_not_claimed_by_another_runner() -> None:
    scheduler.register(job())
    scheduler.prepare(NOW)
    PeriodicJob.objects.update(leased_until=NOW + MINUTE, runner="other")
    assert run_at(NOW) == 0
    assert runs == []


def test_a_job_whose_runner_died_runs_again() -> None:
    scheduler.register(job())
    scheduler.prepare(NOW)
    PeriodicJob.objects.update(leased_until=NOW - MINUTE, runner="dead", status="running")
    assert run_at(NOW) == 1


def test_a_runner_that_lost_its_lease_writes_nothing_more() -> None:
    def overtaken(due: datetime, report: Report) -> None:
        PeriodicJob.objects.update(runner="other", next_run_at=NOW + DAY)

    scheduler.register(job(overtaken))
    run_at(NOW)
    assert (row().runner, row().status, row().next_run_at) == ("other", "running", NOW + DAY)


def test_a_failure_is_stored_and_retried_soon() -> None:
    scheduler.register(job(fail, Daily(3)))
    run_at(NOW)
    assert (row().status, row().error) == ("failed", "ValueError: No prices.")
    assert row().next_run_at == NOW + 10 * MINUTE
    scheduler.register(job(count, Daily(3)))
    assert run_at(NOW + 10 * MINUTE) == 1
    assert (row().status, row().error) == ("done", "")
    assert row().next_run_at == datetime(2026, 11, 21, 3, tzinfo=UTC)


def test_missed_days_are_caught_up_oldest_first() -> None:
    scheduler.register(job(schedule=Daily(0, 5), catches_up=True))
    run_at(NOW)
    runs.clear()
    run_at(NOW + 3 * DAY)
    assert runs == [datetime(2026, 11, day, 0, 5, tzinfo=UTC) for day in (21, 22, 23)]
    assert row().last_done_at == runs[-1]


def test_catching_up_repeats_only_failed_runs() -> None:
    def fail_on_the_second(due: datetime, report: Report) -> None:
        runs.append(due)
        if len(runs) == 2:
            raise ValueError("Once.")

    scheduler.register(job(schedule=Daily(0, 5), catches_up=True))
    run_at(NOW)
    runs.clear()
    scheduler.register(job(fail_on_the_second, Daily(0, 5), catches_up=True))
    run_at(NOW + 2 * DAY)
    run_at(NOW + 2 * DAY + 10 * MINUTE)
    assert [due.day for due in runs] == [21, 22, 22]


def test_other_jobs_run_once_however_many_times_were_missed() -> None:
    scheduler.register(job(schedule=Daily(3)))
    run_at(NOW)
    run_at(NOW + 5 * DAY)
    assert len(runs) == 2


def test_a_clock_that_was_set_back_does_not_stop_a_job() -> None:
    scheduler.register(job())
    run_at(NOW)
    assert run_at(NOW - 30 * DAY) == 1


def test_running_a_job_soon() -> None:
    scheduler.register(job(schedule=Daily(3)))
    run_at(NOW)
    scheduler.run_soon("count", NOW + MINUTE)
    assert run_at(NOW + MINUTE) == 1


@pytest.mark.django_db(transaction=True)
def test_many_processes_at_once_run_a_job_once() -> None:
    lock = Lock()

    def slow(due: datetime, report: Report) -> None:
        with lock:
            runs.append(due)

    scheduler.register(job(slow))
    scheduler.prepare(NOW)
    barrier = Barrier(6)

    def race() -> None:
        try:
            barrier.wait(10)
            scheduler.run_job("count", NOW)
        finally:
            connection.close()

    threads = [Thread(target=race) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert runs == [NOW]


@pytest.mark.django_db(transaction=True)
def test_a_long_job_does_not_delay_a_short_one() -> None:
    short_ran, may_end = Event(), Event()

    def long(due: datetime, report: Report) -> None:
        may_end.wait(20)

    def short(due: datetime, report: Report) -> None:
        short_ran.set()

    scheduler.register(job(long), ScheduledJob("short", Every(60), "Short.", short))
    running = scheduler.Scheduler()
    running.start()
    try:
        assert short_ran.wait(15)
    finally:
        may_end.set()
        running.stop()


def test_the_command_for_cron_runs_what_is_due() -> None:
    scheduler.register(job())
    call_command("run_tasks", once=True)
    assert len(runs) == 1


def test_every_job_of_the_product_runs(seeded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.management import periodic_jobs

    scheduler.register(*periodic_jobs.JOBS)
    assert run_at(NOW) == len(periodic_jobs.JOBS) >= 7
    states = dict(PeriodicJob.objects.values_list("name", "status"))
    assert set(states.values()) == {"done"}, list(PeriodicJob.objects.values("name", "error"))
    assert {"advance_rollouts", "record_results", "prune_decisions", "refresh_prices"} <= set(
        states
    )


def test_beat_asks_for_every_job_each_minute() -> None:
    from experiments.management import periodic_jobs

    scheduler.register(*periodic_jobs.JOBS)
    from routing_site.celery import app, run_periodic_job

    app.finalize()
    entries = app.conf.beat_schedule
    assert {job.name for job in periodic_jobs.JOBS} <= set(entries)
    assert max(entry["schedule"] for entry in entries.values()) == 60.0
    run_periodic_job("advance_rollouts")
    assert PeriodicJob.objects.get(name="advance_rollouts").status == "done"
