"""The write lock and the group commit: no wait exceeds DATABASE_BUSY_SECONDS."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import OperationalError, connection

from experiments.configuration.policy_store import store
from experiments.decisions import group_commit
from experiments.decisions.group_commit import store_decisions
from experiments.models import Decision
from experiments.routing.route import RouteRequest, route
from experiments.storage import transactions
from experiments.storage.deadlines import (
    deadline,
    deadline_in,
    meter_of_this_thread,
    seconds_left,
    waiting_budget,
)
from experiments.storage.transactions import write_transaction

on_sqlite = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite's write lock")


@pytest.fixture(autouse=True)
def _hurry(settings: pytest.FixtureRequest) -> None:
    settings.DATABASE_BUSY_SECONDS = 0.5  # type: ignore[attr-defined]


@contextmanager
def fails_within(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    with pytest.raises(OperationalError):
        yield
    assert time.monotonic() - started < seconds


def write() -> None:
    with write_transaction():
        assert connection.in_atomic_block


@pytest.fixture
def queue_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate lock file: other tests' databases may be in memory."""
    path = tmp_path / "queue"
    monkeypatch.setattr(transactions, "_queue", lambda: os.open(path, os.O_RDWR | os.O_CREAT))
    return path


def test_the_nearest_deadline_counts() -> None:
    assert seconds_left(7.0) == 7.0
    with deadline(deadline_in(60)), deadline(deadline_in(1)), deadline(deadline_in(30)):
        assert 0.5 < seconds_left(7.0) <= 1.0
    with deadline(deadline_in(-5)):
        assert seconds_left(7.0) == 0.0
    assert seconds_left(7.0) == 7.0


def test_only_waiting_uses_the_budget() -> None:
    with waiting_budget(0.5):
        time.sleep(0.1)
        assert seconds_left(7.0) == 0.5
        with meter_of_this_thread().running():
            time.sleep(0.1)
        assert 0.3 < seconds_left(7.0) <= 0.4
    assert seconds_left(7.0) == 7.0


@on_sqlite
@pytest.mark.django_db(transaction=True)
def test_waiting_for_another_process_has_a_limit(
    queue_file: Path,
) -> None:
    """The kernel treats a file that is opened twice like two processes."""
    with queue_file.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with fails_within(1.0):
            write()
        fcntl.flock(other, fcntl.LOCK_UN)
        write()


@on_sqlite
@pytest.mark.django_db(transaction=True)
def test_the_lock_is_taken_as_soon_as_the_other_process_releases_it(queue_file: Path) -> None:
    with queue_file.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        threading.Timer(0.2, fcntl.flock, (other, fcntl.LOCK_UN)).start()
        started = time.monotonic()
        with write_transaction():
            assert 0.15 < time.monotonic() - started < 0.3


@on_sqlite
@pytest.mark.django_db(transaction=True)
def test_sqlite_waits_for_other_programs_only_for_the_remaining_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 500")
    with deadline(deadline_in(0.2)), write_transaction(), connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        assert cursor.fetchone()[0] <= 200
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        assert cursor.fetchone()[0] == 500


@pytest.mark.django_db(transaction=True)
def test_a_hanging_group_commit_delays_no_other_call(seeded: None) -> None:
    row = made()
    with group_commit._turn, fails_within(1.0):
        store_decisions([row])
    assert not group_commit._waiting
    store_decisions([made()])
    assert Decision.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_call_that_times_out_does_not_fail_the_others(seeded: None) -> None:
    """It waits behind a slow write; a later call has more time and is stored."""
    late = group_commit._Waiting([made()])
    late.until = time.monotonic()
    group_commit._waiting.append(late)
    store_decisions([made()])
    assert isinstance(late.error, OperationalError)
    assert Decision.objects.count() == 1


def made() -> Decision:
    """A decision that is not stored."""
    store.invalidate()
    return route(RouteRequest("Fix my loop.", unit_id="u", dry_run=True))
