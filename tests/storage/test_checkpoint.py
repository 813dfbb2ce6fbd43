"""The folding process copies SQLite's write-ahead log, so that no request has to."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection, connections

from experiments.storage.transactions import LONG_LOG_PAGES, checkpoint, write_transaction

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL has its own process"),
]
PAGE = b"x" * 4000


@pytest.fixture
def file(tmp_path: Path) -> Iterator[None]:
    """A database in a file; that of the tests is in memory."""
    own = connections["default"]
    new = type(own)({**own.settings_dict, "NAME": str(tmp_path / "log.sqlite3")}, "default")
    connections["default"] = new
    try:
        execute("CREATE TABLE page (data BLOB)")
        yield
    finally:
        new.close()
        connections["default"] = own


def execute(statement: str) -> tuple[int, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone() or ()


def write(pages: int) -> None:
    with write_transaction(), connection.cursor() as cursor:
        cursor.executemany("INSERT INTO page VALUES (%s)", [[PAGE]] * pages)


def pages_in_log() -> int:
    return execute("PRAGMA wal_checkpoint(PASSIVE)")[1]


@pytest.mark.usefixtures("file")
def test_long_log_starts_again() -> None:
    write(LONG_LOG_PAGES + 100)
    checkpoint()
    write(1)
    assert pages_in_log() < 20
    assert execute("SELECT COUNT(*) FROM page") == (LONG_LOG_PAGES + 101,)


@pytest.mark.usefixtures("file")
def test_short_log_is_copied_while_another_writes() -> None:
    """The one who copies does not take the write lock."""
    write(100)
    database = connections["default"]
    ended = threading.Event()

    def copy() -> None:
        connections["default"] = type(database)(database.settings_dict, "default")
        try:
            checkpoint()
            ended.set()
        finally:
            connection.close()

    with write_transaction():
        thread = threading.Thread(target=copy)
        thread.start()
        assert ended.wait(5)
    thread.join()


@pytest.mark.usefixtures("file")
def test_a_request_copies_nothing() -> None:
    """As long as a folding process runs: SQLite's own limit is five times higher."""
    assert execute("PRAGMA wal_autocheckpoint")[0] >= 5 * LONG_LOG_PAGES
