"""Runs periodic jobs on schedule, in one process of the installation, and catches up on missed
runs.

A job is registered with a schedule and a function. Its row says when it is due. A process claims
a due job with one UPDATE, renews the lease from a thread while it works, and writes the next due
time at the end. A process that died loses its lease, and the next process runs the job again, so
jobs must be repeatable. Times are UTC."""

import logging
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Q
from django.utils import timezone

from experiments.background.leases import lease_end, renewed
from experiments.models import PeriodicJob
from experiments.storage.transactions import run_transaction

log = logging.getLogger("switchyard.scheduler")

Status = PeriodicJob.JobStatus

POLL_SECONDS = 1.0
MAX_TEXT = 2_000
MAX_MISSED = 31
WORKERS = 4
RETRY_AFTER = timedelta(minutes=10)  # retry delay of a failed job, unless it is due before


class Schedule(Protocol):
    """When a job is due."""

    def after(self, moment: datetime) -> datetime:
        """The first due time after `moment`."""


class Every(NamedTuple):
    """Every `seconds`, counted from the last start."""

    seconds: int

    def after(self, moment: datetime) -> datetime:
        return moment + timedelta(seconds=self.seconds)

    def __str__(self) -> str:
        minutes, seconds = divmod(self.seconds, 60)
        if seconds:
            return f"every {self.seconds} seconds"
        return "every minute" if minutes == 1 else f"every {minutes} minutes"


class Daily(NamedTuple):
    """Once a day at this time, UTC."""

    hour: int
    minute: int = 0

    def after(self, moment: datetime) -> datetime:
        day = moment.astimezone(UTC).date()
        due = datetime.combine(day, time(self.hour, self.minute), UTC)
        return due if due > moment else due + timedelta(days=1)

    def __str__(self) -> str:
        return f"every day at {self.hour:02d}:{self.minute:02d} UTC"


Report = Callable[[str], None]


class ScheduledJob(NamedTuple):
    """`run(due, report)` does the work of one due time; `report` stores a line for the admin.
    With `catches_up` it runs for every missed due time, oldest first; otherwise once."""

    name: str
    schedule: Every | Daily
    description: str
    run: Callable[[datetime, Report], object]
    catches_up: bool = False


_jobs: dict[str, ScheduledJob] = {}


def register(*jobs: ScheduledJob) -> None:
    """Adds jobs. Registering a name again replaces it."""
    _jobs.update({job.name: job for job in jobs})


def registered() -> tuple[ScheduledJob, ...]:
    return tuple(_jobs.values())


def job_named(name: str) -> ScheduledJob | None:
    return _jobs.get(name)


def prepare(now: datetime) -> None:
    """Creates a row for each job. A new job is due at once."""
    known = set(PeriodicJob.objects.values_list("name", flat=True))
    missing = [name for name in _jobs if name not in known]
    rows = [PeriodicJob(name=name, next_run_at=now) for name in missing]
    PeriodicJob.objects.bulk_create(rows, ignore_conflicts=True)


def due_names(now: datetime) -> list[str]:
    """The jobs that can be claimed now, longest overdue first."""
    rows = PeriodicJob.objects.filter(_claimable(now), name__in=_jobs)
    return list(rows.order_by("next_run_at").values_list("name", flat=True))


def run_due(now: datetime) -> int:
    """Runs due jobs one after another; returns how many this process ran."""
    prepare(now)
    return sum(run_job(name, now) for name in due_names(now))


def run_job(name: str, now: datetime) -> bool:
    """Runs this job if it is due and no other process runs it. A failure is stored in its row."""
    job = _jobs[name]
    row = _claim(job, now)
    if row is None:
        return False
    lines: list[str] = []
    try:
        with renewed(lambda end: _held(row).update(leased_until=end), name):
            for due in _due_times(job, row, now):
                job.run(due, lines.append)
                _held(row).update(last_done_at=due)
        _end(job, row, now, Status.DONE, lines)
    except Exception as error:
        log.exception("periodic job failed", extra={"job": name})
        _end(job, row, now, Status.FAILED, lines, f"{type(error).__name__}: {error}")
    return True


def run_soon(name: str, now: datetime) -> None:
    """Makes the job due. A run in progress is not interrupted."""
    PeriodicJob.objects.filter(name=name).update(next_run_at=now)


class Scheduler:
    """A thread that runs due jobs until it is stopped. Long jobs do not delay short ones."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="scheduler", daemon=True)
        self._running: set[str] = set()
        self._prepared = False
        self._lock = threading.Lock()

    def start(self) -> None:
        self._thread.start()

    def stop(self, wait_seconds: float = 10.0) -> None:
        self._stopped.set()
        self._thread.join(wait_seconds)

    def _loop(self) -> None:
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="job")
        while not self._stopped.is_set():
            try:
                self._submit_due(pool)
            except (DatabaseError, InterfaceError):
                log.exception("the database did not answer")
            finally:
                connection.close()
            self._stopped.wait(POLL_SECONDS)
        pool.shutdown(wait=False, cancel_futures=True)

    def _submit_due(self, pool: ThreadPoolExecutor) -> None:
        now = timezone.now()
        if not self._prepared:
            prepare(now)
            self._prepared = True
        for name in due_names(now):
            with self._lock:
                if name in self._running:
                    continue
                self._running.add(name)
            pool.submit(self._run, name)

    def _run(self, name: str) -> None:
        try:
            run_job(name, timezone.now())
        except (DatabaseError, InterfaceError):
            log.exception("the database did not answer", extra={"job": name})
        finally:
            with self._lock:
                self._running.discard(name)
            connection.close()


def _claimable(now: datetime) -> Q:
    """Due now, or due in more than a day: no schedule waits so long, so the clock was set back."""
    due = Q(next_run_at__lte=now) | Q(next_run_at__gt=now + timedelta(days=1, minutes=1))
    free = Q(leased_until=None) | Q(leased_until__lt=now)
    return due & free


def _claim(job: ScheduledJob, now: datetime) -> PeriodicJob | None:
    runner = f"{socket.gethostname()[:50]}:{os.getpid()}:{uuid4().hex[:12]}"
    free = PeriodicJob.objects.filter(_claimable(now), name=job.name)
    claimed = run_transaction(
        lambda: free.update(
            status=Status.RUNNING, runner=runner, last_started_at=now, leased_until=lease_end(now)
        )
    )
    return PeriodicJob.objects.get(name=job.name) if claimed else None


def _due_times(job: ScheduledJob, row: PeriodicJob, now: datetime) -> list[datetime]:
    """The due times to process, oldest first, at most the newest `MAX_MISSED`."""
    if not job.catches_up or row.last_done_at is None:
        return [now]
    times, moment = [], job.schedule.after(row.last_done_at)
    while moment <= now:
        times.append(moment)
        moment = job.schedule.after(moment)
    return times[-MAX_MISSED:] or [now]


def _held(row: PeriodicJob) -> Any:
    """The row, while this run holds its lease."""
    return PeriodicJob.objects.filter(pk=row.pk, runner=row.runner)


def _end(
    job: ScheduledJob,
    row: PeriodicJob,
    now: datetime,
    status: Status,
    lines: list[str],
    error: str = "",
) -> None:
    next_run_at = job.schedule.after(now)
    if status == Status.FAILED:
        next_run_at = min(next_run_at, now + RETRY_AFTER)
    ended = {
        "status": status,
        "last_ended_at": timezone.now(),
        "leased_until": None,
        "next_run_at": next_run_at,
        "result": "\n".join(lines)[-MAX_TEXT:],
        "error": error[:MAX_TEXT],
    }
    run_transaction(lambda: _held(row).update(**ended))
