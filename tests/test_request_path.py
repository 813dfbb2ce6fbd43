"""How many of our files one request passes, from the URL to the stored row.

The aim is 35 for a routed prompt and 45 for a chat call. The limits are today's counts: they may
only fall.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.server import ROOT, environment_of, free_port
from tests.gateway.rows import KEY_VARIABLE, PROVIDER_KEY
from tests.gateway.stub import running_stub

MOST_FILES = {"route": 52, "chat": 85}

pytestmark = pytest.mark.slow


def test_one_request_passes_few_files(tmp_path: Path) -> None:
    environment = environment_of(tmp_path / "traced.sqlite3", free_port())
    environment[KEY_VARIABLE] = PROVIDER_KEY
    with running_stub() as stub:
        command = [sys.executable, "-m", "tests.request_trace", stub.url]
        run = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert run.returncode == 0, run.stderr
    passed: dict[str, list[str]] = json.loads(run.stdout.splitlines()[-1])
    assert "experiments/routing/route.py" in passed["route"]
    assert "experiments/gateway/settlement.py" in passed["chat"]
    for name, most in MOST_FILES.items():
        files = passed[name]
        assert len(files) <= most, f"{name} passes {len(files)} files:\n" + "\n".join(files)
