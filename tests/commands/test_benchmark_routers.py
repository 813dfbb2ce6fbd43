"""`manage.py benchmark_routers SET…`."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.routers.outcome_files import write_csv

pytestmark = pytest.mark.django_db


def outcomes(folder: Path, n: int = 80) -> Path:
    header = (
        ("prompt", "strong_model", "weak_model", "strong_score", "weak_score"),
        ("strong_cost", "weak_cost"),
    )
    rows = [
        (
            f"Case {place}: {'hard' if place % 2 else 'easy'}.",
            "large",
            "small",
            1,
            1 - place % 2,
            "0.002",
            "0.001",
        )
        for place in range(n)
    ]
    return write_csv(folder / "cases.csv", [header[0] + header[1], *rows])


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("benchmark_routers", *arguments, stdout=output)
    return output.getvalue()


@pytest.mark.slow
def test_a_set_of_the_lab_has_dollars(tmp_path: Path) -> None:
    call_command("import_outcomes", str(outcomes(tmp_path)), "--name", "cases", stdout=StringIO())
    found: dict[str, Any] = json.loads(run("cases", "--json"))[0]

    assert found["set"] == "cases"
    assert found["answer"].startswith("Yes" if found["pays"] else "No")
    assert [one["name"] for one in found["single_models"]] == ["large", "small"]
    assert [one["cost"] for one in found["single_models"]] == [2.0, 1.0]
    assert found["random"] == 0.75
    assert found["oracle"] == 1.0
    for line in found["routers"]:
        assert line["cost"] == pytest.approx(1.5)
        assert line["over_hull"] == pytest.approx(line["over_random"]["value"])


@pytest.mark.slow
def test_text_begins_with_the_answer(tmp_path: Path) -> None:
    lines = run(str(outcomes(tmp_path))).splitlines()

    assert lines[0].startswith(("Yes: on 'cases'", "No: on 'cases'"))
    assert any(line.startswith("random: quality 0.75") for line in lines)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Unknown outcome set 'nothing'"):
        run("nothing")
    with pytest.raises(CommandError, match="does not exist"):
        run(str(tmp_path / "none.csv"))
    with pytest.raises(CommandError, match="between 0 and 1"):
        run("nothing", "--share", "1")
