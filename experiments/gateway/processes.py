"""The processes that serve chat calls: registers this one and finds the dead ones.

The kernel decides about a process on this machine, however late its heartbeat is. For a process
elsewhere only the heartbeat is known: it is dead once its heartbeat has not changed for
`PROCESS_DEAD_SECONDS`. That time is measured by the database's clock from the first observation,
so neither an unavailable database nor clocks that differ make a process dead."""

import os
import socket
import time
import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils import timezone

from experiments.models import InFlightCall, ProcessSuspicion, ServingProcess
from experiments.models.lock_order import locked_ids
from experiments.storage import bulk_sql
from experiments.storage.transactions import run_transaction

HEARTBEAT_SECONDS = 15.0
_STARTED_FIELD = 19  # of /proc/<pid>/stat, counted after the name: the start in clock ticks
_DEAD_STATES = {"Z", "X"}


class Identity(NamedTuple):
    """`id` is random: a later process with the same number is a different one."""

    id: UUID
    host: str
    machine: str
    pid: int
    started_ticks: int | None
    started_at: datetime


class _Own:
    """The identity of this process. A forked process gets a new one."""

    def __init__(self) -> None:
        pid = os.getpid()
        stat = _stat(pid)
        self.identity = Identity(
            uuid.uuid4(), socket.gethostname(), machine(), pid, stat and stat.ticks, timezone.now()
        )
        self.beat_at = float("-inf")


class _Stat(NamedTuple):
    state: str
    ticks: int


_own: _Own | None = None


def own() -> Identity:
    return _this().identity


def is_beat_due() -> bool:
    return time.monotonic() - _this().beat_at >= HEARTBEAT_SECONDS


def is_registered() -> bool:
    """Whether this process has admitted calls, so that it is registered."""
    return _this().beat_at > float("-inf")


def beat() -> None:
    """Writes the heartbeat of this process. Raises the database's errors."""
    this = _this()
    row = {**this.identity._asdict(), "heartbeat_at": timezone.now()}
    run_transaction(lambda: bulk_sql.put(ServingProcess, ["id"], [row]))
    this.beat_at = time.monotonic()


def registered() -> UUID:
    """The id of this process, if it is registered and its heartbeat is not late."""
    if is_beat_due():
        beat()
    return own().id


def leave() -> None:
    """Removes this process at its end. A sweep then finds its unfinished calls."""
    if not is_registered():
        return
    row = ServingProcess.objects.filter(pk=own().id)
    run_transaction(row.delete)
    _this().beat_at = float("-inf")


def dead_among(ids: Collection[UUID]) -> set[UUID]:
    """Those of these processes that are dead. A process without a row has left."""
    rows = ServingProcess.objects.in_bulk(list(ids))
    alive = {pk: is_alive_here(row) for pk, row in rows.items()}
    silent = _silent([rows[pk] for pk, known in alive.items() if known is None])
    return {pk for pk in ids if pk not in rows or alive[pk] is False or pk in silent}


def forget_dead() -> None:
    """Removes the rows of processes without calls and without a heartbeat for a day."""
    before = timezone.now() - timedelta(days=1)
    busy = InFlightCall.objects.exclude(process_id=None).values("process_id")
    rows = ServingProcess.objects.filter(heartbeat_at__lt=before).exclude(pk__in=busy)
    if rows.exists():
        run_transaction(lambda: rows.filter(pk__in=locked_ids(rows)).delete())
    known = ServingProcess.objects.values("pk")
    stale = ProcessSuspicion.objects.exclude(pk__in=known)
    if stale.exists():
        run_transaction(lambda: stale.filter(pk__in=locked_ids(stale)).delete())


def is_alive_here(process: ServingProcess) -> bool | None:
    """None if the kernel of this machine cannot tell."""
    if not process.machine or process.machine != machine():
        return None
    stat = _stat(process.pid)
    if stat is None:
        return None if _is_hidden(process.pid) else False
    return stat.state not in _DEAD_STATES and stat.ticks == process.started_ticks


@cache
def machine() -> str:
    """The running kernel and the namespace of its process numbers; empty without /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
    return f"{boot} {namespace}"


def _silent(processes: list[ServingProcess]) -> set[UUID]:
    """Processes whose heartbeat has not changed for long enough, compared over several sweeps."""
    if not processes:
        return set()
    now, longest = _database_now(), timedelta(seconds=settings.PROCESS_DEAD_SECONDS)
    known = ProcessSuspicion.objects.in_bulk([process.pk for process in processes])
    silent, fresh = set(), []
    for process in processes:
        before = known.get(process.pk)
        if before is None or before.heartbeat_at != process.heartbeat_at:
            row = {"heartbeat_at": process.heartbeat_at, "since": now}
            fresh.append({"process_id": process.pk, **row})
        elif now - before.since >= longest:
            silent.add(process.pk)
    if fresh:
        fresh.sort(key=lambda row: str(row["process_id"]))
        run_transaction(lambda: bulk_sql.put(ProcessSuspicion, ["process_id"], fresh))
    return silent


def _database_now() -> datetime:
    """The database's clock: one clock for all machines."""
    if connection.vendor == "sqlite":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT CURRENT_TIMESTAMP")
        now: datetime = cursor.fetchone()[0]
    return now


def _this() -> _Own:
    global _own  # noqa: PLW0603
    if _own is None or _own.identity.pid != os.getpid():
        _own = _Own()
    return _own


def _is_hidden(pid: int) -> bool:
    """A process of another user may exist without being visible."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _stat(pid: int) -> _Stat | None:
    """None if there is no such process. The name is in brackets and may contain any character."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return _Stat(fields[0], int(fields[_STARTED_FIELD]))
