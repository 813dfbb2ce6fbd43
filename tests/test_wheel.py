"""The wheel, installed in an empty environment: the Python API, the server and its files."""

import json
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

import httpx
import pytest

from tests.api.server import free_port

ROOT = Path(__file__).resolve().parent.parent
PYTHON_API = """
import asyncio
from experiments.domain_router import (
    DomainRouter, Model, ModelCapabilities, ModelCost, ModelRegistry,
)
registry = ModelRegistry()
registry.register_model(Model("small", "openai", ModelCapabilities(["text"]), ModelCost()))
print(asyncio.run(DomainRouter(registry).route_by_domain("Which dose of ibuprofen is safe?")).name)
"""
NEEDS_ROUTELLM = """
from experiments.routers.building import check_router
try:
    check_router("bert", {"checkpoint_path": "/nowhere"})
except Exception as error:
    print(error)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with nothing but the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    # A copy of what git tracks: building writes into the folder it builds from.
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)
    _run(sys.executable, "-m", "pip", "wheel", str(source), "--no-deps", "--wheel-dir", folder)
    venv.create(folder / "venv", with_pip=True)
    wheel = next(folder.glob("*.whl"))
    _run(folder / "venv/bin/python", "-m", "pip", "install", "--quiet", wheel)
    return folder / "venv" / "bin"


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=plain,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_python_api_needs_no_settings(environment: Path, tmp_path: Path) -> None:
    assert _run(environment / "python", "-c", PYTHON_API, cwd=tmp_path).split() == ["small"]


@pytest.mark.slow
def test_a_router_of_routellm_says_what_to_install(environment: Path, tmp_path: Path) -> None:
    message = _run(environment / "python", "-c", NEEDS_ROUTELLM, cwd=tmp_path)
    assert "pip install 'switchyard-router[routellm]'" in message


@pytest.mark.slow
@pytest.mark.server
def test_serve_routes_a_prompt_from_an_empty_folder(environment: Path, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    plain = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            [str(environment / "switchyard"), "serve", "--port", str(port)],
            cwd=tmp_path,
            env=plain,
            stdout=log,
            stderr=log,
        )
        try:
            _wait(url, process, tmp_path / "server.log")
            decision = _route(url, _key(tmp_path))
            assert decision["router"]["name"] == "local"
            assert httpx.get(f"{url}/static/css/tokens.css").status_code == 200
            assert httpx.get(f"{url}/admin/login/").status_code == 200
        finally:
            process.terminate()
            process.wait(timeout=40)
    assert {"db.sqlite3", ".env"} <= {file.name for file in tmp_path.iterdir()}


def _route(url: str, key: str) -> dict[str, dict[str, str]]:
    answer = httpx.post(
        f"{url}/api/v1/route",
        headers={"Authorization": f"Bearer {key}"},
        json={"text": "Write a haiku about rain."},
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    decision: dict[str, dict[str, str]] = json.loads(answer.text)
    return decision


def _key(folder: Path) -> str:
    lines = dict(
        line.split("=", 1) for line in (folder / ".env").read_text().splitlines() if "=" in line
    )
    return lines["DEMO_API_KEY"]


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(log.read_text()[-4000:])
