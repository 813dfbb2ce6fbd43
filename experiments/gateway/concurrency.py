"""Limits the number of concurrent calls per model on this machine."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from experiments.gateway.host_slots import HostSlots, of_this_machine

LOOK_SECONDS = 0.005
LOOK_SECONDS_PER_PLACE = 1e-4


class BusyError(Exception):
    """No slot became free in time."""


class ConcurrencyLimiter:
    """Within a process, slots are assigned first come, first served. Between processes, the
    first to poll gets a free slot, and all poll equally often."""

    def __init__(self, places: Callable[[], HostSlots] = of_this_machine) -> None:
        self._places = places
        self._queues: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def place(self, model: str, limit: int, patience: float) -> AsyncIterator[None]:
        """Raises BusyError after `patience` seconds. A limit of 0 means no limit."""
        if not limit:
            yield
            return
        number = await self._enter(model, limit, patience)
        try:
            yield
        finally:
            self._places().leave(model, number)

    async def _enter(self, model: str, limit: int, patience: float) -> int:
        """No await follows once a slot is taken, so a timeout cannot lose one."""
        try:
            async with asyncio.timeout(patience), self._queues[model]:
                while (number := self._places().take(model, limit)) is None:
                    await asyncio.sleep(_pause(limit))
                return number
        except TimeoutError:
            raise BusyError from None


def _pause(limit: int) -> float:
    """Polling takes longer the more slots there are."""
    return random.uniform(0.5, 1.5) * max(LOOK_SECONDS, limit * LOOK_SECONDS_PER_PLACE)
