"""The README's commands run as printed, on the example that is shipped."""

import re
import shlex
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from experiments.models import Router

ROOT = Path(__file__).resolve().parent.parent
PRINTED = re.findall(
    r"^\.venv/bin/python manage\.py (.+)$", (ROOT / "README.md").read_text(), re.MULTILINE
)


@pytest.fixture
def at_home(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeded: None) -> None:
    settings.LAB_DIR = str(tmp_path / "lab")
    monkeypatch.chdir(ROOT)


def run(line: str) -> str:
    output = StringIO()
    call_command(*shlex.split(line), stdout=output)
    return output.getvalue()


@pytest.mark.usefixtures("at_home")
def test_printed_commands_run_in_their_order() -> None:
    answers = [run(line) for line in PRINTED]
    assert len(answers) == 3
    assert "160 rows added" in answers[0]
    assert "saved at 95 % of its quality" in answers[1]
    assert "Held out over questions" in answers[2]
    assert Router.objects.filter(name="mine").exists()
