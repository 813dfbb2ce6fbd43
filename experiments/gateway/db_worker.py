"""The database thread: decides calls and records outcomes. Only this thread of the gateway waits
for the database.

Calls that arrive while it works are admitted together in one transaction. Outcomes are recorded
when no call waits to be admitted, or when they have waited long enough. An outcome that cannot be
recorded is kept and retried, for the last time when the process ends. While too many outcomes are
queued, no call is admitted, so none is ever dropped. The thread also writes the heartbeat of the
process.

A call waits for the database at most DATABASE_BUSY_SECONDS, including the time it spends in the
queue."""

import asyncio
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections

from experiments.gateway import in_flight, processes
from experiments.gateway.admission import Admitted, Asking, admit
from experiments.gateway.settlement import Settlement, abandoned, settle
from experiments.routing.route import StorageUnavailableError
from experiments.storage.deadlines import (
    WaitMeter,
    deadline,
    deadline_in,
    meter_of_this_thread,
    waiting_budget,
)

log = logging.getLogger("switchyard.gateway")

MOST_TOGETHER = 64
PATIENCE_SECONDS = 0.1
GRACE_SECONDS = 0.5
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.2, 2.0
CLOSING_SECONDS = 15.0
LOST_AFTER = timedelta(minutes=1)  # a call in flight that this process does not serve
MOST_NAMED = 50

Result = TypeVar("Result")


class _Job(NamedTuple):
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"
    work: Callable[..., Any]
    is_call: bool
    waited_before: float

    def set(self, answer: Any, unheard: "Unheard") -> None:
        """Runs in the loop's thread."""
        if self.future.done():
            unheard(answer)
        elif isinstance(answer, BaseException):
            self.future.set_exception(answer)
        else:
            self.future.set_result(answer)


# Receives a result that no caller waits for any more.
Unheard = Callable[[Any], None]


def _deliver(answers: Sequence[tuple[_Job, Any]], unheard: Unheard = lambda _: None) -> None:
    """Wakes each event loop once for all its jobs."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Job, Any]]] = {}
    for job, answer in answers:
        by_loop.setdefault(job.loop, []).append((job, answer))
    for loop, own in by_loop.items():
        try:
            loop.call_soon_threadsafe(_set_all, own, unheard)
        except RuntimeError:  # the loop has ended
            for _, answer in own:
                unheard(answer)


def _set_all(answers: Sequence[tuple[_Job, Any]], unheard: Unheard) -> None:
    for job, answer in answers:
        job.set(answer, unheard)


class DatabaseWorker:
    def __init__(self) -> None:
        self._jobs: deque[_Job] = deque()
        self._notifying: set[asyncio.AbstractEventLoop] = set()
        self._ended: list[Settlement] = []
        self._serving: set[UUID] = set()
        self._oldest = 0.0
        self._wait = 0.0
        self._retry_at = 0.0
        self._beat_at = 0.0
        self._changed = threading.Condition()
        self._meter = WaitMeter()
        self._thread: threading.Thread | None = None
        self._closes_at: float | None = None

    async def admit(self, asking: Asking) -> Admitted:
        """Raises the errors of the call's factory and of `admission`, NoPolicyError,
        StorageUnavailableError."""
        if len(self._ended) >= settings.GATEWAY_MAX_PENDING_OUTCOMES:
            raise StorageUnavailableError
        admitted: Admitted = await self._answer_to(asking, is_call=True)
        return admitted

    async def run(self, work: Callable[[], Result]) -> Result:
        """Runs a function that reads the database. Raises its errors, StorageUnavailableError."""
        result: Result = await self._answer_to(work, is_call=False)
        return result

    async def _answer_to(self, work: Callable[..., Any], *, is_call: bool) -> Any:
        """A call that waits too long for the database is abandoned."""
        loop = asyncio.get_running_loop()
        patience = settings.DATABASE_BUSY_SECONDS + GRACE_SECONDS
        before, future = self._meter.seconds(), self._ask(loop, work, is_call=is_call)
        timer: asyncio.TimerHandle

        def abandon() -> None:
            nonlocal timer
            if future.done():
                return
            if self._meter.seconds() - before >= settings.DATABASE_BUSY_SECONDS:
                future.set_exception(StorageUnavailableError())
            else:
                timer = loop.call_later(patience, abandon)

        timer = loop.call_later(patience, abandon)
        try:
            return await future
        finally:
            timer.cancel()
            future.cancel()

    def settle(self, settlement: Settlement) -> None:
        """Queues it to be recorded soon."""
        with self._changed:
            self._start()
            if not self._ended:
                self._oldest = time.monotonic()
            self._ended.append(settlement)
            if len(self._ended) >= MOST_TOGETHER or len(self._ended) == 1:
                self._changed.notify()

    def give_up(self, decision_id: UUID) -> None:
        """Leaves a call without an outcome to the sweep, which settles it as estimated."""
        self._serving.discard(decision_id)

    def close(self, seconds: float = CLOSING_SECONDS) -> None:
        """Records the remaining outcomes and stops. The sweep settles what is not recorded in
        time, as estimated."""
        with self._changed:
            self._closes_at = time.monotonic() + seconds
            self._retry_at = 0.0
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _ask(
        self, loop: asyncio.AbstractEventLoop, work: Callable[..., Any], *, is_call: bool
    ) -> "asyncio.Future[Any]":
        """The thread is notified once for all calls that arrive in one turn of the loop, so it
        admits them together."""
        future: asyncio.Future[Any] = loop.create_future()
        self._jobs.append(_Job(loop, future, work, is_call, self._meter.seconds()))
        if loop not in self._notifying:
            self._notifying.add(loop)
            loop.call_soon(self._notify, loop)
        return future

    def _notify(self, loop: asyncio.AbstractEventLoop) -> None:
        self._notifying.discard(loop)
        with self._changed:
            self._start()
            self._changed.notify()

    def _start(self) -> None:
        """Starts with the first call: threads do not survive the server's fork."""
        if self._thread is None or not self._thread.is_alive():
            self._closes_at = None
            self._beat_at = time.monotonic() + processes.HEARTBEAT_SECONDS
            self._thread = threading.Thread(target=self._work, name="db-worker", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        self._meter = meter_of_this_thread()
        while True:
            jobs, ended = self._next()
            close_old_connections()
            if jobs:
                self._answer(jobs)
            if ended:
                self._book(ended)
            if time.monotonic() >= self._beat_at:
                self._beat()
            if not jobs and not ended and self._is_over():
                self._end()
                return

    def _next(self) -> tuple[list[_Job], list[Settlement]]:
        """Waits for work, the next heartbeat or the stop signal."""
        with self._changed:
            while not (self._jobs or self._is_due() or self._is_over() or self._is_beat_due()):
                self._changed.wait(self._until_due())
            jobs = [self._jobs.popleft() for _ in range(min(len(self._jobs), MOST_TOGETHER))]
            ended: list[Settlement] = []
            if self._is_due():
                ended, self._ended = self._ended[:MOST_TOGETHER], self._ended[MOST_TOGETHER:]
            return jobs, ended

    def _is_due(self) -> bool:
        now = time.monotonic()
        if not self._ended or now < self._retry_at:
            return False
        is_full = len(self._ended) >= MOST_TOGETHER
        is_closing = self._closes_at is not None
        return is_closing or is_full or now - self._oldest >= PATIENCE_SECONDS

    def _is_over(self) -> bool:
        if self._closes_at is None:
            return False
        return not self._ended or time.monotonic() >= self._closes_at

    def _is_beat_due(self) -> bool:
        return time.monotonic() >= self._beat_at

    def _until_due(self) -> float:
        moments = [self._beat_at]
        if self._ended:
            moments.append(max(self._oldest + PATIENCE_SECONDS, self._retry_at))
        if self._closes_at is not None:
            moments.append(self._closes_at)
        return max(0.001, min(moments) - time.monotonic())

    def _answer(self, jobs: list[_Job]) -> None:
        """Skips callers that have disconnected or whose time is up."""
        waiting = [job for job in jobs if not job.future.done()]
        for job in waiting:
            if not job.is_call:
                _answer_one(job)
        calls = [job for job in waiting if job.is_call and not _is_late(job)]
        if calls:
            self._let_in(calls)

    def _let_in(self, calls: list[_Job]) -> None:
        with waiting_budget(min(_budget(job) for job in calls)):
            answers = _attempt(lambda: admit([job.work for job in calls]))
        if isinstance(answers, BaseException):
            answers = [answers] * len(calls)
        self._serving |= {each.decision.pk for each in answers if isinstance(each, Admitted)}
        _deliver(list(zip(calls, answers, strict=True)), self._unheard)

    def _unheard(self, answer: Any) -> None:
        """The caller disconnected before its call was admitted: no model is called."""
        if isinstance(answer, Admitted):
            self.settle(abandoned(answer.decision, answer.charge))

    def _book(self, ended: list[Settlement]) -> None:
        """An exception here must not end the thread or lose an outcome."""
        try:
            with deadline(deadline_in(settings.DATABASE_BUSY_SECONDS)):
                left = settle(ended)
        except Exception:
            log.exception("Outcomes could not be recorded")
            left = ended
        self._serving -= _ids(ended) - _ids(left)
        with self._changed:
            # A shadow candidate may be large, and is worth less than an outcome.
            self._ended = [each._replace(shadow=None) for each in left] + self._ended
        self._pace(len(left))

    def _pace(self, left: int) -> None:
        """After a failure the delay before the next attempt grows. The log gets the first
        failure and the recovery."""
        if left and not self._wait:
            log.error("Outcomes wait for the database, and are kept", extra={"count": left})
        elif self._wait and not left:
            log.warning("Outcomes that waited for the database are recorded")
        longer = min(2 * self._wait or FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)
        self._wait = longer if left else 0.0
        self._retry_at = time.monotonic() + self._wait * random.uniform(0.5, 1.0)

    def _beat(self) -> None:
        """A failed heartbeat is only late: calls are admitted only after a successful one."""
        self._beat_at = time.monotonic() + processes.HEARTBEAT_SECONDS
        if not processes.is_registered():
            return
        try:
            with deadline(deadline_in(settings.DATABASE_BUSY_SECONDS)):
                processes.beat()
                lost = in_flight.release(self._serving, datetime.now(UTC) - LOST_AFTER)
        except (DatabaseError, InterfaceError):
            log.warning("The heartbeat could not be written", exc_info=True)
        else:
            if lost:
                log.warning(
                    "Calls that are not served were released to the sweep", extra={"count": lost}
                )

    def _end(self) -> None:
        if self._ended:
            ids = sorted(str(pk) for pk in _ids(self._ended))[:MOST_NAMED]
            log.error(
                "Outcomes were not recorded before the end; a sweep settles them as estimated",
                extra={"count": len(self._ended), "decision_ids": ids},
            )
            self._ended = []
        try:
            with deadline(deadline_in(settings.DATABASE_BUSY_SECONDS)):
                processes.leave()
        except (DatabaseError, InterfaceError):
            log.warning("The process could not be unregistered", exc_info=True)
        close_old_connections()


def _answer_one(job: _Job) -> None:
    if not _is_late(job):
        with waiting_budget(_budget(job)):
            _deliver([(job, _attempt(job.work))])


def _is_late(job: _Job) -> bool:
    """Whether the database delayed the job for so long that it is refused."""
    is_late = _budget(job) < settings.DATABASE_BUSY_SECONDS / 10
    if is_late:
        _deliver([(job, OperationalError("The database was busy with other calls for too long."))])
    return is_late


def _budget(job: _Job) -> float:
    waited = meter_of_this_thread().seconds() - job.waited_before
    return float(settings.DATABASE_BUSY_SECONDS - waited)


def _attempt(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:
        return error


def _ids(settlements: Sequence[Settlement]) -> set[UUID]:
    return {settlement.decision.pk for settlement in settlements}
