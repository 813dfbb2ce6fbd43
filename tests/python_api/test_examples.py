"""The documentation's Python examples run, without a key and without a network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SECRETS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "DJANGO_SETTINGS_MODULE", "DATABASE_URL")


def run(example: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
    process = subprocess.run(
        [sys.executable, f"docs/examples/{example}"],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert "Traceback" not in process.stderr
    return process.stdout


def test_basic_use() -> None:
    output = run("basic_use.py")
    classic, routed = output.split("RouteLLM where it is on")
    assert "medical      openai/gpt-4.1 " in classic
    assert routed.count("routellm ") == 3
    assert routed.count("domain_selector ") == 1


def test_per_domain_overrides() -> None:
    lines = run("per_domain_overrides.py").splitlines()
    assert lines[0].startswith("legal      routellm         threshold 0.7")
    assert lines[1].startswith("cooking    routellm         threshold 0.8")
    assert lines[2].startswith("financial  domain_selector  threshold -")


def test_monitoring_and_reports() -> None:
    output = run("monitoring_and_reports.py")
    assert "requests           4 (4 by RouteLLM)" in output
    assert "priced             4" in output
    assert "router             router-local-0.75, ready: True" in output


@pytest.mark.slow
def test_error_handling() -> None:
    output = run("error_handling.py")
    assert "threshold is 1.5. Give a number from 0 to 1." in output
    assert "Unknown domain 'cooking'" in output
    assert "fallback    openai/gpt-4.1-mini: router_not_ready" in output
    assert "no fallback RouteLLM cannot decide" in output


@pytest.mark.parametrize("page", ["python-api.md", "migrating.md"])
def test_every_linked_page_exists(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    links = [part.split(")")[0] for part in text.split("](")[1:]]
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_the_first_program_of_the_documentation_runs() -> None:
    page = (ROOT / "docs" / "python-api.md").read_text()
    program = page.split("```python\n")[1].split("```")[0]
    names: dict[str, object] = {}
    exec(program, names)  # the program is ours
    assert getattr(names["model"], "name", None) == "openai/gpt-4.1"


def test_every_public_name_is_documented() -> None:
    from experiments import domain_router

    page = (ROOT / "docs" / "python-api.md").read_text()
    methods = [name for name in vars(domain_router.DomainRouter) if not name.startswith("_")]
    assert [name for name in methods if name not in page] == []
    settings = domain_router.RouteLLMConfig.__dataclass_fields__
    assert [name for name in settings if f"`{name}`" not in page] == []
    assert "is_routellm_enabled" in page
