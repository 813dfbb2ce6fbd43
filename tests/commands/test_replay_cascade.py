"""`manage.py replay_cascade FILE`."""

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from experiments.lab.answer_pairs import read_answer_pairs
from experiments.lab.cascade_replay import Judged, folds_of, replay_cascade, threshold_for

Row = dict[str, Any]


def rows(n: int, seed: int = 0, groups: int = 0) -> list[Row]:
    """The weak answer is wrong in four of ten cases, and then the second one disagrees."""
    rng = np.random.default_rng(seed)
    made = []
    for place in range(n):
        right = rng.random() < 0.6
        weak = place if right else place + 7
        row = {
            "prompt": f"What is {place} plus nothing, counted {int(rng.integers(1000))} times?",
            "weak_answer": f"It is {weak}.\n#### {weak}",
            "strong_answer": f"#### {place}",
            "weak_score": int(right),
            "strong_score": int(rng.random() < 0.95),
            "second_answer": f"#### {place}",
        }
        made.append(row | ({"group": f"g{place % groups}"} if groups else {}))
    return made


def write(path: Path, found: list[Row]) -> str:
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(found[0]))
            writer.writeheader()
            writer.writerows(found)
    else:
        path.write_text("\n".join(map(json.dumps, found)), encoding="utf-8")
    return str(path)


def replay(*arguments: str) -> dict[str, Any]:
    output = StringIO()
    call_command("replay_cascade", *arguments, "--json", stdout=output)
    found: dict[str, Any] = json.loads(output.getvalue())
    return found


def test_json(tmp_path: Path) -> None:
    found = replay(write(tmp_path / "pairs.jsonl", rows(60)))

    assert found["n"] == 60
    assert 0.25 < found["escalated"] <= 0.55
    assert found["pgr"] > 0.8
    assert found["se"] > 0
    assert found["costs"] == "estimated"
    assert found["escalated"] < found["cost_share"] < 1.5
    for name in ("router_at_same_share", "router_at_same_cost"):
        assert found[name]["pgr"] < found["pgr"]
        assert found[name]["router"] in ("local", "local_mf")


def test_csv_and_json_lines_give_the_same(tmp_path: Path) -> None:
    made = rows(40)

    assert replay(write(tmp_path / "a.csv", made)) == replay(write(tmp_path / "b.jsonl", made))


def test_the_verifier_never_sees_the_strong_answer(tmp_path: Path) -> None:
    made = rows(40)
    changed = [row | {"strong_answer": row["strong_answer"].replace("#", "@")} for row in made]

    assert replay(write(tmp_path / "a.csv", made)) == replay(write(tmp_path / "b.csv", changed))


def test_recorded_costs(tmp_path: Path) -> None:
    costs = {"weak_cost": 0.01, "second_cost": 0.02, "strong_cost": 0.1}
    found = replay(write(tmp_path / "pairs.csv", [row | costs for row in rows(40)]))

    assert found["costs"] == "recorded"
    assert found["cost_share"] == pytest.approx(0.3 + found["escalated"])


def test_no_gap_is_null_with_a_reason(tmp_path: Path) -> None:
    made = [row | {"strong_score": row["weak_score"]} for row in rows(40)]
    found = replay(write(tmp_path / "pairs.csv", made))

    assert found["pgr"] is None
    assert found["router_at_same_share"] == {"pgr": None}
    assert "not surely above 0" in found["reason"]


def test_a_smaller_share_escalates_less(tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.csv", rows(60))
    few, many = (replay(path, "--share", share)["escalated"] for share in ("0.1", "0.5"))

    assert few < many - 0.1


def test_text(tmp_path: Path) -> None:
    output = StringIO()
    call_command("replay_cascade", write(tmp_path / "p.csv", rows(40)), stdout=output)

    assert "Best prompt router at the same cost" in output.getvalue()


@pytest.mark.slow
def test_trained_prompt_routers_take_part(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    write(path, rows(120, groups=3))
    steps: list[tuple[int, int]] = []
    found = replay_cascade(read_answer_pairs(path), advance=lambda *at: steps.append(at))

    assert found.pgr is not None
    assert found.pgr > 0.8
    assert found.same_share is not None
    assert steps[-1][0] == steps[-1][1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weak_score": "x"}, "line 3: weak_score is 'x'"),
        ({"prompt": " "}, "line 3: the prompt is empty"),
        ({"weak_cost": "-1"}, "line 3: weak_cost is '-1'"),
        ({"weak_logprob": "2"}, "line 3: weak_logprob is '2'"),
    ],
)
def test_a_bad_cell_is_named_by_line_and_column(tmp_path: Path, change: Row, message: str) -> None:
    made = [row | {"weak_cost": "", "weak_logprob": ""} for row in rows(12)]
    for row in made:
        row["weak_answer"] = "#### 1"
    made[1] |= change

    with pytest.raises(CommandError, match=message):
        replay(write(tmp_path / "pairs.csv", made))


def test_refused_files(tmp_path: Path) -> None:
    made = rows(12)
    with pytest.raises(CommandError, match="no column weak_answer"):
        replay(
            write(
                tmp_path / "a.csv",
                [{"prompt": "p", "strong_answer": "s", "weak_score": 1, "strong_score": 1}],
            )
        )
    with pytest.raises(CommandError, match="9 rows are too few"):
        replay(write(tmp_path / "b.csv", made[:9]))
    with pytest.raises(CommandError, match="does not exist"):
        replay(str(tmp_path / "none.csv"))
    with pytest.raises(CommandError, match="is none of"):
        replay(write(tmp_path / "c.txt", made))
    with pytest.raises(CommandError, match="The share must be above 0"):
        replay(write(tmp_path / "d.csv", made), "--share", "2")


def test_whole_groups_are_held_out_together() -> None:
    groups = [f"g{place % 7}" for place in range(70)]
    folds = folds_of([f"p{place}" for place in range(70)], groups, 0)
    by_group = {name: set(folds[np.array(groups) == name].tolist()) for name in set(groups)}

    assert all(len(found) == 1 for found in by_group.values())
    assert set(folds.tolist()) == {0, 1, 2, 3, 4}
    assert folds_of(["a", "b", "a"], ["", "", ""], 0)[0] == folds_of(["a"], [""], 0)[0]


def test_threshold() -> None:
    scores = np.arange(10) / 10

    assert (scores < threshold_for(scores, 0.45)).sum() == 4
    assert (scores < threshold_for(scores, 1.0)).sum() == 10
    assert (np.zeros(10) < threshold_for(np.zeros(10), 0.5)).sum() == 0


def test_never_more_than_the_share() -> None:
    judged = Judged(score=np.array([0.1, 0.4, 0.2, 0.3]), threshold=np.full(4, 0.5))

    assert judged.escalates.all()
    assert judged.at_most(0.5).tolist() == [True, False, True, False]
    assert judged.at_most(1.0).all()
