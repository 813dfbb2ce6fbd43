"""Leases: a row belongs to one worker until a time, which the worker extends while it works."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

log = logging.getLogger("switchyard.leases")

RENEWALS = 4  # per lease


def lease_end(now: datetime) -> datetime:
    """When a lease taken or renewed now ends."""
    return now + timedelta(seconds=settings.TASK_LEASE_SECONDS)


@contextmanager
def renewed(renew: Callable[[datetime], object], name: str) -> Iterator[None]:
    """Calls `renew(end)` from a thread, several times per lease, until the block ends.

    A renewal that the database refuses is logged and retried at the next interval."""
    ended = threading.Event()

    def loop() -> None:
        while not ended.wait(settings.TASK_LEASE_SECONDS / RENEWALS):
            try:
                renew(lease_end(timezone.now()))
            except (DatabaseError, InterfaceError):
                log.warning("a lease was not renewed", extra={"lease": name})
            finally:
                connection.close()

    thread = threading.Thread(target=loop, name=f"lease-{name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
