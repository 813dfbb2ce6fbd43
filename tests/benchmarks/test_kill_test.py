"""The short form of `python -m benchmarks.kill_test`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from benchmarks.kill_test import measure
from benchmarks.write_contention import new_database

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.django_db]


@contextmanager
def database(folder: Path) -> Iterator[str]:
    if connection.vendor == "sqlite":
        yield f"sqlite:///{folder / 'killed.sqlite3'}"
        return
    with new_database() as url:
        yield url


def test_killed_processes_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with database(tmp_path) as url:
        run = measure(url, tmp_path, kills=3)
    assert (run.killed_web, run.killed_folding) == (2, 1)
    assert run.is_clean, run
    assert run.acknowledged > 100
    assert run.budgets["tight"][1] > 0
