"""Node packages with their defaults, and the coding agents Claude Code and Codex."""

import json
from pathlib import Path

import pytest

from tests.clients.running import (
    NODE_MODULES,
    PROGRAMS,
    call_in_order,
    environment,
    needs_node,
    run,
    run_program,
)
from tests.gateway.conftest import Gateway
from tests.gateway.protocols.rows import CLAUDE, GPT, PLAIN, upstream_name
from tests.gateway.protocols.stub import CITY, TEXT, ProtocolStub
from tests.gateway.rows import secret_of

pytestmark = [pytest.mark.slow]
OPUS, GPT_NAME, QWEN = map(upstream_name, (CLAUDE, GPT, PLAIN))
ALL = [OPUS, GPT_NAME, QWEN]
# Natively, and translated for a model that speaks only chat completions.
PAIRS = [("gpt-5-mini", "claude-sonnet-5-5"), ("gpt-4.1-mini", "claude-haiku-5")]
TASK = "Write hello.txt with the word hello, then show it."


@pytest.mark.parametrize("models", PAIRS)
@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_packages(
    switchyard: Gateway,
    provider: ProtocolStub,
    tmp_path: Path,
    name: str,
    models: tuple[str, str],
) -> None:
    program = [needs_node(), _linked(tmp_path), name, *models]
    got = run_program(program, environment(switchyard, tmp_path), tmp_path)
    if name == "openai":
        assert got == {"chat": TEXT, "responses": TEXT, "tool": [json.dumps(CITY)]}
    else:
        assert got.pop("count") > 0
        assert got == {"whole": TEXT, "tool": [CITY]}


@pytest.mark.parametrize("models", PAIRS)
def test_vercels_ai_sdk(
    switchyard: Gateway, provider: ProtocolStub, tmp_path: Path, models: tuple[str, str]
) -> None:
    call_in_order(provider, ALL, [("weather", CITY), ("weather", {"city": "Lyon"})], TEXT)
    variables = environment(switchyard, tmp_path) | {"ANTHROPIC_BASE_URL": switchyard.base_url}
    got = run_program([needs_node(), _linked(tmp_path), "vercel", *models], variables, tmp_path)
    expected = {"text": TEXT, "streamed": TEXT, "cities": ["Paris", "Lyon"] * 2}
    assert got == {"openai": expected, "anthropic": expected}


@pytest.mark.parametrize(
    ("model", "answers"), [("claude-sonnet-5-5", OPUS), ("claude-haiku-5", QWEN)]
)
def test_claude_code_finishes_a_task(
    switchyard: Gateway, provider: ProtocolStub, tmp_path: Path, model: str, answers: str
) -> None:
    needs_node()
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    file = str(work / "hello.txt")
    calls = [
        ("Write", {"file_path": file, "content": "hello\n"}),
        ("Bash", {"command": f"cat {file}", "description": "Show the file"}),
    ]
    call_in_order(provider, ALL, calls, "It says hello.")
    variables = environment(switchyard, home)
    command = [NODE_MODULES / ".bin/claude", "-p", TASK, "--model", model]
    options = ["--allowedTools", "Write,Bash", "--output-format", "json"]
    ended = json.loads(run([*command, *options], variables, work))
    assert (ended["result"], ended["is_error"]) == ("It says hello.", False)
    assert ended["num_turns"] >= 3
    assert Path(file).read_text() == "hello\n"
    loop = [seen for seen in provider.of(answers) if seen.body.get("tools")]
    assert len(loop) == 3, "Every turn of the task goes to one model."
    assert "hello" in loop[-1].raw.decode()


@pytest.mark.parametrize(("model", "answers"), [("gpt-5-mini", GPT_NAME), ("gpt-4.1-mini", QWEN)])
def test_codex_finishes_a_task(
    switchyard: Gateway, provider: ProtocolStub, tmp_path: Path, model: str, answers: str
) -> None:
    needs_node()
    home, work = tmp_path / "home", tmp_path / "work"
    work.mkdir()
    (home / ".codex").mkdir(parents=True)
    settings = CODEX.format(model=model, base_url=switchyard.base_url)
    (home / ".codex/config.toml").write_text(settings)
    calls = [
        ("exec_command", {"cmd": "echo hello > hello.txt"}),
        ("exec_command", {"cmd": "cat hello.txt"}),
    ]
    call_in_order(provider, ALL, calls, "It says hello.")
    variables = environment(switchyard, home) | {"SWITCHYARD_API_KEY": secret_of("load")}
    del variables["OPENAI_BASE_URL"], variables["OPENAI_API_KEY"]
    command = [NODE_MODULES / ".bin/codex", "exec", "--skip-git-repo-check"]
    # The test's machine is a sandbox already.
    unboxed = "--dangerously-bypass-approvals-and-sandbox"
    said = run([*command, unboxed, TASK], variables, work)
    assert "It says hello." in said
    assert (work / "hello.txt").read_text() == "hello\n"
    loop = provider.of(answers)
    assert len(loop) == 3, "Every turn of the task goes to one model."
    assert "hello" in loop[-1].raw.decode()


# As docs/clients.md has it.
CODEX = """
model = "{model}"
model_provider = "switchyard"
web_search = "disabled"

[model_providers.switchyard]
name = "Switchyard"
base_url = "{base_url}"
env_key = "SWITCHYARD_API_KEY"
"""


def _linked(folder: Path) -> Path:
    """The program next to the packages: Node looks for them from its folder upwards."""
    (folder / "node_modules").symlink_to(NODE_MODULES)
    program = folder / "node.mjs"
    program.write_text((PROGRAMS / "node.mjs").read_text())
    return program
