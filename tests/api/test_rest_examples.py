"""The documentation's REST examples run against a real server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.server import KEY, Server

pytestmark = pytest.mark.server
EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


def run(server: Server, *command: str) -> str:
    environment = {**os.environ, "SWITCHYARD_URL": server.url, "SWITCHYARD_KEY": KEY}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_curl(server: Server) -> None:
    decision, savings = run(server, "bash", str(EXAMPLES / "rest_curl.sh")).split("\n", 1)
    assert json.loads(decision)["model"]
    assert json.loads(savings)["total"]["actual"] >= 1


def test_python(server: Server) -> None:
    lines = run(server, sys.executable, str(EXAMPLES / "rest_python.py")).splitlines()
    assert lines[0].startswith("creative: ask ")
    assert lines[1] == "ratings: [204, 204]"
    assert lines[2].startswith("saved ")


def test_python_shows_the_error(server: Server) -> None:
    environment = {**os.environ, "SWITCHYARD_URL": server.url, "SWITCHYARD_KEY": "sy_wrong"}
    command = [sys.executable, str(EXAMPLES / "rest_python.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "401" in done.stderr
