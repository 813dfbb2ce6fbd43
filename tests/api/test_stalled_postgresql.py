"""PostgreSQL holds a lock or freezes: 503 in time at every entry point, and no hang."""

import os
import time
from collections.abc import Iterator
from typing import NamedTuple

import psycopg
import pytest
from django.db import connection

from tests.api.server import Server, running_server
from tests.api.stalls import BUSY_SECONDS, recovers, refuses_everything_in_time
from tests.storage.stalling_proxy import StallingProxy, stalling_proxy

pytestmark = [
    pytest.mark.server,
    pytest.mark.database,
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="needs PostgreSQL"),
]


class Stalled(NamedTuple):
    server: Server
    proxy: StallingProxy
    database: str


@pytest.fixture(scope="module")
def stalled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stalled]:
    """A server with a separate database, behind a proxy that can stop forwarding."""
    known = connection.settings_dict
    host, port = known["HOST"] or "127.0.0.1", int(known["PORT"] or 5432)
    who = {"user": known["USER"], "password": known["PASSWORD"], "host": host, "port": port}
    login = f"{known['USER']}:{known['PASSWORD']}" if known["PASSWORD"] else known["USER"]
    name = f"stalled_{os.getpid()}"
    with psycopg.connect(dbname="postgres", autocommit=True, **who) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            with (
                stalling_proxy(host, port) as proxy,
                running_server(
                    tmp_path_factory.mktemp("stalled"),
                    DATABASE_URL=f"postgres://{login}@127.0.0.1:{proxy.port}/{name}",
                    DATABASE_BUSY_SECONDS=str(BUSY_SECONDS),
                    DATABASE_CONNECT_SECONDS="2",
                    DATABASE_LOCK_SECONDS=str(BUSY_SECONDS - 0.5),
                    OPENAI_API_KEY="sk-none",
                    OPENAI_BASE_URL="http://127.0.0.1:9/v1",
                ) as server,
            ):
                yield Stalled(server, proxy, psycopg.conninfo.make_conninfo(dbname=name, **who))
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("table", ["experiments_decision", "experiments_apikey"])
def test_a_table_that_is_locked(stalled: Stalled, table: str) -> None:
    with psycopg.connect(stalled.database) as other:
        other.execute(f"LOCK TABLE {table}, experiments_writeprobe IN ACCESS EXCLUSIVE MODE")
        time.sleep(1.1)  # keys are cached for a second
        refuses_everything_in_time(stalled.server)
        other.rollback()
    recovers(stalled.server)


def test_a_server_that_freezes(stalled: Stalled) -> None:
    stalled.proxy.stalled.set()
    try:
        refuses_everything_in_time(stalled.server)
    finally:
        stalled.proxy.stalled.clear()
    recovers(stalled.server)
