"""`manage.py import_outcomes PATH`: what goes in, what is refused, and twice is once."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from experiments.configuration.revisions import revision
from experiments.core.costs import estimate_tokens
from experiments.lab.dataset_summaries import outcome_sets
from experiments.models import LanguageModel, OutcomeSet, RecordedOutcome
from tests.routers.outcome_files import choice, make_evals, write_csv

pytestmark = pytest.mark.django_db
HEADER = ("prompt", "strong_score", "weak_score")


def run(path: Path, *arguments: str) -> str:
    output = StringIO()
    call_command("import_outcomes", str(path), *arguments, stdout=output, stderr=StringIO())
    return output.getvalue()


def rows() -> list[tuple[Any, ...]]:
    found = RecordedOutcome.objects.order_by("id")
    return list(found.values_list("prompt", "strong_score", "weak_score"))


def test_csv_with_everything(tmp_path: Path) -> None:
    optional = ("domain", "group", "strong_model", "weak_model", "strong_cost", "weak_cost")
    header = (*HEADER, *optional, "strong_output_tokens", "weak_output_tokens")
    row = ("Why?", 1, "False", "legal", "law", "big", "small", "0.0021", "", 120, "")

    output = run(write_csv(tmp_path / "My own.csv", [header, row]))

    assert "my-own: 1 rows added." in output
    found = RecordedOutcome.objects.get()
    assert (found.strong_score, found.weak_score) == (1.0, 0.0)
    assert (found.strong_cost, found.weak_cost) == (2_100_000, None)
    assert (found.strong_output_tokens, found.weak_output_tokens) == (120, None)
    assert (found.domain, found.group) == ("legal", "law")
    assert (found.outcome_set.strong_model, found.outcome_set.weak_model) == ("big", "small")


def test_twice_changes_nothing(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [HEADER, ("p", 1, 0), ("q", 0.5, 0.5)])
    run(path, "--name", "mine")
    before = list(RecordedOutcome.objects.values()), list(OutcomeSet.objects.values())

    output = run(path, "--name", "mine")

    assert "mine: 0 rows added, 2 already present." in output
    assert (list(RecordedOutcome.objects.values()), list(OutcomeSet.objects.values())) == before


def test_it_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [HEADER, *((f"p{i}", 1, 0) for i in range(5))])
    run(path)
    RecordedOutcome.objects.filter(prompt__in=["p3", "p4"]).delete()

    assert "2 rows added, 3 already present" in run(path)


def test_refused_rows_are_listed_and_the_rest_goes_in(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "a.csv",
        [
            HEADER,
            ("good", 1, 0),
            ("", 1, 0),
            ("too much", 2, 0),
            ("no number", "x", 0),
            ("too few",),
            ("good", 0, 1),
            ("beyond", 1, 0, "what is this"),
            ("also good", True, False),
        ],
    )
    path.write_bytes(path.read_bytes() + b"broken \xff byte,1,0\n")

    output = run(path)

    assert rows() == [("good", 1.0, 0.0), ("also good", 1.0, 0.0)]
    assert "2 rows added, 7 refused." in output
    for line in (
        "a.csv, line 3: the prompt is empty",
        "a.csv, line 4: strong_score is '2'; it must be a number from 0 to 1",
        "a.csv, line 5: strong_score is 'x'",
        "a.csv, line 6: strong_score is None",
        "a.csv, line 7: another outcome of the same prompt",
        "a.csv, line 8: it is not UTF-8 text, or not a whole row",
        "a.csv, line 10: it is not UTF-8 text",
    ):
        assert line in output


def test_a_group_on_two_lines_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"prompt": "p", "strong_score": 1, "weak_score": 0, "group": "first"}\n'
        '{"prompt": "q", "strong_score": 1, "weak_score": 0, "group": "two\\nlines"}\n'
    )
    assert "line 2: group holds a line break" in run(path)
    assert rows() == [("p", 1.0, 0.0)]


def test_json_lines_with_several_models(tmp_path: Path) -> None:
    path = tmp_path / "three.jsonl"
    lines = [
        {"prompt": "p", "scores": {"big": 1, "middle": 0.5, "small": 0}, "costs": {"big": 0.01}},
        {"prompt": "q", "score:big": 1, "score:small": 0.25, "cost:small": "0.001"},
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\nno json\n", encoding="utf-8")

    output = run(path, "--strong-model", "big", "--weak-model", "small")

    assert rows() == [("p", 1.0, 0.0), ("q", 1.0, 0.25)]
    first, second = RecordedOutcome.objects.order_by("id")
    assert first.scores == {"big": 1.0, "middle": 0.5, "small": 0.0}
    assert (first.strong_cost, second.weak_cost) == (10_000_000, 1_000_000)
    assert OutcomeSet.objects.get().weak_model == "small"
    assert "three.jsonl, line 3" in output


def test_several_models_without_a_pair_are_refused_naming_them(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [("prompt", "score:x", "score:y"), ("p", 1, 0)])
    with pytest.raises(CommandError, match=r"scores x, y: say which two are the pair"):
        run(path)


def test_parquet(tmp_path: Path) -> None:
    table = pa.table({"prompt": ["p", "q"], "strong_score": [1.0, None], "weak_score": [0.0, 0.0]})
    pq.write_table(table, tmp_path / "a.parquet")

    assert "a.parquet, row 2: strong_score is None" in run(tmp_path / "a.parquet")
    assert rows() == [("p", 1.0, 0.0)]


def test_a_truncated_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"prompt": ["p"], "strong_score": [1.0], "weak_score": [0.0]}), path)
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(CommandError, match="is not a whole Parquet file"):
        run(path)


def test_routellms_folder_without_its_contaminated_prompts(tmp_path: Path) -> None:
    make_evals(tmp_path)
    line = json.dumps({"eval_prompt": choice("law", 0, hard=True)})
    (tmp_path / "mmlu" / "contaminated_prompts.jsonl").write_text(line + "\n", encoding="utf-8")
    domains = write_csv(tmp_path / "domains.csv", [("subject", "domain"), ("law", "legal")])

    output = run(tmp_path, "--name", "evals", "--domains", str(domains))

    assert "299 rows added, 1 contaminated prompts left out." in output
    assert RecordedOutcome.objects.filter(domain="legal", group="law").count() == 39
    assert OutcomeSet.objects.get().strong_model == "gpt-4-1106-preview"


def test_domains_can_be_detected(seeded: None, tmp_path: Path) -> None:
    text = "Which antibiotic should a doctor prescribe to a patient with pneumonia?"
    run(write_csv(tmp_path / "a.csv", [HEADER, (text, 1, 0)]), "--detect-domains")
    assert RecordedOutcome.objects.get().domain == "medical"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "contains no outcome. It needs at least one row"),
        ("prompt,strong_score,weak_score\n", "contains no outcome"),
        ("text,strong_score,weak_score\np,1,0\n", "line 1: no column prompt"),
        ("prompt,strong_score\np,1\n", "line 1: no column weak_score"),
        ("prompt,strong_score,weak_score\np,3,0\n", r"1 rows were refused, the first one a.csv"),
    ],
)
def test_a_file_without_outcomes_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CommandError, match=message):
        run(path)
    assert not OutcomeSet.objects.exists()


@pytest.mark.parametrize("name", ["production-ratings", "shadow-legal", "two words"])
def test_a_name_that_is_taken_or_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandError, match="cannot name"):
        run(write_csv(tmp_path / "a.csv", [HEADER, ("p", 1, 0)]), "--name", name)


def test_a_path_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="does not exist"):
        run(tmp_path / "nothing.csv")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(CommandError, match=r"is none of \.csv, \.jsonl"):
        run(tmp_path / "a.txt")


BIG, SMALL = "openai/gpt-4.1", "openai/gpt-4.1-mini"
TOKENS = (*HEADER, "strong_model", "weak_model", "strong_output_tokens", "weak_output_tokens")


def per_call(model: str, prompt: str, tokens: int) -> int:
    price = LanguageModel.objects.get(name=model).prices.get().as_value()
    return price.cost(estimate_tokens(prompt), tokens)


def test_costs_are_computed_from_tokens_and_prices(seeded: None, tmp_path: Path) -> None:
    row = ("Why is it so? " * 10, 1, 0, BIG, SMALL, 200, 100)
    unknown = ("How?", 1, 0, BIG, "unknown/model", 200, 100)
    output = run(write_csv(tmp_path / "a.csv", [TOKENS, row, unknown]))

    assert "2 rows added, 2 with costs computed from tokens and today's prices." in output
    first, second = RecordedOutcome.objects.order_by("id")
    assert first.strong_cost == per_call(BIG, row[0], 200)
    assert first.weak_cost == per_call(SMALL, row[0], 100)
    assert first.strong_cost > first.weak_cost > 0
    assert (first.strong_cost_computed, first.weak_cost_computed) == (True, True)
    assert second.strong_cost == per_call(BIG, "How?", 200)
    assert (second.weak_cost, second.weak_cost_computed) == (None, False)


def test_a_recorded_cost_is_used(seeded: None, tmp_path: Path) -> None:
    header = (*TOKENS, "strong_cost", "weak_cost")
    row = ("Why?", 1, 0, BIG, SMALL, 200, 100, 0.5, "")
    run(write_csv(tmp_path / "a.csv", [header, row]))

    found = RecordedOutcome.objects.get()
    assert (found.strong_cost, found.strong_cost_computed) == (500_000_000, False)
    assert (found.weak_cost, found.weak_cost_computed) == (per_call(SMALL, "Why?", 100), True)


def test_twice_changes_nothing_after_a_change_of_prices(seeded: None, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [TOKENS, ("Why?", 1, 0, BIG, SMALL, 200, 100)])
    run(path)
    before = list(RecordedOutcome.objects.values())
    with revision("tests"):
        LanguageModel.objects.get(name=BIG).prices.update(output_per_million=999)
    assert "0 rows added, 1 already present." in run(path)
    assert list(RecordedOutcome.objects.values()) == before


def test_models_named_by_columns_are_priced_too(seeded: None, tmp_path: Path) -> None:
    header = ("prompt", f"score:{BIG}", f"score:{SMALL}", *TOKENS[-2:])
    path = write_csv(tmp_path / "a.csv", [header, ("Why?", 1, 0, 200, 100)])
    run(path, "--strong-model", BIG, "--weak-model", SMALL)
    found = RecordedOutcome.objects.get()
    assert found.strong_cost == per_call(BIG, "Why?", 200)
    line = outcome_sets()[0]
    assert (line.computed, line.strong_cost) == (1, found.strong_cost)


def test_without_a_policy_no_cost_is_computed(tmp_path: Path) -> None:
    run(write_csv(tmp_path / "a.csv", [TOKENS, ("Why?", 1, 0, BIG, SMALL, 200, 100)]))
    assert RecordedOutcome.objects.get().strong_cost is None
