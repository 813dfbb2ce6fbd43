"""PostgreSQL that is slow, locked or silent: every wait ends in time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from experiments.storage.deadlines import deadline, deadline_in
from tests.storage.stalling_proxy import StallingProxy, stalling_proxy

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="needs PostgreSQL"),
]
LIMITS = {"connect": 2, "statement": 1.0, "lock": 0.5, "idle_transaction": 0.5}


def limited(**changes: Any) -> BaseDatabaseWrapper:
    """A separate connection to the tests' database."""
    other: BaseDatabaseWrapper = connection.copy()
    options = {**other.settings_dict["OPTIONS"], "limits": LIMITS}
    other.settings_dict = {**other.settings_dict, "OPTIONS": options, **changes}
    return other


@pytest.fixture
def database() -> Iterator[BaseDatabaseWrapper]:
    found = limited()
    yield found
    found.close()


@pytest.fixture
def proxy() -> Iterator[StallingProxy]:
    settings = connection.settings_dict
    with stalling_proxy(settings["HOST"] or "127.0.0.1", int(settings["PORT"] or 5432)) as found:
        yield found


@pytest.fixture
def behind(proxy: StallingProxy) -> Iterator[BaseDatabaseWrapper]:
    found = limited(HOST="127.0.0.1", PORT=str(proxy.port))
    run(found, "SELECT 1")
    yield found
    found.close()


def run(database: BaseDatabaseWrapper, sql: str) -> Any:
    with database.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


@contextmanager
def fails_within(seconds: float, match: str) -> Iterator[None]:
    started = time.monotonic()
    with pytest.raises(DatabaseError, match=match):
        yield
    assert time.monotonic() - started < seconds


def test_a_session_has_the_limits_of_the_settings(database: BaseDatabaseWrapper) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    shown = [run(database, f"SHOW {name}")[0][0] for name in names]
    assert shown == ["1s", "500ms", "500ms"]


def test_a_slow_statement_is_ended(database: BaseDatabaseWrapper) -> None:
    with fails_within(2, "statement timeout"):
        run(database, "SELECT pg_sleep(10)")


def test_waiting_for_a_held_lock_times_out(database: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE experiments_decision IN ACCESS EXCLUSIVE MODE")
        try:
            with fails_within(1.5, "lock timeout"):
                run(database, "SELECT count(*) FROM experiments_decision")
        finally:
            cursor.execute("ROLLBACK")


def test_a_transaction_left_open_is_ended(database: BaseDatabaseWrapper) -> None:
    database.ensure_connection()
    run(database, "SELECT 1")
    database.set_autocommit(autocommit=False)
    run(database, "SELECT 1")
    time.sleep(1.2)
    with fails_within(1, "idle-in-transaction|closed the connection"):
        run(database, "SELECT 1")


def test_waiting_for_a_frozen_server_times_out(
    proxy: StallingProxy, behind: BaseDatabaseWrapper
) -> None:
    proxy.stalled.set()
    with fails_within(3, r"did not answer within 2\.0 s"):
        run(behind, "SELECT 1")


def test_the_deadline_of_a_request_comes_before_the_limit_of_a_statement(
    proxy: StallingProxy, behind: BaseDatabaseWrapper
) -> None:
    proxy.stalled.set()
    with deadline(deadline_in(0.3)), fails_within(1, "did not answer within 0"):
        run(behind, "SELECT 1")


def test_a_connection_that_froze_is_replaced_once_the_server_answers_again(
    proxy: StallingProxy, behind: BaseDatabaseWrapper
) -> None:
    proxy.stalled.set()
    with deadline(deadline_in(0.3)), pytest.raises(DatabaseError):
        run(behind, "SELECT 1")
    proxy.stalled.clear()
    behind.close_if_unusable_or_obsolete()
    assert run(behind, "SELECT 1") == [(1,)]


def test_connecting_to_a_frozen_server_times_out(proxy: StallingProxy) -> None:
    proxy.stalled.set()
    with fails_within(3.5, "timeout expired"):
        run(limited(HOST="127.0.0.1", PORT=str(proxy.port)), "SELECT 1")


def test_nothing_connects_after_the_deadline() -> None:
    with deadline(deadline_in(-1)), fails_within(0.5, "No time is left"):
        run(limited(), "SELECT 1")
