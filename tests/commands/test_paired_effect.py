"""`manage.py paired_effect FILE`."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from experiments.analysis.paired import PairLabel
from experiments.lab.pair_labels import read_pair_labels
from experiments.routers.table_files import OutcomesError

COUNTS = ("--decisions", "1000", "--disagreements", "300", "--margin", "0.03")


def run(path: Path, *arguments: str) -> str:
    out = StringIO()
    call_command("paired_effect", str(path), *COUNTS, *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    rows = [f"u{at},{(1, 0, 0, 0)[at % 4]}" for at in range(120)]
    path.write_text("unit,difference\n" + "\n".join(rows) + "\n")
    return path


def test_json(labels: Path) -> None:
    found = json.loads(run(labels, "--json"))
    assert found["verdict"] == "non_inferior"
    assert found["estimate"] == pytest.approx(0.3 * 0.25)
    assert found["lower"] < found["estimate"] < found["upper"]
    assert (found["labels"], found["judged"]) == (120, 0)


def test_text(labels: Path) -> None:
    printed = run(labels)
    assert "Not worse: the loss is smaller than the margin." in printed
    assert "+0.0750" in printed


def test_a_stricter_alpha_and_a_wider_plan_widen_the_bounds(labels: Path) -> None:
    lower = json.loads(run(labels, "--json"))["lower"]
    for plan in (["--alpha", "0.001"], ["--floor", "0.2"]):
        assert json.loads(run(labels, "--json", *plan))["lower"] < lower


def test_every_column_is_read_from_csv_and_json_lines(tmp_path: Path) -> None:
    expected = [
        PairLabel("a", 0.5, 0.5, 0.4, -1.0),
        PairLabel("b", None, 1.0, 1.0, None, skipped=True),
        PairLabel("7", None, 0.8, 0.5, 0.0),
    ]
    table = tmp_path / "labels.csv"
    table.write_text(
        "note,unit,difference,odds,asked,judge,skipped\n"
        "x,a,0.5,0.5,0.4,-1,\nx,b,,,,,true\nx,7,,0.8,0.5,0,false\n"
    )
    lines = tmp_path / "labels.jsonl"
    lines.write_text(
        '{"unit": "a", "difference": 0.5, "odds": 0.5, "asked": 0.4, "judge": -1}\n\n'
        '{"unit": "b", "difference": null, "skipped": true}\n'
        '{"unit": 7, "odds": 0.8, "asked": 0.5, "judge": 0, "skipped": false}\n'
    )
    assert read_pair_labels(table) == expected
    assert read_pair_labels(lines) == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("l.csv", "user,difference\na,1\n", "no column unit"),
        ("l.csv", "", "no column unit"),
        ("l.csv", "unit,difference\na,1\n,0\n", "line 3: 'unit' is empty"),
        ("l.csv", "unit,difference\na,better\n", "line 2: 'difference' must be a number"),
        ("l.csv", "unit,difference\na,nan\n", "line 2: 'difference' must be a number"),
        ("l.csv", "unit,difference,skipped\na,,maybe\n", "'skipped' must be true or false"),
        ("l.jsonl", '{"unit": "a"\n', "line 1: it is not UTF-8 text, or not a whole row"),
        ("l.jsonl", "[1]\n", "line 1: .*not a whole row"),
        ("l.jsonl", '{"unit": "a", "difference": true}\n', "'difference' must be a number"),
    ],
)
def test_a_faulty_line_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(OutcomesError, match=message):
        read_pair_labels(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"none\.csv cannot be read"):
        run(tmp_path / "none.csv")


def test_differences_out_of_range_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("unit,difference\na,5\n")
    with pytest.raises(CommandError, match="'difference' must be between -1 and 1"):
        run(path)


def test_more_labels_than_disagreements_are_refused(labels: Path) -> None:
    with pytest.raises(CommandError, match="120 labels cannot come from 100 disagreements"):
        run(labels, "--disagreements", "100")
