"""Background tasks: queued with a name and arguments, run by a separate process.

The row is the task, whichever way it is delivered: by polling the database, which needs nothing
else, or by Celery if `CELERY_BROKER_URL` names a broker. Both end in `run`.

A name is registered with the dotted path of its function. The function receives a `Running` and
the arguments as keywords, must be repeatable after a crash, and returns the result that the row
stores."""

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.module_loading import import_string

from experiments.background import celery_transport
from experiments.background.leases import lease_end, renewed
from experiments.models import BackgroundTask
from experiments.models.lock_order import locked_ids
from experiments.storage.transactions import run_transaction

log = logging.getLogger("switchyard.tasks")

Status = BackgroundTask.TaskStatus

TASKS: dict[str, str] = {}
"""Dotted path of the function behind each name. `experiments.apps` fills it."""

MOST_ATTEMPTS = 3
LONGEST_LOG = 20_000
BETWEEN_REPORTS = timedelta(seconds=1)
SENT_AGAIN_AFTER = timedelta(minutes=5)


class TaskCancelledError(Exception):
    """The task was cancelled, or another process has taken it over."""


def register(name: str, function: str) -> None:
    """`function` is a dotted path, so that nothing is imported before the first such task runs."""
    TASKS[name] = function


def enqueue(
    name: str,
    arguments: Mapping[str, Any],
    *,
    by: str = "",
    run_after: datetime | None = None,
) -> BackgroundTask:
    """Queues a task when the surrounding transaction commits. KeyError: unknown name."""
    if name not in TASKS:
        raise KeyError(name)
    now = timezone.now()
    row = BackgroundTask.objects.create(
        name=name, arguments=dict(arguments), by=by, queued_at=now, run_after=run_after or now
    )
    if settings.CELERY_BROKER_URL:
        transaction.on_commit(lambda: celery_transport.send_soon(row))
    return row


def cancel(task_id: int) -> None:
    """A queued task never starts; a running one stops at its next step."""
    rows = BackgroundTask.objects.filter(pk=task_id)
    ended = {"status": Status.CANCELLED, "ended_at": timezone.now()}

    def write() -> None:
        if not rows.filter(status=Status.QUEUED).update(**ended):
            rows.filter(status=Status.RUNNING).update(cancel_requested=True)

    run_transaction(write)


class Running:
    """A task's handle to its own row while it runs."""

    def __init__(self, row: BackgroundTask) -> None:
        self.row = row
        self._reported = timezone.now() - BETWEEN_REPORTS

    def advance(self, done: int, total: int = 0) -> None:
        """Reports progress, at most once a second. Raises TaskCancelledError."""
        now = timezone.now()
        if now - self._reported >= BETWEEN_REPORTS or done == total:
            self._reported = now
            self._save(done_steps=done, all_steps=total)

    def log(self, line: str) -> None:
        """Adds a line to the task's log. Raises TaskCancelledError."""
        self.row.log = f"{self.row.log}{line}\n"[-LONGEST_LOG:]
        self._save(log=self.row.log)

    def _save(self, **values: Any) -> None:
        held = _held(self.row).filter(cancel_requested=False)
        if not run_transaction(lambda: held.update(**values)):
            raise TaskCancelledError


def run_next(now: datetime) -> bool:
    """Runs one due task, if there is one. If another process claims it first, tries the next
    one."""
    due = BackgroundTask.objects.filter(_free(now), run_after__lte=now)
    in_order = due.order_by("run_after", "id").values_list("pk", flat=True)
    while (task_id := in_order.first()) is not None:
        if run(task_id, now):
            return True
    return False


def run(task_id: int, now: datetime) -> bool:
    """Runs this task unless another process holds it. An error is stored in its row."""
    free = BackgroundTask.objects.filter(_free(now), pk=task_id)
    taken = run_transaction(
        lambda: free.update(
            status=Status.RUNNING,
            started_at=now,
            leased_until=lease_end(now),
            attempts=F("attempts") + 1,
        )
    )
    if not taken:
        return False
    row = BackgroundTask.objects.get(pk=task_id)
    if row.attempts > MOST_ATTEMPTS:
        _end(row, Status.FAILED, error=f"Failed: it was interrupted {MOST_ATTEMPTS} times.")
        return True
    try:
        with _heartbeat(row):
            result = import_string(TASKS[row.name])(Running(row), **row.arguments)
        _end(row, Status.DONE, result=dict(result or {}))
    except TaskCancelledError:
        _end(row, Status.CANCELLED)
    except Exception as error:
        log.exception("task failed", extra={"task": row.name, "task_id": row.pk})
        _end(row, Status.FAILED, error=f"{type(error).__name__}: {error}")
    return True


def send_again(now: datetime) -> int:
    """Sends tasks again that Celery has not delivered, because its broker was away or its worker
    died. Returns how many. Sending twice does no harm: a row runs once."""
    lapsed = BackgroundTask.objects.filter(status=Status.RUNNING, leased_until__lt=now)
    run_transaction(
        lambda: lapsed.filter(pk__in=locked_ids(lapsed)).update(
            status=Status.QUEUED, run_after=now - SENT_AGAIN_AFTER, leased_until=None
        )
    )
    late = BackgroundTask.objects.filter(
        status=Status.QUEUED, run_after__lte=now - SENT_AGAIN_AFTER
    )
    sent = 0
    for row in late.order_by("run_after", "id"):
        if celery_transport.send(row):
            sent += BackgroundTask.objects.filter(pk=row.pk).update(run_after=now)
    return sent


def prune(before: datetime) -> int:
    """Deletes tasks that ended before that moment; returns how many."""
    ended = BackgroundTask.objects.filter(ended_at__lt=before)
    rows = ended.exclude(status__in=[Status.QUEUED, Status.RUNNING])
    deleted, _ = run_transaction(lambda: rows.filter(pk__in=locked_ids(rows)).delete())
    return deleted


def _free(now: datetime) -> Q:
    return Q(status=Status.QUEUED) | Q(status=Status.RUNNING, leased_until__lt=now)


def _held(row: BackgroundTask) -> Any:
    """The row, while this attempt holds its lease."""
    return BackgroundTask.objects.filter(pk=row.pk, status=Status.RUNNING, attempts=row.attempts)


def _heartbeat(row: BackgroundTask) -> AbstractContextManager[None]:
    """Renews the lease of the task, however long one of its steps takes."""
    return renewed(lambda end: _held(row).update(leased_until=end), f"task {row.pk}")


def _end(row: BackgroundTask, status: Status, **values: Any) -> None:
    ended = {"status": status, "ended_at": timezone.now(), "leased_until": None, **values}
    run_transaction(lambda: _held(row).update(**ended))
    log.info("task ended", extra={"task": row.name, "task_id": row.pk, "status": status})
