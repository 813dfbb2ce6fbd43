"""Work that one thread of the background process repeats, about every second."""

import logging
import threading
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, close_old_connections, connection

log = logging.getLogger("switchyard.repeating")

SECONDS_APART = 1.0


class Repeating:
    """A thread that does the work again and again until it is stopped.

    What the database refuses is logged, and tried again a second later.
    """

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        self._name, self._work = name, work
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, wait_seconds: float = 10.0) -> None:
        self._stopped.set()
        self._thread.join(wait_seconds)

    def _loop(self) -> None:
        while not self._stopped.wait(SECONDS_APART):
            try:
                close_old_connections()
                self._work()
            except (DatabaseError, InterfaceError):
                log.exception("the database did not answer", extra={"work": self._name})
        connection.close()
