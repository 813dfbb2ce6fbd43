"""How many calls of one model run at a time in this process."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PROCESSES_VARIABLE = "SWITCHYARD_PROCESSES"


class BusyError(Exception):
    """No place became free in time."""


class Crowds:
    """Places are given in the order they were asked for. Each process has its part of the limit."""

    def __init__(self) -> None:
        self._inside: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def place(self, model: str, limit: int, patience: float) -> AsyncIterator[None]:
        """Raises BusyError after `patience` seconds. A limit of 0 is none."""
        if not limit:
            yield
            return
        await self._enter(model, share_of(limit), patience)
        try:
            yield
        finally:
            self._leave(model)

    async def _enter(self, model: str, limit: int, patience: float) -> None:
        if self._inside.get(model, 0) < limit:
            self._inside[model] = self._inside.get(model, 0) + 1
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(model, deque())
        waiting.append(future)
        try:
            async with asyncio.timeout(patience):
                await future
        except BaseException as error:
            if future.done() and not future.cancelled():
                self._leave(model)  # the place came with the time-out
            elif future in waiting:
                waiting.remove(future)
            if isinstance(error, TimeoutError):
                raise BusyError from None
            raise

    def _leave(self, model: str) -> None:
        """The place goes to whoever waits longest."""
        waiting = self._waiting.get(model, deque())
        while waiting:
            future = waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        self._inside[model] -= 1


def share_of(limit: int) -> int:
    """This process's part, at least 1."""
    processes = int(os.environ.get(PROCESSES_VARIABLE, "1") or 1)
    return max(1, limit // processes)
