"""`manage.py evaluate_router ROUTER FILE`."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.routers.outcome_files import make_evals, write_csv


@pytest.fixture(scope="module")
def evals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_evals(tmp_path_factory.mktemp("evals"))


def evaluate(*arguments: str) -> str:
    output = StringIO()
    call_command("evaluate_router", *arguments, stdout=output)
    return output.getvalue()


def evaluate_json(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(evaluate(*arguments, "--json"))
    return found


@pytest.mark.parametrize("router", ["local", "local_mf", "random"])
def test_json(evals: Path, router: str) -> None:
    found = evaluate_json(router, str(evals))

    assert {"n", "router", "random", "oracle"} <= set(found)
    assert found["n"] == 300
    for measured in (found["router"], found["random"], found["oracle"]):
        names = {"apgr", "cpt20", "cpt50", "cpt80", "strong_share_at_95"}
        assert set(measured) == {*names, "intervals"}
        assert set(measured["intervals"]) == names
    assert found["random"]["apgr"] == pytest.approx(0.5)
    assert found["random"]["cpt50"] == 0.5
    assert found["oracle"]["apgr"] > found["router"]["apgr"]
    low, high = found["router"]["intervals"]["apgr"]
    assert low < found["router"]["apgr"] < high


def test_the_same_seed_gives_the_same_figures(evals: Path) -> None:
    assert evaluate("local", str(evals), "--json") == evaluate("local", str(evals), "--json")


def test_table(evals: Path) -> None:
    lines = evaluate("local", str(evals)).splitlines()

    assert lines[0] == "300 prompts, 95 % intervals by bootstrap"
    assert "APGR" in lines[1]
    assert "share at 95 %" in lines[1]
    assert [line.split()[0] for line in lines[2:5]] == ["router", "random", "oracle"]


def test_undefined_is_null_and_said(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "own.csv",
        [("prompt", "strong_score", "weak_score"), *[(f"p{i}", 1, 1) for i in range(5)]],
    )

    found = evaluate_json("local", str(path))

    assert found["router"]["apgr"] is None
    assert found["router"]["strong_share_at_95"] == 0.0
    assert set(found["router"]["intervals"]) == {"strong_share_at_95"}
    assert "undefined" in evaluate("local", str(path))


def test_groups_are_chosen_and_left_out(evals: Path) -> None:
    assert evaluate_json("random", str(evals), "--group", "gsm8k")["n"] == 60
    assert evaluate_json("random", str(evals), "--leave-out", "gsm8k")["n"] == 240
    with pytest.raises(CommandError, match="No prompt"):
        evaluate("random", str(evals), "--group", "astrology")


def test_refuses_an_unknown_router(evals: Path) -> None:
    with pytest.raises(CommandError, match="no router 'nobody'"):
        evaluate("nobody", str(evals))


def test_names_the_line_that_is_wrong(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", [("prompt", "strong_score", "weak_score"), ("p", 2, 0)])

    with pytest.raises(CommandError, match=r"x.csv, line 2: strong_score is '2'"):
        evaluate("local", str(path))
