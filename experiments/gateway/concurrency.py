"""Limits the number of concurrent calls per model on this machine.

Each model has numbered slots, shared by all processes. A slot is held by a lock on one byte of the
model's file. The kernel releases the lock when its process ends, however it ends, so no slot is
ever lost."""

import asyncio
import fcntl
import hashlib
import os
import random
import tempfile
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection


class HostSlots:
    """One per process: the kernel does not distinguish holders within a process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, int] = {}
        self._held: dict[str, set[int]] = {}
        self._lock = threading.Lock()

    def take(self, model: str, limit: int) -> int | None:
        """The number of a free slot, None if all are taken. Does not block."""
        with self._lock:
            held = self._held.setdefault(model, set())
            if len(held) >= limit:
                return None
            file = self._file(model, is_idle=not held)
            first = random.randrange(limit)  # the starting point differs between processes
            for step in range(limit):
                number = (first + step) % limit
                if number not in held and _lock(file, number):
                    held.add(number)
                    return number
        return None

    def leave(self, model: str, number: int) -> None:
        with self._lock:
            self._held[model].discard(number)
            fcntl.lockf(self._files[model], fcntl.LOCK_UN, 1, number)

    def _file(self, model: str, *, is_idle: bool) -> int:
        """Opened once, and reopened if the file was deleted. Closing it releases all slots."""
        file = self._files.get(model)
        if file is not None and is_idle and not os.fstat(file).st_nlink:
            os.close(file)
            file = None
        if file is None:
            name = hashlib.sha256(model.encode()).hexdigest()[:32]
            file = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._files[model] = file
        return file


def _lock(file: int, number: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
    except (BlockingIOError, PermissionError):
        return False
    return True


@cache
def of_this_machine() -> HostSlots:
    """Raises ImproperlyConfigured if the folder cannot be used."""
    try:
        return HostSlots(_folder())
    except OSError as error:
        raise ImproperlyConfigured(
            f"Set RUNTIME_DIR to a folder that can be used: {error}."
        ) from None


def _folder() -> Path:
    if settings.RUNTIME_DIR:
        folder = Path(settings.RUNTIME_DIR) / _installation()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder
    folder = Path(tempfile.gettempdir()) / f"switchyard-{os.getuid()}-{_installation()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    return folder


def _installation() -> str:
    """The same for all processes that use one database."""
    database = connection.settings_dict
    parts = [str(database[part]) for part in ("ENGINE", "HOST", "PORT", "NAME")]
    return hashlib.sha256("\0".join([settings.SECRET_KEY, *parts]).encode()).hexdigest()[:16]


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
