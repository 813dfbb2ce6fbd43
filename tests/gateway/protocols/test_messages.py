"""`POST /v1/messages`: native to Anthropic, translated for others, with the same routing."""

import json
from typing import Any

import pytest

from tests.gateway.conftest import Gateway
from tests.gateway.protocols.http import PICTURE, TOOL, ask, message_in, post, stream
from tests.gateway.protocols.rows import CLAUDE, PLAIN, upstream_name
from tests.gateway.protocols.stub import (
    CITY,
    SIGNATURE,
    TEXT,
    TOKENS_CACHED,
    TOKENS_IN,
    TOKENS_OUT,
    ProtocolStub,
    Reply,
)

PATH = "/messages"
OPUS, QWEN = upstream_name(CLAUDE), upstream_name(PLAIN)
USAGE = {
    "input_tokens": TOKENS_IN - TOKENS_CACHED,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": TOKENS_CACHED,
    "output_tokens": TOKENS_OUT,
}


def test_an_anthropic_endpoint_gets_the_request_as_it_came(
    switchyard: Gateway, provider: ProtocolStub
) -> None:
    body = ask(
        "router/claude",
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        tools=[TOOL, {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 1024},
        top_k=5,
        metadata={"user_id": "u-1"},
    )
    provider.says(OPUS, Reply(TEXT, thinking="Let me see."))
    response = post(switchyard, PATH, body, **{"anthropic-beta": "context-1m-2025-08-07"})
    [seen] = provider.of(OPUS)
    assert seen.body == {**body, "model": OPUS}
    assert seen.headers["anthropic-beta"] == "context-1m-2025-08-07"
    assert response.status_code == 200
    message = response.json()
    assert message["model"] == CLAUDE
    assert message["content"][0]["signature"] == SIGNATURE
    assert message["usage"] == USAGE
    assert response.headers["x-switchyard-model"] == CLAUDE
    outcome = switchyard.stored.outcome(response.headers["x-switchyard-decision-id"])
    assert (outcome["input_tokens"], outcome["output_tokens"]) == (TOKENS_IN, TOKENS_OUT)


def test_a_native_stream_passes_every_event(switchyard: Gateway, provider: ProtocolStub) -> None:
    reply = Reply(TEXT, thinking="Let me see.", calls=(("weather", CITY),))
    provider.says(OPUS, reply)
    streamed = stream(switchyard, PATH, ask("router/claude", tools=[TOOL]))
    message = message_in(streamed)
    assert streamed.of("ping")
    assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use"]
    assert message["content"][0]["signature"] == SIGNATURE
    assert message["content"][1]["text"] == TEXT
    assert message["content"][2]["input"] == CITY
    assert message["model"] == CLAUDE
    [attempt] = switchyard.stored.attempts(streamed.headers["x-switchyard-decision-id"])
    assert (attempt["input_tokens"], attempt["output_tokens"]) == (TOKENS_IN, TOKENS_OUT)
    assert attempt["cached_tokens"] == TOKENS_CACHED


def test_a_chat_model_gets_a_translated_request(
    switchyard: Gateway, provider: ProtocolStub
) -> None:
    called = {"type": "tool_use", "id": "toolu_9", "name": "weather", "input": CITY}
    result = [{"type": "text", "text": "Rain."}, PICTURE]
    body = {
        "model": "router/plain",
        "max_tokens": 300,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "stop_sequences": ["END"],
        "temperature": 0.5,
        "tools": [{**TOOL, "cache_control": {"type": "ephemeral"}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 6000},
        "metadata": {"user_id": "u-1"},
        "messages": [
            {"role": "user", "content": "What is the weather?"},
            {"role": "assistant", "content": [{"type": "text", "text": "I look."}, called]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_9", "content": result},
                    {"type": "text", "text": "And tomorrow?"},
                ],
            },
        ],
    }
    provider.says(QWEN, Reply(TEXT))
    response = post(switchyard, PATH, body)
    assert response.status_code == 200, response.text
    [seen] = provider.of(QWEN)
    assert seen.path == "/v1/chat/completions"
    arguments = json.dumps(CITY, separators=(",", ":"))
    assert seen.body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is the weather?"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {
                    "id": "toolu_9",
                    "type": "function",
                    "function": {"name": "weather", "arguments": arguments},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "toolu_9", "content": "Rain.\n(The image follows.)"},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                {"type": "text", "text": "And tomorrow?"},
            ],
        },
    ]
    rest = {name: value for name, value in seen.body.items() if name != "messages"}
    assert rest == {
        "model": QWEN,
        "max_tokens": 300,
        "stop": ["END"],
        "temperature": 0.5,
        "reasoning_effort": "medium",
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "description": TOOL["description"],
                    "parameters": TOOL["input_schema"],
                },
            }
        ],
    }
    message = response.json()
    assert message["type"] == "message"
    assert message["content"] == [{"type": "text", "text": TEXT}]
    assert (message["stop_reason"], message["model"]) == ("end_turn", PLAIN)
    assert message["usage"] == USAGE


@pytest.mark.parametrize("interleaved", [False, True])
def test_a_translated_stream_is_a_valid_message(
    switchyard: Gateway, provider: ProtocolStub, *, interleaved: bool
) -> None:
    calls = (("weather", CITY), ("weather", {"city": "Lyon"}))
    reply = Reply("I look.", thinking="Hm, two cities.", calls=calls, interleaved=interleaved)
    provider.says(QWEN, reply)
    thinking = {"type": "enabled", "budget_tokens": 2000}
    body = ask("router/plain", tools=[TOOL], thinking=thinking)
    streamed = stream(switchyard, PATH, body)
    message = message_in(streamed)
    kinds = [block["type"] for block in message["content"]]
    assert kinds == ["thinking", "text", "tool_use", "tool_use"]
    assert [block["input"] for block in message["content"][2:]] == [CITY, {"city": "Lyon"}]
    assert message["stop_reason"] == "tool_use"
    assert message["usage"] == USAGE
    # The turn goes back as it came: reasoning without a provider's signature is no obstacle.
    result = {"type": "tool_result", "tool_use_id": message["content"][2]["id"], "content": "Sun."}
    turns = [
        *body["messages"],
        {"role": "assistant", "content": message["content"]},
        {"role": "user", "content": [result]},
    ]
    for model, name in (("router/plain", QWEN), ("router/claude", OPUS)):
        provider.forget()
        provider.says(name, Reply(TEXT))
        response = post(switchyard, PATH, {**body, "model": model, "messages": turns})
        assert response.status_code == 200, response.text
        [seen] = provider.of(name)
        assert "Hm, two cities." not in json.dumps(seen.body)
    assert "thinking" not in seen.body, "Anthropic refuses thinking in a loop begun without it."
    assert response.headers["x-switchyard-changed"] == "thinking"


SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": SIGNATURE}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}
ANSWERED = [
    {"role": "user", "content": "Hello."},
    {"role": "assistant", "content": [SIGNED, {"type": "text", "text": "Hi."}]},
    {"role": "user", "content": "Go on."},
]
OBSTACLES: list[tuple[str, dict[str, Any]]] = [
    ("signed reasoning", {"messages": ANSWERED}),
    (
        "a document (PDF)",
        {"messages": [{"role": "user", "content": [{"type": "document", "source": PDF}]}]},
    ),
    (
        "Anthropic's own tool 'web_search_20250305'",
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    ),
    ("'mcp_servers'", {"mcp_servers": [{"type": "url", "url": "https://x.test", "name": "x"}]}),
    (
        "an answer that the caller has begun",
        {"messages": [{"role": "user", "content": "A"}, {"role": "assistant", "content": "{"}]},
    ),
    ("'some_new_field'", {"some_new_field": 1}),
]


@pytest.mark.parametrize(("what", "more"), OBSTACLES)
def test_what_chat_cannot_carry_is_refused_before_a_model_is_called(
    switchyard: Gateway, provider: ProtocolStub, what: str, more: dict[str, Any]
) -> None:
    for model in (PLAIN, "vllm/llama4"):
        response = post(switchyard, PATH, {**ask(model), **more})
        assert response.status_code == 400
        error = response.json()
        assert error["type"] == "error"
        assert error["error"]["type"] == "invalid_request_error"
        assert what in error["error"]["message"]
    assert not provider.seen


@pytest.mark.parametrize(("what", "more"), OBSTACLES)
def test_routing_chooses_a_model_that_can_carry_it(
    switchyard: Gateway, provider: ProtocolStub, what: str, more: dict[str, Any]
) -> None:
    """The policy says weak, which speaks only chat completions."""
    response = post(switchyard, PATH, {**ask("router/plain"), **more})
    assert response.status_code == 200, response.text
    assert response.headers["x-switchyard-model"] == CLAUDE
    [seen] = provider.seen
    assert seen.body == {**ask(OPUS), **more}


def test_a_failing_claude_falls_back_to_a_chat_model(
    switchyard: Gateway, provider: ProtocolStub
) -> None:
    provider.says(OPUS, Reply(fault=529))
    streamed = stream(switchyard, PATH, ask("router/claude"), **{"x-switchyard-explain": "true"})
    message = message_in(streamed)
    assert message["content"] == [{"type": "text", "text": TEXT}]
    assert streamed.headers["x-switchyard-model"] == PLAIN
    assert streamed.headers["x-switchyard-fallback"] == "failed"
    [stop] = streamed.of("message_stop")
    assert stop["switchyard"]["answered_by"] == PLAIN


@pytest.mark.parametrize("model", ["claude", "plain"])
@pytest.mark.parametrize("fault", ["cut", "error"])
def test_a_stream_that_breaks_ends_with_an_error_event(
    switchyard: Gateway, provider: ProtocolStub, model: str, fault: str
) -> None:
    name = {"claude": OPUS, "plain": QWEN}[model]
    provider.says(name, Reply("one two three four five six", fault=fault))
    streamed = stream(switchyard, PATH, ask(f"router/{model}"))
    last = streamed.events[-1]
    assert last.name == "error"
    assert last.data["error"]["type"] == "api_error"
    assert not streamed.of("message_stop")
    [attempt] = switchyard.stored.attempts(streamed.headers["x-switchyard-decision-id"])
    assert attempt["status"] == ("cut" if fault == "cut" else "failed")
    assert attempt["output_tokens"] > 0


def test_errors_have_anthropics_form(switchyard: Gateway, provider: ProtocolStub) -> None:
    provider.says(OPUS, Reply(fault=400, error_message="messages: all is wrong"))
    for body, key, status, kind in (
        (ask(CLAUDE), "revoked", 401, "authentication_error"),
        (ask(CLAUDE), "unscoped", 403, "permission_error"),
        (ask("no-such-model"), "plain", 404, "not_found_error"),
        ({"model": CLAUDE, "max_tokens": 5}, "plain", 400, "invalid_request_error"),
        ({**ask(CLAUDE), "max_tokens": None}, "plain", 400, "invalid_request_error"),
        (ask(CLAUDE), "plain", 400, "invalid_request_error"),
    ):
        response = post(switchyard, PATH, body, key)
        assert response.status_code == status, response.text
        error = response.json()
        assert error["type"] == "error"
        assert error["error"]["type"] == kind
        assert error["request_id"] == response.headers["x-request-id"]
    assert error["error"]["message"] == "messages: all is wrong"


def test_a_budget_holds_here_too(switchyard: Gateway, provider: ProtocolStub) -> None:
    answers = [post(switchyard, PATH, ask(PLAIN), "few_requests") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].json()["error"]["type"] == "rate_limit_error"
    assert answers[-1].headers["retry-after"]


def test_a_refused_parameter_is_left_out_natively(
    switchyard: Gateway, provider: ProtocolStub
) -> None:
    refused = "top_k: this parameter is not supported for this model"
    provider.says(OPUS, Reply(fault=400, error_message=refused), Reply(TEXT))
    response = post(switchyard, PATH, ask(CLAUDE, top_k=3))
    assert response.status_code == 200, response.text
    assert [seen.body.get("top_k") for seen in provider.of(OPUS)] == [3, None]
    assert response.headers["x-switchyard-changed"] == "top_k"


def test_the_session_of_claude_code_is_the_unit(
    switchyard: Gateway, provider: ProtocolStub
) -> None:
    session = "0f1e2d3c-0000-4000-8000-123456789abc"
    users = [
        f"user_abc_account__session_{session}",
        json.dumps({"device_id": "d", "session_id": session}),
    ]
    found = set()
    for user in users:
        response = post(switchyard, PATH, ask(PLAIN, metadata={"user_id": user}))
        row = switchyard.stored.decision(response.headers["x-switchyard-decision-id"])
        found.add(row["unit_hash"])
    assert len(found) == 1
