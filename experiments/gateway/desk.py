"""The thread that decides and books: the one place of the gateway that waits for the database.

Calls that arrive while it works are let in together, in one transaction; what has ended is booked
when nobody waits to be let in, or has waited long enough.

A call waits for the database DATABASE_BUSY_SECONDS at most, and so do calls behind it.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from django.conf import settings
from django.db import OperationalError, close_old_connections

from experiments.services.admission import Admitted, Asking, admit
from experiments.services.routing import StorageUnavailableError
from experiments.services.settling import Settlement, settle
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

Result = TypeVar("Result")


class _Job(NamedTuple):
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"
    work: Callable[..., Any]
    is_call: bool
    waited_before: float

    def deliver(self, answer: Any) -> None:
        """In the loop's thread; the caller may have hung up meanwhile."""
        self.loop.call_soon_threadsafe(self._set, answer)

    def _set(self, answer: Any) -> None:
        if self.future.done():
            return
        if isinstance(answer, BaseException):
            self.future.set_exception(answer)
        else:
            self.future.set_result(answer)


class Desk:
    def __init__(self) -> None:
        self._jobs: deque[_Job] = deque()
        self._ended: list[Settlement] = []
        self._oldest = 0.0
        self._changed = threading.Condition()
        self._meter = WaitMeter()
        self._thread: threading.Thread | None = None
        self._closing = False

    async def admit(self, asking: Asking) -> Admitted:
        """Raises what `asking` or `services.admission` refuses, NoPolicyError,
        StorageUnavailableError."""
        admitted: Admitted = await self._answer_to(asking, is_call=True)
        return admitted

    async def run(self, work: Callable[[], Result]) -> Result:
        """Runs anything that reads the database. Raises what it raises, StorageUnavailableError."""
        result: Result = await self._answer_to(work, is_call=False)
        return result

    async def _answer_to(self, work: Callable[..., Any], *, is_call: bool) -> Any:
        """A call that waits for the database longer than it may is left alone."""
        patience = settings.DATABASE_BUSY_SECONDS + GRACE_SECONDS
        before, future = self._meter.seconds(), self._ask(work, is_call=is_call)
        try:
            while not (await asyncio.wait({future}, timeout=patience))[0]:
                if self._meter.seconds() - before >= settings.DATABASE_BUSY_SECONDS:
                    raise StorageUnavailableError
            return future.result()
        finally:
            future.cancel()

    def settle(self, settlement: Settlement) -> None:
        """Books it soon."""
        with self._changed:
            self._start()
            if not self._ended:
                self._oldest = time.monotonic()
            self._ended.append(settlement)
            if len(self._ended) >= MOST_TOGETHER or len(self._ended) == 1:
                self._changed.notify()

    def close(self) -> None:
        """Books what has ended, and ends."""
        with self._changed:
            self._closing = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _ask(self, work: Callable[..., Any], *, is_call: bool) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        with self._changed:
            self._start()
            self._jobs.append(_Job(loop, future, work, is_call, self._meter.seconds()))
            self._changed.notify()
        return future

    def _start(self) -> None:
        """Not before the first call: threads do not survive the server's fork."""
        if self._thread is None or not self._thread.is_alive():
            self._closing = False
            self._thread = threading.Thread(target=self._work, name="desk", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        self._meter = meter_of_this_thread()
        while True:
            jobs, ended = self._next()
            if not jobs and not ended:
                close_old_connections()
                return
            close_old_connections()
            if jobs:
                _answer(jobs)
            if ended:
                _book(ended)

    def _next(self) -> tuple[list[_Job], list[Settlement]]:
        """Waits for work. Nothing at all means that the desk closes."""
        with self._changed:
            while not self._jobs and not self._is_due():
                if self._closing and not self._ended:
                    return [], []
                self._changed.wait(self._until_due())
            jobs = [self._jobs.popleft() for _ in range(min(len(self._jobs), MOST_TOGETHER))]
            ended: list[Settlement] = []
            if self._is_due():
                ended, self._ended = self._ended[:MOST_TOGETHER], self._ended[MOST_TOGETHER:]
            return jobs, ended

    def _is_due(self) -> bool:
        if not self._ended:
            return False
        waited = time.monotonic() - self._oldest
        return self._closing or len(self._ended) >= MOST_TOGETHER or waited >= PATIENCE_SECONDS

    def _until_due(self) -> float | None:
        if not self._ended:
            return None
        return max(0.001, self._oldest + PATIENCE_SECONDS - time.monotonic())


def _answer(jobs: list[_Job]) -> None:
    """Nothing is done for callers who hung up, or whose time is up."""
    waiting = [job for job in jobs if not job.future.done()]
    for job in waiting:
        if not job.is_call:
            _answer_one(job)
    calls = [job for job in waiting if job.is_call and not _is_late(job)]
    if calls:
        with waiting_budget(min(_budget(job) for job in calls)):
            answers = _attempt(lambda: admit([job.work for job in calls]))
        if isinstance(answers, BaseException):
            answers = [answers] * len(calls)
        for job, answer in zip(calls, answers, strict=True):
            job.deliver(answer)


def _answer_one(job: _Job) -> None:
    if not _is_late(job):
        with waiting_budget(_budget(job)):
            job.deliver(_attempt(job.work))


def _is_late(job: _Job) -> bool:
    """Whether the database kept it waiting for so long that it is refused."""
    is_late = _budget(job) < settings.DATABASE_BUSY_SECONDS / 10
    if is_late:
        job.deliver(OperationalError("The database took too long with other calls."))
    return is_late


def _budget(job: _Job) -> float:
    waited = meter_of_this_thread().seconds() - job.waited_before
    return float(settings.DATABASE_BUSY_SECONDS - waited)


def _attempt(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:
        return error


def _book(ended: list[Settlement]) -> None:
    """Nothing that goes wrong here may end the thread."""
    try:
        with deadline(deadline_in(settings.DATABASE_BUSY_SECONDS)):
            settle(ended)
    except Exception:
        log.exception("Outcomes were lost", extra={"count": len(ended)})
