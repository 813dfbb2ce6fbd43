"""Python packages with their defaults, against models that speak their protocol and one that does
not."""

import json
from pathlib import Path

import pytest

from tests.clients.running import (
    LLAMAINDEX,
    PROGRAMS,
    PYTHON,
    call_in_order,
    environment,
    needs,
    run_program,
)
from tests.gateway.conftest import Gateway
from tests.gateway.protocols.rows import CLAUDE, GPT, PLAIN, upstream_name
from tests.gateway.protocols.stub import CITY, TEXT, ProtocolStub

pytestmark = [pytest.mark.slow]
ALL = [upstream_name(model) for model in (CLAUDE, GPT, PLAIN)]
TWO = [("weather", CITY), ("weather", {"city": "Lyon"})]
# Names that applications use, and the protocol of the models behind them.
OPENAI = ["gpt-5-mini", "gpt-4.1-mini"]  # responses natively; chat completions only
ANTHROPIC = ["claude-sonnet-5-5", "claude-haiku-5"]  # messages natively; chat completions only


@pytest.mark.parametrize("model", OPENAI)
def test_openai(switchyard: Gateway, provider: ProtocolStub, tmp_path: Path, model: str) -> None:
    variables = environment(switchyard, tmp_path)
    program = [needs(PYTHON), PROGRAMS / "openai_python.py", model]
    got = run_program(program, variables, tmp_path)
    arguments = json.dumps(CITY)
    assert got == {
        "chat": TEXT,
        "chat_stream": TEXT,
        "chat_tool": arguments,
        "responses": TEXT,
        "responses_stream": TEXT,
        "responses_tool": arguments,
        "responses_after_tool": TEXT,
        "responses_tool_stream": [arguments],
        "models": model == "gpt-4.1-mini",
        "model": model,
        "error": "model_not_found",
    }


@pytest.mark.parametrize("model", ANTHROPIC)
def test_anthropic(switchyard: Gateway, provider: ProtocolStub, tmp_path: Path, model: str) -> None:
    variables = environment(switchyard, tmp_path)
    program = [needs(PYTHON), PROGRAMS / "anthropic_python.py", model]
    got = run_program(program, variables, tmp_path)
    assert got == {
        "whole": TEXT,
        "stream": TEXT,
        "stop_reason": "end_turn",
        "tool": CITY,
        "after_tool": TEXT,
        "thinking": ["text"],
        "count": got["count"],
        "models": ["model"],
        "error": "not_found_error",
    }
    assert got["count"] > 0


@pytest.mark.parametrize(
    "model", [f"openai:{name}" for name in OPENAI] + [f"anthropic:{name}" for name in ANTHROPIC]
)
def test_pydantic_ai(
    switchyard: Gateway, provider: ProtocolStub, tmp_path: Path, model: str
) -> None:
    call_in_order(provider, ALL, TWO, TEXT)
    program = [needs(PYTHON), PROGRAMS / "pydantic_ai_python.py", model]
    got = run_program(program, environment(switchyard, tmp_path), tmp_path)
    assert got == {"answer": TEXT, "streamed": TEXT, "cities": ["Paris", "Lyon"] * 2}


@pytest.mark.parametrize("model", OPENAI)
def test_openais_agents_sdk(
    switchyard: Gateway, provider: ProtocolStub, tmp_path: Path, model: str
) -> None:
    call_in_order(provider, ALL, TWO, TEXT)
    variables = environment(switchyard, tmp_path) | {"OPENAI_AGENTS_DISABLE_TRACING": "1"}
    got = run_program([needs(PYTHON), PROGRAMS / "agents_sdk.py", model], variables, tmp_path)
    assert (got["answer"], got["streamed"]) == (TEXT, TEXT)
    assert got["cities"] == ["Paris", "Lyon"] * 2
    assert "raw_response_event" in got["events"]


@pytest.mark.parametrize(
    ("name", "model"),
    [("openai", name) for name in OPENAI] + [("anthropic", name) for name in ANTHROPIC],
)
def test_langchain(
    switchyard: Gateway, provider: ProtocolStub, tmp_path: Path, name: str, model: str
) -> None:
    call_in_order(provider, ALL, TWO, TEXT)
    program = [needs(PYTHON), PROGRAMS / "langchain_python.py", name, model]
    got = run_program(program, environment(switchyard, tmp_path), tmp_path)
    assert got == {"answer": TEXT, "streamed": TEXT, "cities": ["Paris", "Lyon"]}


@pytest.mark.parametrize(
    ("name", "model"), [("openai", "gpt-4.1-mini"), ("anthropic", "claude-3-5-haiku-latest")]
)
def test_llamaindex(
    switchyard: Gateway, provider: ProtocolStub, tmp_path: Path, name: str, model: str
) -> None:
    variables = environment(switchyard, tmp_path) | {"OPENAI_API_BASE": switchyard.base_url}
    program = [needs(LLAMAINDEX), PROGRAMS / "llamaindex.py", name, model]
    got = run_program(program, variables, tmp_path)
    assert got == {"answer": TEXT, "streamed": TEXT, "cities": ["Paris"]}
