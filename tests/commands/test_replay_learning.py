"""`manage.py replay_learning FILE`. Without the database, which these tests may not use."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from tests.routers.outcome_files import write_csv

HEADER = ("prompt", "strong_score", "weak_score")


def replay(path: Path, *arguments: str) -> str:
    output = StringIO()
    call_command("replay_learning", str(path), *arguments, stdout=output)
    return output.getvalue()


def replay_json(path: Path, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(replay(path, "--json", *arguments))
    return found


def sums_and_poems(count: int, seed: int = 0, **extra: list[str]) -> list[tuple[object, ...]]:
    """Only poems need the strong model."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[object, ...]] = [(*HEADER, *extra)]
    for at in range(count):
        numbers, is_sum = rng.integers(1000, 10_000, 2), rng.random() < 0.5
        sum_ = f"Compute {numbers[0]} + {numbers[1]}."
        prompt = sum_ if is_sum else f"Write a poem about {numbers[0]} birds and {numbers[1]} bees."
        weak = float(rng.random() < (0.9 if is_sum else 0.2))
        strong = float(rng.random() < 0.95)
        rows.append(
            (prompt, strong, weak, *(values[at % len(values)] for values in extra.values()))
        )
    return rows


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_csv(tmp_path_factory.mktemp("replay") / "own.csv", sums_and_poems(500))


def test_json(file: Path) -> None:
    found = replay_json(file, "--orders", "2")

    assert set(found) == {"n", "orders", "rounds", "pairs", "share_from_200", "second_half"}
    assert (found["n"], found["orders"], found["rounds"]) == (500, 2, 9)
    assert found["pairs"] == pytest.approx(50, abs=15)
    assert found["share_from_200"] == pytest.approx(0.5, abs=0.05)
    assert set(found["second_half"]) == {"random", "shipped", "learned"}
    for one in found["second_half"].values():
        assert set(one) == {"pgr", "share", "quality", "se"}
        assert one["share"] == pytest.approx(0.5, abs=0.06)
    pgr = {name: one["pgr"] for name, one in found["second_half"].items()}
    assert pgr["learned"] > max(pgr["random"], pgr["shipped"])


def test_the_first_order_is_the_files_and_the_same_seed_gives_the_same_figures(file: Path) -> None:
    once = replay_json(file, "--seed", "3")
    assert once == replay_json(file, "--seed", "3")
    assert once != replay_json(file, "--seed", "4")


def test_text_says_what_served_and_what_is_claimed(file: Path) -> None:
    text = replay(file)
    assert "The learned router served" in text
    assert "shown better in" in text


def test_no_pairs_and_no_feedback_leaves_the_shipped_router(file: Path) -> None:
    half = replay_json(file, "--shadow", "0", "--feedback", "none")["second_half"]
    assert half["learned"] == half["shipped"]


def test_the_share_follows_the_target(file: Path) -> None:
    assert replay_json(file, "--share", "0.2")["share_from_200"] == pytest.approx(0.2, abs=0.05)


def test_pgr_is_null_with_a_reason_if_the_gap_is_not_sure(tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [HEADER]
    rows += [(f"Prompt {at}", at % 2, (at + 1) % 2) for at in range(120)]
    half = replay_json(write_csv(tmp_path / "even.csv", rows))["second_half"]
    for one in half.values():
        assert one["pgr"] is None
        assert "not surely better" in one["reason"]


def test_every_domain_keeps_the_share(tmp_path: Path) -> None:
    rows = sums_and_poems(400, domain=["technical", "creative"], group=["g"])
    found = replay_json(write_csv(tmp_path / "domains.csv", rows))
    assert found["share_from_200"] == pytest.approx(0.5, abs=0.05)


def test_few_rows_are_played_too(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "few.csv", sums_and_poems(20))
    found = replay_json(path)
    assert (found["n"], found["rounds"], found["share_from_200"]) == (20, 0, None)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("prompt", "strong_score"), ("a", 1)], "line 1: no column weak_score"),
        ([HEADER, ("a", 1, 0), ("b", 1, 7)], "line 3: weak_score is '7'"),
        ([HEADER, ("a", "", 0)], "line 2: strong_score is ''"),
        ([HEADER, ("a", "nan", 0)], "line 2: strong_score is 'nan'"),
        ([HEADER], "holds no outcome"),
        ([HEADER, ("a", 1, 0)], "one row"),
    ],
)
def test_a_bad_file_is_refused_with_line_and_column(
    tmp_path: Path, rows: list[tuple[object, ...]], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        replay(write_csv(tmp_path / "bad.csv", rows))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="does not exist"):
        replay(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--share", "1.2"), "--share is 1.2"),
        (("--shadow", "-0.1"), "--shadow is -0.1"),
        (("--orders", "0"), "--orders is 0"),
    ],
)
def test_bad_arguments_are_refused(file: Path, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        replay(file, *arguments)
