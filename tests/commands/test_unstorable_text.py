"""What no database stores is refused by commands and in files, by the name of its field."""

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from experiments.configuration.document import current_document
from experiments.models import Decision, OutcomeSet, PolicyRevision, RecordedOutcome
from tests.api.server import ROOT


@pytest.mark.parametrize("text", ["a\x00", "a\udcff"])
@pytest.mark.parametrize(
    ("command", "arguments", "options", "name"),
    [
        ("route", ["{}"], {"store": True}, "text"),
        ("route", ["a"], {"store": True, "unit": "{}"}, "unit"),
        ("route", ["a"], {"store": True, "domain": "{}"}, "domain"),
        ("apply_config", ["file.yaml"], {"note": "{}"}, "note"),
        ("import_outcomes", ["file.csv"], {"name": "{}"}, "name"),
        ("import_outcomes", ["{}.csv"], {}, "path"),
        ("replay", ["file.csv"], {"experiment": "{}"}, "experiment"),
        ("replay", ["file.csv"], {"experiment": "a", "leave_out": ["b", "{}"]}, "leave_out"),
        ("train_router", ["{}"], {"outcomes": "a"}, "target"),
    ],
)
def test_argument(
    seeded: None, command: str, arguments: list[str], options: Any, name: str, text: str
) -> None:
    filled = {
        key: [one.format(text) for one in value]
        if isinstance(value, list)
        else value.format(text)
        if isinstance(value, str)
        else value
        for key, value in options.items()
    }
    with pytest.raises(CommandError, match=f"Argument '{name}' holds (a NUL|half a surrogate)"):
        call_command(command, *[one.format(text) for one in arguments], **filled)
    assert not Decision.objects.exists()


def test_command_line_that_is_no_utf_8(tmp_path: Path) -> None:
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path / 'a.sqlite3'}"}
    command: list[str | bytes] = [sys.executable, "manage.py", "route", b"caf\xe9"]
    done = subprocess.run(
        command, cwd=ROOT, env={**environment, "SECRET_KEY": "x"}, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"Argument 'text' holds half a surrogate pair (U+DCE9). Remove it." in done.stderr


@pytest.mark.parametrize(
    ("yaml", "field"),
    [
        (r'domains: {technical: {label: "a\0"}}', "domains.technical.label"),
        (r'domains: {"a\0": {label: b}}', "domains.a\ufffd"),
        (r'domains: {technical: {keywords: [a, "\uD800"]}}', "domains.technical.keywords[1]"),
        (r'settings: {baseline: "\0"}', "settings.baseline"),
    ],
)
def test_configuration_document(seeded: None, tmp_path: Path, yaml: str, field: str) -> None:
    before, revisions = current_document(), PolicyRevision.objects.count()
    path = tmp_path / "new.yaml"
    path.write_text(yaml)
    with pytest.raises(CommandError) as refused:
        call_command("apply_config", str(path))
    assert f"  {field} holds " in str(refused.value)
    assert (current_document(), PolicyRevision.objects.count()) == (before, revisions)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (r'{"prompt": "a\u0000", "strong_score": 1, "weak_score": 0}', "prompt holds a NUL"),
        (
            r'{"prompt": "p", "strong_score": 1, "weak_score": 0, "group": "\u0000"}',
            "group holds a",
        ),
        (r'{"prompt": "p", "strong_score": 1, "weak_score": 0, "score:m\u0000": 1}', "score:m"),
        (
            r'{"prompt": "p", "strong_score": 1, "weak_score": 0, "scores": {"m\ud800": 1}}',
            "scores.m\ufffd holds half a surrogate pair (U+D800)",
        ),
    ],
)
@pytest.mark.django_db
def test_row_of_an_imported_file(tmp_path: Path, line: str, reason: str) -> None:
    path, output = tmp_path / "rows.jsonl", StringIO()
    path.write_text(f'{line}\n{{"prompt": "q", "strong_score": 1, "weak_score": 0}}\n')
    call_command("import_outcomes", str(path), "--name", "mine", stdout=output, stderr=StringIO())
    assert f"rows.jsonl, line 1: {reason}" in output.getvalue()
    assert OutcomeSet.objects.get().name == "mine"
    assert RecordedOutcome.objects.get().prompt == "q"
