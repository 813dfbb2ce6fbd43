"""Only one process at a time creates or upgrades the database.

Two processes that start together, such as two containers, would both create the same tables. On
PostgreSQL a transaction on a separate connection holds an advisory lock: it ends with the
connection, whatever happens to the process, and works through a connection pooler. On SQLite a
file next to the database is locked."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection

_NO_LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
_KEY = "hashtext('switchyard-installation')"
_held = False


@contextmanager
def installation_lock(on_wait: Callable[[], object]) -> Iterator[None]:
    """Waits until no other process installs or upgrades; calls `on_wait` if it has to. A block
    that already holds the lock does not wait."""
    global _held  # noqa: PLW0603 - one lock for the process
    if _held:
        yield
        return
    lock = _advisory_lock if connection.vendor == "postgresql" else _file_lock
    with lock(on_wait):
        _held = True
        try:
            yield
        finally:
            _held = False


@contextmanager
def _advisory_lock(on_wait: Callable[[], object]) -> Iterator[None]:
    own = connection.copy()
    try:
        own.set_autocommit(False)
        with own.cursor() as cursor:
            for limit in _NO_LIMITS:
                cursor.execute("SELECT set_config(%s, '0', true)", [limit])
            cursor.execute(f"SELECT pg_try_advisory_xact_lock({_KEY})")
            if not cursor.fetchone()[0]:
                on_wait()
                cursor.execute(f"SELECT pg_advisory_xact_lock({_KEY})")
        yield
    finally:
        own.close()


@contextmanager
def _file_lock(on_wait: Callable[[], object]) -> Iterator[None]:
    name = str(connection.settings_dict["NAME"])
    if ":memory:" in name or "mode=memory" in name:  # invisible to other processes
        yield
        return
    file = os.open(f"{name}-installation", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)  # which releases the lock
