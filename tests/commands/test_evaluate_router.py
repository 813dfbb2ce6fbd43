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


def with_costs(path: Path, costs: tuple[str, ...]) -> Path:
    """Prompts of two kinds, of which the router sends the shorter ones to the weak model."""
    easy, hard = "Hi", "Is the following statement about quantum chromodynamics not correct? Why?"
    rows = [
        (f"{hard if at % 2 else easy} {at}", 1, 1 - at % 2, cost, "0.001")
        for at, cost in zip(range(60), costs, strict=True)
    ]
    return write_csv(
        path, [("prompt", "strong_score", "weak_score", "strong_cost", "weak_cost"), *rows]
    )


def test_savings_where_the_file_has_costs(tmp_path: Path) -> None:
    path = with_costs(tmp_path / "own.csv", ("0.01",) * 60)

    text = evaluate("local", str(path))
    assert "saved at the strong model's quality, against always strong" in text
    assert "lack a cost" not in text
    saving = evaluate_json("local", str(path))["more"]["saving_against_strong"]
    assert 0 < saving["value"] <= 0.45  # at best half of the calls, at a tenth of the price


def test_a_missing_cost_is_said(tmp_path: Path) -> None:
    text = evaluate("local", str(with_costs(tmp_path / "own.csv", ("", *("0.01",) * 59))))

    assert "1 prompt of 60 lack a cost, so no saving in money is shown." in text
    assert "against always strong" not in text


def test_a_cost_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = with_costs(tmp_path / "own.csv", ("cheap", *("0.01",) * 59))

    with pytest.raises(CommandError, match=r"own.csv, line 2: strong_cost is 'cheap'"):
        evaluate("local", str(path))


@pytest.mark.slow
def test_the_complexity_heuristic_can_be_evaluated(evals: Path) -> None:
    assert evaluate_json("complexity", str(evals))["router"]["apgr"] is not None


def test_groups_are_chosen_and_left_out(evals: Path) -> None:
    assert evaluate_json("random", str(evals), "--group", "gsm8k")["n"] == 60
    assert evaluate_json("random", str(evals), "--leave-out", "gsm8k")["n"] == 240
    with pytest.raises(CommandError, match="No prompt"):
        evaluate("random", str(evals), "--group", "astrology")


def test_refuses_an_unknown_router(evals: Path) -> None:
    with pytest.raises(CommandError, match="no router 'unknown'"):
        evaluate("unknown", str(evals))


def test_names_the_line_that_is_wrong(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", [("prompt", "strong_score", "weak_score"), ("p", 2, 0)])

    with pytest.raises(CommandError, match=r"x.csv, line 2: strong_score is '2'"):
        evaluate("local", str(path))
