"""The real server on a database of its own, of the kind the tests run on."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from django.db import connection

from tests.api.server import ROOT, Server, running_server

FILL = "from tests.gateway.rows import fill; fill('{url}', '{url}')"


class DatabaseServer(NamedTuple):
    """A server, and its PostgreSQL database; `dsn` is empty on SQLite."""

    server: Server
    dsn: str

    def ask(self, function: str, *arguments: Any) -> Any:
        """The result of a function of `tests.gateway.stored` on the server's database."""
        code = (
            "import django, json, sys; django.setup(); from tests.gateway import stored; "
            f"print(json.dumps(stored.{function}(*json.loads(sys.argv[1]))))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(arguments)],
            cwd=ROOT,
            env=self.server.environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return json.loads(done.stdout.splitlines()[-1])

    def deadlocks(self) -> int:
        """How many deadlocks PostgreSQL has ended since the database was created; 0 on SQLite."""
        if not self.dsn:
            return 0
        with psycopg.connect(self.dsn, autocommit=True) as own:
            own.execute("SELECT pg_stat_force_next_flush()")
            row = own.execute(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()
        return int(row[0]) if row else 0


@contextmanager
def database_server(folder: Path, stub_url: str, **settings: str) -> Iterator[DatabaseServer]:
    with _database(folder) as (url, dsn):
        prepare = (FILL.format(url=stub_url),)
        environment = {"DATABASE_URL": url, "STUB_PROVIDER_KEY": "sk-stub-0123456789abcdef"}
        with running_server(folder, prepare, **{**environment, **settings}) as server:
            yield DatabaseServer(server, dsn)


@contextmanager
def _database(folder: Path) -> Iterator[tuple[str, str]]:
    """Its address as a setting, and for psycopg."""
    if connection.vendor == "sqlite":
        yield f"sqlite:///{folder / 'served.sqlite3'}", ""
        return
    at = connection.settings_dict
    name = f"switchyard_{uuid.uuid4().hex[:12]}"
    place = f"{at['HOST'] or 'localhost'}:{at['PORT'] or 5432}"
    account = at["USER"] + (f":{at['PASSWORD']}" if at["PASSWORD"] else "")
    dsn = f"postgresql://{account}@{place}"
    with psycopg.connect(f"{dsn}/postgres", autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"postgres://{account}@{place}/{name}", f"{dsn}/{name}"
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def worker_pids(server: Server) -> list[int]:
    """The processes that serve, not the one that started them."""
    master = server_pid(server)
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == master and fields[0] != "Z":
            found.append(int(status.parent.name))
    return sorted(found)


def server_pid(server: Server) -> int:
    """The process that listens on the server's port and is no child of another that does."""
    port = server.environment["PORT"]
    own = os.getpid()
    for status in Path("/proc").glob("[0-9]*/environ"):
        try:
            text = status.read_bytes()
            parent = int((status.parent / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if f"\0PORT={port}\0".encode() in b"\0" + text and parent == own:
            return int(status.parent.name)
    raise AssertionError("The server is not running.")
