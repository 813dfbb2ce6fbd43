"""An empty database of the kind that the tests run on, for separate processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
from django.db import connection
from psycopg import sql


@contextmanager
def fresh_database(folder: Path) -> Iterator[str]:
    """Its DATABASE_URL."""
    if connection.vendor != "postgresql":
        yield f"sqlite:///{folder / 'fresh.sqlite3'}"
        return
    name = f"switchyard_fresh_{uuid4().hex[:12]}"
    server = server_url()
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield f"{server}/{name}"
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            admin.execute(drop)


def server_url() -> str:
    """The PostgreSQL server of the tests."""
    settings = connection.settings_dict
    who = settings["USER"] or "postgres"
    if settings["PASSWORD"]:
        who = f"{who}:{settings['PASSWORD']}"
    return f"postgres://{who}@{settings['HOST'] or '127.0.0.1'}:{settings['PORT'] or 5432}"
