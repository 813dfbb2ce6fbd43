"""Calls that may hang, each with a timeout and a limit on concurrent calls.

A thread cannot be killed, so one that hangs keeps its slot. When all slots are held by calls that
no caller waits for any more, the next call is refused at once. Each call has its own daemon thread:
none exists before a fork, and none delays a shutdown.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class CallTimeoutError(Exception):
    """No answer in time, or all slots are held by calls that hang."""


class BoundedCalls:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.reset()

    def reset(self) -> None:
        """Drops all calls: after a fork their threads do not exist."""
        self._places = threading.BoundedSemaphore(self._limit)
        self._lock = threading.Lock()
        self._hanging: set[Future[Any]] = set()

    def run(self, call: Callable[[], Result], timeout: float) -> Result:
        """The call's result or its exception; CallTimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        if len(self._hanging) >= self._limit:
            raise CallTimeoutError(f"{self._limit} earlier calls still hang.")
        places = self._places  # slots from before a reset return to the old semaphore
        if not places.acquire(timeout=timeout):
            raise CallTimeoutError(f"No free place within {timeout:g} s.")
        future: Future[Result] = Future()
        self._start(lambda: self._work(call, future, places), places)
        return self._wait(future, deadline, timeout)

    def _start(self, work: Callable[[], None], places: threading.Semaphore) -> None:
        try:
            threading.Thread(target=work, name="router-call", daemon=True).start()
        except RuntimeError:
            places.release()
            raise

    def _work(
        self, call: Callable[[], Result], future: Future[Result], places: threading.Semaphore
    ) -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)  # raised again in the thread that waits
        finally:
            with self._lock:
                self._hanging.discard(future)
            places.release()

    def _wait(self, future: Future[Result], deadline: float, timeout: float) -> Result:
        try:
            return future.result(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            with self._lock:
                if not future.done():
                    self._hanging.add(future)
                    raise CallTimeoutError(f"No answer within {timeout:g} s.") from None
        return future.result()
