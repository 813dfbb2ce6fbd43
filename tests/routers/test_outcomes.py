"""Recorded outcomes: RouteLLM's folder or a CSV; what is wrong is named by file and line."""

import json
from pathlib import Path

import pytest

from experiments.routers.outcomes import OutcomesError, read_domains, read_outcomes
from tests.routers.outcome_files import HEADER, make_evals, write_csv

COLUMNS = ("prompt", "strong_score", "weak_score")


@pytest.mark.parametrize("start", ["", "routellm", "routellm/evals"])
def test_folder_is_found_from_repository_package_or_evals(tmp_path: Path, start: str) -> None:
    make_evals(tmp_path / "routellm" / "evals", per_subject=3, problems=2)

    outcomes = read_outcomes(tmp_path / start, domains={"law": "legal"})

    assert len(outcomes) == 6 * 3 + 2
    assert outcomes.groups.count("law") == 3
    assert outcomes.groups.count("gsm8k") == 2
    assert outcomes.domains[outcomes.groups.index("law")] == "legal"
    assert outcomes.domains[outcomes.groups.index("zoology")] == ""


def test_one_benchmark_alone(tmp_path: Path) -> None:
    make_evals(tmp_path, per_subject=3, problems=2)

    assert len(read_outcomes(tmp_path / "gsm8k")) == 2
    assert len(read_outcomes(tmp_path / "mmlu")) == 18


def test_contaminated_prompts_are_dropped(tmp_path: Path) -> None:
    make_evals(tmp_path, per_subject=3, problems=2)
    bad = {"train_prompt": "x", "eval_prompt": read_outcomes(tmp_path / "gsm8k").prompts[0]}
    (tmp_path / "gsm8k" / "contaminated_prompts.jsonl").write_text(json.dumps(bad) + "\n")

    assert len(read_outcomes(tmp_path / "gsm8k")) == 1


def test_csv_with_all_columns(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "own.csv",
        [
            (*COLUMNS, "domain", "group"),
            ("one\ntwo", "0.75", "0.5", "legal", "contracts"),
            ("three", "True", "False", "", ""),
        ],
    )

    outcomes = read_outcomes(path)

    assert outcomes.prompts == ("one\ntwo", "three")
    assert outcomes.strong.tolist() == [0.75, 1.0]
    assert outcomes.weak.tolist() == [0.5, 0.0]
    assert outcomes.domains == ("legal", "")
    assert outcomes.groups == ("contracts", "")


def test_other_models_are_chosen_by_column(tmp_path: Path) -> None:
    path = tmp_path / "gsm8k" / "gsm8k_responses.csv"
    write_csv(path, [("prompt", "big", "small"), ("p", True, False)])

    outcomes = read_outcomes(tmp_path, strong_model="big", weak_model="small")

    assert outcomes.strong.tolist() == [1.0]
    with pytest.raises(OutcomesError, match=r"line 1: no column gpt-4-1106-preview"):
        read_outcomes(tmp_path)


@pytest.mark.parametrize("score", ["maybe", "", "nan", "1.5", "-0.1"])
def test_a_bad_score_is_named_by_line(tmp_path: Path, score: str) -> None:
    path = write_csv(tmp_path / "own.csv", [COLUMNS, ("two\nlines", 1, 0), ("bad", score, 0)])

    with pytest.raises(OutcomesError, match=r"own.csv, line 4: strong_score is .*from 0 to 1"):
        read_outcomes(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "holds no outcome", id="empty"),
        pytest.param(b"prompt,strong_score\np,1\n", "line 1: no column weak_score", id="column"),
        pytest.param(b"prompt,strong_score,weak_score\n", "holds no outcome", id="no-rows"),
        pytest.param(b"prompt,strong_score,weak_score\np,1\n", "line 2: weak_score", id="short"),
        pytest.param(b"\xff\xfe\x00", "is not UTF-8", id="not-text"),
    ],
)
def test_unusable_csv(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(content)

    with pytest.raises(OutcomesError, match=message):
        read_outcomes(path)


def test_missing_file_and_folder_without_outcomes(tmp_path: Path) -> None:
    with pytest.raises(OutcomesError, match="does not exist"):
        read_outcomes(tmp_path / "nothing")
    with pytest.raises(OutcomesError, match="has no mmlu/responses"):
        read_outcomes(tmp_path)


def test_broken_contaminated_prompts_are_named_by_line(tmp_path: Path) -> None:
    write_csv(tmp_path / "gsm8k" / "gsm8k_responses.csv", [HEADER, ("p", True, True)])
    (tmp_path / "gsm8k" / "contaminated_prompts.jsonl").write_text('{"eval_prompt": "x"}\n[1]\n')

    with pytest.raises(OutcomesError, match=r"contaminated_prompts.jsonl, line 2"):
        read_outcomes(tmp_path)


def test_the_content_is_hashed_not_the_file(tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [COLUMNS, ("p", 1, 0)]
    first = read_outcomes(write_csv(tmp_path / "a.csv", rows))
    second = read_outcomes(write_csv(tmp_path / "b.csv", [COLUMNS, ("p", "True", "0.0")]))
    third = read_outcomes(write_csv(tmp_path / "c.csv", [COLUMNS, ("p", 1, 1)]))

    assert first.sha256() == second.sha256() != third.sha256()


def test_domains_of_subjects(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "d.csv", [("subject", "domain"), ("law", "legal"), ("art", "")])

    assert read_domains(path) == {"law": "legal"}
