"""Django's PostgreSQL backend, except that every wait for the server has a limit.

The server itself ends statements and lock waits that take too long (`statement_timeout`,
`lock_timeout`). That does not help if the server, or the network, stops answering: so the client
also stops waiting, and closes the connection, whose state is then unknown.

Behind a pooler in transaction mode (pgbouncer) the next transaction may run on another
connection of the server, so no state may remain on one: limits are set for each transaction, and
results outside a transaction are not read through a cursor of the server."""

from math import ceil
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar

import psycopg
from django.db import OperationalError
from django.db.backends.postgresql import base
from psycopg.abc import PQGen

from experiments.storage.deadlines import deadline, deadline_in, meter_of_this_thread, seconds_left

Result = TypeVar("Result")

# The server's own limits come first: its errors say what was waited for.
GRACE_SECONDS = 1.0
# `SELECT 1` on a kept connection. If it takes longer, the server is not answering.
HEALTH_CHECK_SECONDS = 2.0
# psycopg takes up to two seconds to connect, whatever the setting: no attempt with less time.
LEAST_CONNECT_SECONDS = 0.3
# Detects a lost network, also when no other limit applies.
KEEPALIVE = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


class DatabaseLimits(NamedTuple):
    """In seconds; 0 means no limit. The value of `OPTIONS["limits"]` in the settings."""

    connect: float = 0.0
    statement: float = 0.0
    lock: float = 0.0
    idle_transaction: float = 0.0

    @property
    def for_server(self) -> dict[str, str]:
        """Settings of a session, in milliseconds."""
        seconds = {
            "statement_timeout": self.statement,
            "lock_timeout": self.lock,
            "idle_in_transaction_session_timeout": self.idle_transaction,
        }
        return {name: str(ceil(limit * 1000)) for name, limit in seconds.items() if limit}

    @property
    def for_client(self) -> float:
        """How long the client waits for the reply to one statement."""
        return self.statement + GRACE_SECONDS if self.statement else float("inf")


class BoundedConnection(psycopg.Connection[Any]):
    limits = DatabaseLimits()

    def wait(self, gen: PQGen[Result], *args: Any, **kwargs: Any) -> Result:
        seconds = seconds_left(self.limits.for_client)
        if seconds == float("inf"):
            return super().wait(gen, *args, **kwargs)
        try:
            with meter_of_this_thread().running():
                return super().wait(gen, *args, **{**kwargs, "timeout": seconds})
        except psycopg.errors._WaitTimeout:
            self.close()
            raise psycopg.OperationalError(
                f"The database did not answer within {seconds:.1f} s."
            ) from None


class DatabaseWrapper(base.DatabaseWrapper):
    Database = SimpleNamespace(**{**vars(psycopg), "connect": BoundedConnection.connect})  # type: ignore[assignment]

    @property
    def limits(self) -> DatabaseLimits:
        return DatabaseLimits(**self.settings_dict["OPTIONS"].get("limits", {}))

    is_pooled = False

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        params.pop("limits", None)
        if limit := self.limits.connect:
            params["connect_timeout"] = ceil(seconds_left(limit))
        return {**KEEPALIVE, **params}

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if seconds_left(1.0) < LEAST_CONNECT_SECONDS:
            raise OperationalError("No time is left to connect to the database.")
        with meter_of_this_thread().running():
            connection: Any = super().get_new_connection(conn_params)
        connection.limits = self.limits
        return connection

    def init_connection_state(self) -> None:
        super().init_connection_state()
        self.is_pooled = self._is_answered_by_another()
        if not self.is_pooled:
            self._limit(for_session=True)

    def chunked_cursor(self) -> Any:
        """Behind a pooler a cursor of the server ends with its transaction."""
        self.ensure_connection()
        if self.is_pooled and self.get_autocommit():
            return self.cursor()
        return super().chunked_cursor()

    def _set_autocommit(self, autocommit: bool) -> None:
        super()._set_autocommit(autocommit)  # type: ignore[misc]  # not in its stubs
        if self.is_pooled and not autocommit:
            self._limit(for_session=False)

    def _is_answered_by_another(self) -> bool:
        """A pooler gives each client an invented process id."""
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            process: int = cursor.fetchone()[0]
        return bool(process != self.connection.info.backend_pid)

    def _limit(self, *, for_session: bool) -> None:
        """Sets the limits on the server, for the session or for this transaction."""
        wanted = self.limits.for_server
        if not wanted:
            return
        calls = ", ".join([f"set_config(%s, %s, {not for_session})"] * len(wanted))
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT {calls}", [part for pair in wanted.items() for part in pair])

    def is_usable(self) -> bool:
        """Reserves half of the time for a new connection."""
        seconds = min(HEALTH_CHECK_SECONDS, seconds_left(2 * HEALTH_CHECK_SECONDS) / 2)
        with deadline(deadline_in(seconds)):
            usable: bool = super().is_usable()
            return usable
