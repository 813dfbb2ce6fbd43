"""`manage.py compare_routers OUTCOMES`."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.routers.outcome_files import make_evals


@pytest.mark.slow
def test_it_prints_every_router_and_figure_as_a_table(tmp_path: Path) -> None:
    output = StringIO()
    folder = str(make_evals(tmp_path))
    call_command("compare_routers", folder, "--repeats=1", "--group-seeds=1", stdout=output)

    lines = output.getvalue().splitlines()
    assert lines[0] == "| router | questions | groups | gsm8k |"
    names = [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]]
    assert names[:3] == ["baseline: hashed words and pairs, ridge", "local_mf", "local"]
    assert len(names) == 6


def test_refuses_a_folder_without_outcomes(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="has no mmlu/responses"):
        call_command("compare_routers", str(tmp_path))
