"""Background tasks: run once, report progress, can be cancelled, are resumed, and fail after too
many attempts."""

import sys
import time
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.utils import timezone

from experiments.background import celery_transport, tasks
from experiments.background.tasks import Running, TaskCancelledError, cancel, enqueue, run, run_next
from experiments.management.commands.run_tasks import survive_outage
from experiments.models import BackgroundTask

pytestmark = pytest.mark.django_db
calls: list[int] = []


def count_to(running: Running, *, number: int) -> dict[str, Any]:
    calls.append(number)
    for step in range(number):
        running.advance(step + 1, number)
    running.log("Counted.")
    return {"counted": number}


def fail(running: Running) -> None:
    raise ValueError("Nothing to count.")


def cancelled_while_running(running: Running) -> None:
    cancel(running.row.pk)
    running.advance(1, 1)
    raise AssertionError("It went on.")


def overtaken(running: Running) -> None:
    """Another process takes the task over while this one sleeps."""
    BackgroundTask.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    run(running.row.pk, timezone.now())
    running.log("I am back.")


@pytest.fixture(autouse=True)
def _works(monkeypatch: pytest.MonkeyPatch) -> None:
    calls.clear()
    for work in (count_to, fail, cancelled_while_running, overtaken):
        monkeypatch.setitem(tasks.TASKS, work.__name__, f"{__name__}.{work.__name__}")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[count_to.__module__])


def test_a_task_runs_once_and_keeps_its_result() -> None:
    row = enqueue("count_to", {"number": 3}, by="anna")
    assert run_next(timezone.now())
    assert not run_next(timezone.now())
    row.refresh_from_db()
    assert (row.status, row.result, row.by) == ("done", {"counted": 3}, "anna")
    assert (row.done_steps, row.all_steps, row.log) == (3, 3, "Counted.\n")
    assert calls == [3]


def test_an_unknown_task_is_not_queued() -> None:
    with pytest.raises(KeyError):
        enqueue("fly", {})


def test_it_waits_for_its_time() -> None:
    enqueue("count_to", {"number": 1}, run_after=timezone.now() + timedelta(hours=1))
    assert not run_next(timezone.now())
    assert run_next(timezone.now() + timedelta(hours=2))


def test_a_failure_ends_in_the_row() -> None:
    row = enqueue("fail", {})
    run_next(timezone.now())
    row.refresh_from_db()
    assert (row.status, row.error) == ("failed", "ValueError: Nothing to count.")


def test_a_queued_task_that_is_cancelled_never_starts() -> None:
    row = enqueue("count_to", {"number": 1})
    cancel(row.pk)
    assert not run_next(timezone.now())
    row.refresh_from_db()
    assert row.status == "cancelled"


def test_a_running_task_that_is_cancelled_stops_at_its_next_step() -> None:
    row = enqueue("cancelled_while_running", {})
    run_next(timezone.now())
    row.refresh_from_db()
    assert row.status == "cancelled"


def test_an_abandoned_task_is_resumed() -> None:
    row = enqueue("count_to", {"number": 2})
    gone = timezone.now() - timedelta(minutes=1)
    BackgroundTask.objects.update(status="running", leased_until=gone, attempts=1)
    assert run_next(timezone.now())
    row.refresh_from_db()
    assert (row.status, row.attempts) == ("done", 2)


def test_a_held_task_is_not_taken_over() -> None:
    enqueue("count_to", {"number": 2})
    later = timezone.now() + timedelta(minutes=1)
    BackgroundTask.objects.update(status="running", leased_until=later, attempts=1)
    assert not run_next(timezone.now())


def test_a_task_that_keeps_killing_its_process_fails() -> None:
    row = enqueue("count_to", {"number": 2})
    gone = timezone.now() - timedelta(minutes=1)
    BackgroundTask.objects.update(status="running", leased_until=gone, attempts=3)
    run_next(timezone.now())
    row.refresh_from_db()
    assert row.status == "failed"
    assert calls == []


def test_a_worker_that_lost_its_task_writes_nothing_more() -> None:
    """Each attempt is overtaken by the next one, until the task fails."""
    row = enqueue("overtaken", {})
    run(row.pk, timezone.now())
    row.refresh_from_db()
    assert (row.status, row.log) == ("failed", "")


def test_progress_stops_a_task_that_is_not_held() -> None:
    row = enqueue("count_to", {"number": 2})
    with pytest.raises(TaskCancelledError):
        Running(row).advance(1, 2)


def test_the_command_runs_what_is_due() -> None:
    enqueue("count_to", {"number": 1})
    enqueue("count_to", {"number": 2})
    call_command("run_tasks", once=True)
    assert calls == [1, 2]


def test_celerys_message_is_enough_to_run_the_row() -> None:
    from routing_site.celery import run_task

    row = enqueue("count_to", {"number": 4})
    assert run_task.name == celery_transport.CELERY_TASK
    run_task(row.pk)
    row.refresh_from_db()
    assert row.status == "done"


def test_an_unavailable_database_does_not_end_the_process() -> None:
    def locked() -> bool:
        raise OperationalError("database is locked")

    assert survive_outage(locked) is False
    assert survive_outage(lambda: True) is True


def test_an_unavailable_broker_is_retried_later(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CELERY_BROKER_URL = "memory://"
    sent: list[int] = []

    def second_time(row: BackgroundTask) -> bool:
        sent.append(row.pk)
        return len(sent) > 1

    monkeypatch.setattr(celery_transport, "send", second_time)
    now = timezone.now()
    row = enqueue("count_to", {"number": 1})
    assert tasks.send_again(now) == 0
    later = now + timedelta(minutes=6)
    assert [tasks.send_again(later), tasks.send_again(later)] == [0, 1]
    assert tasks.send_again(later + timedelta(minutes=1)) == 0
    assert sent == [row.pk, row.pk]


def test_an_unavailable_broker_delays_no_caller(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:9/0"
    monkeypatch.setattr(celery_transport, "_left_alone_until", 0.0)
    row = BackgroundTask(pk=1, name="count_to", run_after=timezone.now())
    before = time.monotonic()
    celery_transport.send_soon(row)
    assert time.monotonic() - before < 1
    celery_transport._sender().submit(int).result(timeout=60)
    assert celery_transport._left_alone_until > time.monotonic()
    after = time.monotonic()
    assert [celery_transport.send(row), celery_transport.send(row)] == [False, False]
    assert time.monotonic() - after < 1


def test_a_task_whose_celery_worker_died_is_sent_again(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CELERY_BROKER_URL = "memory://"
    monkeypatch.setattr(celery_transport, "send", lambda row: True)
    row = enqueue("count_to", {"number": 1})
    now = timezone.now()
    BackgroundTask.objects.update(status="running", leased_until=now - timedelta(seconds=1))
    assert tasks.send_again(now) == 1
    row.refresh_from_db()
    assert (row.status, row.leased_until) == ("queued", None)
    assert run(row.pk, now)


def test_a_heartbeat_survives_an_unavailable_database(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TASK_LEASE_SECONDS = 0.04
    beats: list[int] = []

    class Away:
        def update(self, **values: Any) -> int:
            beats.append(1)
            raise OperationalError("database is locked")

    monkeypatch.setattr(tasks, "_held", lambda row: Away())
    with tasks._heartbeat(BackgroundTask(name="count_to")):
        deadline = time.monotonic() + 10
        while len(beats) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(beats) >= 3
