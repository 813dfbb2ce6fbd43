"""`manage.py evaluate_domains FILE.csv`."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from experiments.models import Domain

ROWS = (
    "text,domain\n"
    "Write a poem about the autumn wind.,creative\n"
    "Is a verbal contract binding?,legal\n"
    "Who was the first emperor of Rome?,general\n"
    "Who was the second emperor of Rome?,legal\n"
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.csv"
    path.write_text(ROWS)
    return path


def evaluate(path: Path, *arguments: str) -> str:
    out = StringIO()
    call_command("evaluate_domains", str(path), *arguments, stdout=out)
    return out.getvalue()


def test_json(prompts: Path) -> None:
    found = json.loads(evaluate(prompts, "--json"))
    assert found["n"] == 4
    assert found["accuracy"] == 0.75
    assert found["precision"] == {"creative": 1.0, "general": 0.5, "legal": 1.0}
    assert found["recall"] == {"creative": 1.0, "general": 1.0, "legal": 0.5}
    assert found["confusion"]["legal"] == {"creative": 0, "general": 1, "legal": 1}


def test_readable_table(prompts: Path) -> None:
    table = evaluate(prompts)
    assert "4 prompts, accuracy 75.0 %" in table
    assert "legal        100.0 %    50.0 %" in table


def test_other_domains_may_be_accepted(tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    lines = ("text,domain,also", "Is a verbal contract binding?,general,medical|legal")
    path.write_text("\n".join((*lines, "Write a poem about the autumn wind.,legal,")) + "\n")
    found = json.loads(evaluate(path, "--json"))
    assert (found["accuracy"], found["lenient"]) == (0.0, 0.5)
    assert "with other accepted domains 50.0 %" in evaluate(path)


def test_accuracy_by_language(tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    lines = ("Wie koche ich Suppe?,general,de", "Bonjour !,general,fr", "Bonjour !,legal,fr")
    path.write_text("\n".join(("text,domain,language", *lines)) + "\n")
    assert json.loads(evaluate(path, "--json"))["by_language"] == {"de": 1.0, "fr": 0.5}
    assert "accuracy by language: de 100.0 %, fr 50.0 %" in evaluate(path)


def test_classic_detector_needs_its_keywords(prompts: Path) -> None:
    found = json.loads(evaluate(prompts, "--json", "--detector", "classic"))
    assert found["recall"]["general"] == 1.0
    assert found["n"] == 4


@pytest.mark.usefixtures("seeded")
def test_configured_minimum_confidence_counts(prompts: Path) -> None:
    from experiments.configuration.revisions import revision

    with revision("test", "Raise the bar"):
        Domain.objects.filter(name="legal").update(min_confidence=1.0)
    assert json.loads(evaluate(prompts, "--json"))["recall"]["legal"] == 0.0
    assert json.loads(evaluate(prompts, "--json", "--shipped"))["recall"]["legal"] == 0.5


def test_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("prompt,domain\nhello,general\n")
    with pytest.raises(CommandError, match="line 1: no column text"):
        evaluate(path)


def test_row_without_domain_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("text,domain\nhello,general\nhello\n")
    with pytest.raises(CommandError, match="line 3: no domain"):
        evaluate(path)


def test_file_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_text("text,domain\n")
    with pytest.raises(CommandError, match="has no prompt"):
        evaluate(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        evaluate(tmp_path / "absent.csv")


def test_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "binary.csv"
    path.write_bytes(b"text,domain\n\xff\xfe,general\n")
    with pytest.raises(CommandError, match="not UTF-8"):
        evaluate(path)
