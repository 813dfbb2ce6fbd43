"""`verify_totals` and `rebuild_rollups` next to processes that write all the time."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.storage.fresh_database import fresh_database
from tests.storage.test_installing_at_once import start

WRITER = "from tests.decisions.verification_writer import write; write({})"
SPOIL = """
from django.db.models import F
from experiments.models import MetricSum, Rollup, RollupBin, UnitSum
from experiments.storage.transactions import run_transaction
wrong = {Rollup: "cost", RollupBin: "count", UnitSum: "rated", MetricSum: "total"}
for model, column in wrong.items():
    def spoil() -> None:
        model.objects.update(**{column: F(column) + 1000})
    run_transaction(spoil)
"""


@contextmanager
def writers(url: str, number: int) -> Iterator[None]:
    running = [
        start(url, "shell", "--verbosity", "0", "-c", WRITER.format(seed), stdin=subprocess.PIPE)
        for seed in range(number)
    ]
    for process in running:
        assert process.stdout is not None
        while (line := process.stdout.readline()) != "ready\n":
            assert line.startswith("{"), line
    try:
        yield
    finally:
        said = [process.communicate("over\n", timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0] * number, said
    assert all(int(each.splitlines()[-1]) > 0 for each in said)


def verified(url: str, *options: str) -> tuple[int, Any]:
    with start(url, "verify_totals", "--json", *options) as process:
        said, _ = process.communicate(timeout=120)
    return process.returncode, json.loads(said)


def run(url: str, *arguments: str) -> str:
    with start(url, *arguments) as process:
        said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return said


@pytest.mark.slow
@pytest.mark.django_db
def test_sums_are_compared_and_corrected_next_to_writers(tmp_path: Path) -> None:
    with fresh_database(tmp_path) as url:
        run(url, "prepare")
        with writers(url, 2):
            for _ in range(2):
                assert verified(url)[1]["differences"] == []
            run(url, "shell", "--verbosity", "0", "-c", SPOIL)
            status, found = verified(url, "--repair")
            assert status == 0
            tables = {each["table"] for each in found["differences"]}
            assert tables == {"Rollup", "RollupBin", "UnitSum", "MetricSum"}
            run(url, "shell", "--verbosity", "0", "-c", SPOIL)
            assert "hour" in run(url, "rebuild_rollups")
            tables = {each["table"] for each in verified(url)[1]["differences"]}
            assert tables == {"UnitSum", "MetricSum"}
            assert verified(url, "--repair")[0] == 0
        status, found = verified(url)
        assert (status, found["differences"]) == (0, [])
