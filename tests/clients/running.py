"""Runs a client as a user would: in its own environment, with a clean home folder."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.api.server import ROOT
from tests.gateway.conftest import Gateway
from tests.gateway.protocols.stub import Body, ProtocolStub, Reply
from tests.gateway.rows import secret_of

PROGRAMS = Path(__file__).parent / "programs"
NODE_MODULES = Path(__file__).parent / "node_modules"
PYTHON = ROOT / ".venv-clients/bin/python"
LLAMAINDEX = ROOT / ".venv-llamaindex/bin/python"
HOW = "Run `make clients`."
SECONDS = 120


def needs(path: Path) -> Path:
    """Skips the test where the client is not installed."""
    if not path.exists():
        pytest.skip(f"{path.relative_to(ROOT)} is not installed. {HOW}")
    return path


def needs_node() -> str:
    node = shutil.which("node")
    if node is None:
        pytest.skip("There is no Node.js on this machine.")
    needs(NODE_MODULES)
    return node


def environment(gateway: Gateway, home: Path) -> dict[str, str]:
    """What docs/clients.md says to set, and nothing of this process's environment but the path."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "OPENAI_BASE_URL": gateway.base_url,
        "OPENAI_API_KEY": secret_of("load"),
        "ANTHROPIC_BASE_URL": gateway.server.url,
        "ANTHROPIC_API_KEY": secret_of("load"),
    }


def run(
    command: Sequence[object], variables: Mapping[str, str], folder: Path, seconds: int = SECONDS
) -> str:
    """What it prints. Fails with what it says about an error."""
    ended = subprocess.run(
        [str(part) for part in command],
        env=dict(variables),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    said = f"{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
    assert ended.returncode == 0, said
    return ended.stdout


def run_program(command: Sequence[object], variables: Mapping[str, str], folder: Path) -> Any:
    return json.loads(run(command, variables, folder).strip().splitlines()[-1])


def call_in_order(
    stub: ProtocolStub, models: Sequence[str], calls: Sequence[tuple[str, Body]], text: str
) -> None:
    """Lets the models call these tools one after the other, then say the text. Requests without
    tools get the text at once."""

    def brain(kind: str, body: Body) -> Reply:
        done = results_in(body)
        return (
            Reply(text)
            if done >= len(calls) or not body.get("tools")
            else Reply(calls=(calls[done],))
        )

    for model in models:
        stub.brains[model] = brain


def results_in(body: Body) -> int:
    """How many results of tools the conversation has, in any protocol."""
    turns = body.get("messages") or body.get("input")
    found = 0
    for turn in turns if isinstance(turns, list) else ():
        found += turn.get("role") == "tool" or str(turn.get("type")).endswith("call_output")
        content = turn.get("content")
        for block in content if isinstance(content, list) else ():
            found += isinstance(block, dict) and block.get("type") == "tool_result"
    return found
