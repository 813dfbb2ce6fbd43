"""`POST /v1/responses`: native to OpenAI, translated for others, kept where the domain allows."""

import json
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import Gateway
from tests.gateway.protocols.http import Streamed, post, stream
from tests.gateway.protocols.rows import GPT, PLAIN, upstream_name
from tests.gateway.protocols.stub import (
    CITY,
    ENCRYPTED,
    TEXT,
    TOKENS_CACHED,
    TOKENS_IN,
    TOKENS_OUT,
    ProtocolStub,
    Reply,
)
from tests.gateway.rows import secret_of

PATH = "/responses"
GPT_NAME, QWEN = upstream_name(GPT), upstream_name(PLAIN)
FUNCTION = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
CUSTOM = {"type": "custom", "name": "shell", "description": "Runs a command."}
USAGE = {
    "input_tokens": TOKENS_IN,
    "input_tokens_details": {"cached_tokens": TOKENS_CACHED},
    "output_tokens": TOKENS_OUT,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": TOKENS_IN + TOKENS_OUT,
}
REASONING = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": ENCRYPTED}


def ask(model: str, given: Any = "Hello.", **more: Any) -> dict[str, Any]:
    return {"model": model, "input": given, **more}


def response_in(streamed: Streamed) -> dict[str, Any]:
    """The last event's response, compared with the items that a client assembles."""
    items: list[dict[str, Any]] = []
    texts: dict[str, str] = {}
    for number, (name, data) in enumerate(streamed.events):
        assert name == data["type"]
        assert data["sequence_number"] == number
        if name == "response.output_item.added":
            assert data["output_index"] == len(items)
        elif name.endswith(".delta"):
            texts[data["item_id"]] = texts.get(data["item_id"], "") + data["delta"]
        elif name == "response.output_item.done":
            items.append(data["item"])
    last = streamed.events[-1].data
    assert last["type"] in ("response.completed", "response.incomplete")
    response: dict[str, Any] = last["response"]
    assert response["output"] == items
    for item in items:
        text = texts.get(item["id"])
        if item["type"] == "message":
            assert item["content"][0]["text"] == text
        elif item["type"] == "function_call":
            assert item["arguments"] == text
    return response


def test_an_openai_endpoint_gets_the_request_as_it_came(
    switchyard: Gateway, provider: ProtocolStub
) -> None:
    given = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi."}]},
        REASONING,
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "message", "role": "user", "content": "Go on."},
    ]
    body = ask(
        "router/gpt",
        given,
        instructions="Be brief.",
        tools=[FUNCTION, {"type": "web_search"}, {"type": "mcp", "server_label": "x"}],
        text={"format": {"type": "text"}, "verbosity": "low"},
        reasoning={"effort": "low", "summary": "auto"},
        include=["reasoning.encrypted_content"],
        store=False,
        metadata={"a": "b"},
    )
    provider.says(GPT_NAME, Reply(TEXT, thinking="Let me see."))
    response = post(switchyard, PATH, body)
    assert response.status_code == 200, response.text
    [seen] = provider.of(GPT_NAME)
    assert seen.path == "/v1/responses"
    assert seen.body == {**body, "model": GPT_NAME}
    answered = response.json()
    assert answered["model"] == GPT
    assert answered["output"][0]["encrypted_content"] == ENCRYPTED
    [attempt] = switchyard.stored.attempts(response.headers["x-switchyard-decision-id"])
    assert (attempt["input_tokens"], attempt["output_tokens"]) == (TOKENS_IN, TOKENS_OUT)
    assert attempt["cached_tokens"] == TOKENS_CACHED


def test_a_native_stream_passes_every_event(switchyard: Gateway, provider: ProtocolStub) -> None:
    reply = Reply(TEXT, thinking="Let me see.", calls=(("weather", CITY),))
    provider.says(GPT_NAME, reply)
    streamed = stream(switchyard, PATH, ask("router/gpt", tools=[FUNCTION]))
    response = response_in(streamed)
    assert [item["type"] for item in response["output"]] == [
        "reasoning",
        "message",
        "function_call",
    ]
    assert (response["id"], response["model"]) == ("resp_1", GPT)
    [attempt] = switchyard.stored.attempts(streamed.headers["x-switchyard-decision-id"])
    assert (attempt["status"], attempt["input_tokens"]) == ("ok", TOKENS_IN)


def test_a_chat_model_gets_a_translated_request(
    switchyard: Gateway, provider: ProtocolStub
) -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}
    given = [
        {"role": "developer", "content": "Answer in French."},
        {"role": "user", "content": [{"type": "input_text", "text": "What is this?"}, picture]},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I look."}],
        },
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"A"}'},
        {"type": "custom_tool_call", "call_id": "c2", "name": "shell", "input": "ls"},
        {"type": "function_call_output", "call_id": "c1", "output": "Rain."},
        {
            "type": "custom_tool_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "a.txt"}],
        },
    ]
    schema = {"type": "object", "properties": {}}
    body = ask(
        "router/plain_gpt",
        given,
        instructions="Be brief.",
        tools=[FUNCTION, CUSTOM],
        tool_choice={"type": "custom", "name": "shell"},
        parallel_tool_calls=False,
        max_output_tokens=300,
        temperature=0.5,
        reasoning={"effort": "low", "summary": "auto"},
        text={"format": {"type": "json_schema", "name": "x", "schema": schema, "strict": True}},
        include=["reasoning.encrypted_content"],
        store=False,
        prompt_cache_key="k",
    )
    provider.says(QWEN, Reply(TEXT))
    response = post(switchyard, PATH, body)
    assert response.status_code == 200, response.text
    [seen] = provider.of(QWEN)
    url = {"url": "data:image/png;base64,AA==", "detail": "low"}
    assert seen.body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Answer in French."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": url},
            ],
        },
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"A"}'},
                },
                {
                    "id": "c2",
                    "type": "function",
                    "function": {"name": "shell", "arguments": '{"input":"ls"}'},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "Rain."},
        {"role": "tool", "tool_call_id": "c2", "content": "a.txt"},
    ]
    sent = seen.body
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["weather", "shell"]
    assert sent["tools"][1]["function"]["parameters"]["required"] == ["input"]
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "shell"}}
    json_schema = {"name": "x", "schema": schema, "strict": True}
    assert sent["response_format"] == {"type": "json_schema", "json_schema": json_schema}
    names = ("max_tokens", "temperature", "reasoning_effort", "parallel_tool_calls")
    assert [sent[name] for name in names] == [300, 0.5, "low", False]
    answered = response.json()
    assert (answered["object"], answered["status"], answered["model"]) == (
        "response",
        "completed",
        PLAIN,
    )
    assert answered["output"][0]["content"][0]["text"] == TEXT
    assert answered["usage"] == USAGE
    assert answered["store"] is False


@pytest.mark.parametrize("interleaved", [False, True])
def test_a_translated_stream_is_a_valid_response(
    switchyard: Gateway, provider: ProtocolStub, *, interleaved: bool
) -> None:
    calls = (("weather", CITY), ("shell", {"input": "ls -l"}))
    reply = Reply("I look.", thinking="Hm, two tools.", calls=calls, interleaved=interleaved)
    provider.says(QWEN, reply)
    body = ask("router/plain_gpt", tools=[FUNCTION, CUSTOM], store=False)
    streamed = stream(switchyard, PATH, body, **{"x-switchyard-explain": "true"})
    response = response_in(streamed)
    reasoning, message, first, second = response["output"]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "Hm, two tools."}]
    assert message["content"][0]["text"] == "I look."
    assert (first["type"], json.loads(first["arguments"])) == ("function_call", CITY)
    assert (second["type"], second["input"]) == ("custom_tool_call", "ls -l")
    assert response["usage"] == USAGE
    assert streamed.events[-1].data["switchyard"]["answered_by"] == PLAIN
    # The items go back as they came: this reasoning is no obstacle, to either provider.
    output = {"type": "function_call_output", "call_id": first["call_id"], "output": "Sun."}
    given = [{"role": "user", "content": "Hello."}, *response["output"], output]
    for model, name in (("router/plain_gpt", QWEN), ("router/gpt", GPT_NAME)):
        provider.forget()
        provider.says(name, Reply(TEXT))
        again = post(switchyard, PATH, {**body, "model": model, "input": given})
        assert again.status_code == 200, again.text
        [seen] = provider.of(name)
        assert "Hm, two tools." not in json.dumps(seen.body)


def test_tools_in_a_namespace_are_functions_of_a_chat_model(
    switchyard: Gateway, provider: ProtocolStub
) -> None:
    tools = [{"type": "namespace", "name": "agents", "tools": [FUNCTION]}]
    called = {
        "type": "function_call",
        "call_id": "c0",
        "namespace": "agents",
        "name": "weather",
        "arguments": "{}",
    }
    output = {"type": "function_call_output", "call_id": "c0", "output": "Rain."}
    given = [{"role": "user", "content": "Hello."}, called, output]
    reply = Reply(calls=(("agents__weather", CITY),))
    provider.says(QWEN, reply, reply)
    body = ask("router/plain_gpt", given, tools=tools, store=False)
    whole, streamed = post(switchyard, PATH, body).json(), stream(switchyard, PATH, body)
    for response in (whole, response_in(streamed)):
        [item] = response["output"]
        assert (item["namespace"], item["name"]) == ("agents", "weather")
        assert json.loads(item["arguments"]) == CITY
    sent = provider.of(QWEN)[0].body
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["agents__weather"]
    [call] = sent["messages"][1]["tool_calls"]
    assert call["function"]["name"] == "agents__weather"


OBSTACLES: list[tuple[str, dict[str, Any]]] = [
    ("a provider's own reasoning", {"input": [REASONING, {"role": "user", "content": "Hi."}]}),
    ("OpenAI's own tool 'web_search'", {"tools": [{"type": "web_search"}]}),
    (
        "a tool with a grammar",
        {"tools": [{**CUSTOM, "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}]},
    ),
    ("an item of type 'item_reference'", {"input": [{"type": "item_reference", "id": "msg_1"}]}),
    (
        "a file",
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
    ),
    ("'truncation'", {"truncation": "auto"}),
    ("'some_new_field'", {"some_new_field": 1}),
]


@pytest.mark.parametrize(("what", "more"), OBSTACLES)
def test_what_chat_cannot_carry_is_refused_or_routed_elsewhere(
    switchyard: Gateway, provider: ProtocolStub, what: str, more: dict[str, Any]
) -> None:
    refused = post(switchyard, PATH, {**ask(PLAIN), **more})
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "unsupported_by_protocol"
    assert what in refused.json()["error"]["message"]
    assert not provider.seen
    provider.says(GPT_NAME, Reply(TEXT))
    body = {**ask("router/plain_gpt", store=False), **more}
    routed = post(switchyard, PATH, body)
    assert routed.status_code == 200, routed.text
    assert routed.headers["x-switchyard-model"] == GPT
    assert provider.seen[0].body == {**body, "model": GPT_NAME}


def test_a_failing_endpoint_falls_back_across_protocols(
    switchyard: Gateway, provider: ProtocolStub
) -> None:
    provider.says(GPT_NAME, Reply(fault=500))
    response = response_in(stream(switchyard, PATH, ask("router/gpt")))
    assert response["model"] == PLAIN
    assert response["output"][0]["content"][0]["text"] == TEXT


@pytest.mark.parametrize(("domain", "name"), [("gpt", GPT_NAME), ("plain_gpt", QWEN)])
@pytest.mark.parametrize("fault", ["cut", "error"])
def test_a_stream_that_breaks_ends_as_failed(
    switchyard: Gateway, provider: ProtocolStub, domain: str, name: str, fault: str
) -> None:
    provider.says(name, Reply("one two three four five six", fault=fault))
    streamed = stream(switchyard, PATH, ask(f"router/{domain}"))
    last = streamed.events[-1]
    assert last.name == "response.failed"
    assert last.data["response"]["status"] == "failed"
    assert last.data["response"]["error"]["message"]
    [attempt] = switchyard.stored.attempts(streamed.headers["x-switchyard-decision-id"])
    assert attempt["status"] == ("cut" if fault == "cut" else "failed")


def test_an_answer_that_is_too_long_is_incomplete(
    switchyard: Gateway, provider: ProtocolStub
) -> None:
    provider.says(QWEN, Reply(TEXT, stop="length"), Reply(TEXT, stop="length"))
    body = ask("router/plain_gpt", store=False)
    whole, streamed = post(switchyard, PATH, body).json(), stream(switchyard, PATH, body)
    for response in (whole, response_in(streamed)):
        assert response["status"] == "incomplete"
        assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert streamed.events[-1].name == "response.incomplete"


def _get(gateway: Gateway, path: str, key: str = "plain", method: str = "GET") -> httpx.Response:
    headers = {"Authorization": f"Bearer {secret_of(key)}"}
    return httpx.request(method, f"{gateway.base_url}{PATH}{path}", headers=headers)


@pytest.mark.parametrize("streams", [False, True])
def test_a_kept_response_is_continued(
    switchyard: Gateway, provider: ProtocolStub, *, streams: bool
) -> None:
    provider.says(QWEN, Reply("Blue."), Reply("Because."), Reply(TEXT))
    body = ask("router/plain_gpt", "My favorite color?")
    first = (
        response_in(stream(switchyard, PATH, body))
        if streams
        else post(switchyard, PATH, body).json()
    )
    second = post(
        switchyard, PATH, ask("router/plain_gpt", "Why?", previous_response_id=first["id"])
    )
    assert second.status_code == 200, second.text
    answered = [message["content"] for message in provider.of(QWEN)[1].body["messages"]]
    assert answered == ["My favorite color?", "Blue.", "Why?"]
    assert second.json()["previous_response_id"] == first["id"]
    third = ask("router/plain_gpt", "Sure?", previous_response_id=second.json()["id"])
    post(switchyard, PATH, third)
    answered = [message["content"] for message in provider.of(QWEN)[2].body["messages"]]
    assert answered == ["My favorite color?", "Blue.", "Why?", "Because.", "Sure?"]
    assert _get(switchyard, f"/{first['id']}").json()["output"] == first["output"]
    items = _get(switchyard, f"/{second.json()['id']}/input_items").json()["data"]
    assert [item["type"] for item in items] == ["message"] * 3
    rows = switchyard.stored.rows("SELECT sealed FROM experiments_storedresponse")
    assert not any("color" in row["sealed"] for row in rows)
    # Another key cannot read it, and deleting it ends it.
    assert _get(switchyard, f"/{first['id']}", "load").status_code == 404
    other = post(switchyard, PATH, ask(PLAIN, previous_response_id=first["id"]), "load")
    assert other.json()["error"]["code"] == "previous_response_not_found"
    assert _get(switchyard, f"/{first['id']}", method="DELETE").json()["deleted"] is True
    assert _get(switchyard, f"/{first['id']}").status_code == 404


def test_nothing_is_kept_where_the_domain_stores_no_text(
    switchyard: Gateway, provider: ProtocolStub
) -> None:
    insisted = post(switchyard, PATH, ask("router/gpt", store=True))
    assert insisted.status_code == 403
    assert insisted.json()["error"]["code"] == "storage_not_allowed"
    assert not provider.seen
    usual = post(switchyard, PATH, ask("router/gpt"))
    assert usual.status_code == 200
    follow = post(switchyard, PATH, ask("router/gpt", previous_response_id=usual.json()["id"]))
    assert follow.status_code == 404
    assert "send the whole conversation" in follow.json()["error"]["message"]
    refused = post(switchyard, PATH, ask("router/plain_gpt", store=False))
    assert _get(switchyard, f"/{refused.json()['id']}").status_code == 404


def test_background_responses_are_refused(switchyard: Gateway, provider: ProtocolStub) -> None:
    response = post(switchyard, PATH, ask("router/gpt", background=True))
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "background"
    assert _get(switchyard, "/resp_1/cancel", method="POST").status_code == 400
    assert not provider.seen


def test_a_native_failure_with_status_200_is_an_error(
    switchyard: Gateway, provider: ProtocolStub
) -> None:
    provider.says(GPT_NAME, Reply(fault="garbled"))
    response = post(switchyard, PATH, ask(GPT))
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "upstream_malformed"


def test_codex_names_its_session(switchyard: Gateway, provider: ProtocolStub) -> None:
    found = set()
    for headers, body in (
        ({"session-id": "s-1"}, ask(PLAIN)),
        ({}, ask(PLAIN, prompt_cache_key="s-1")),
        ({"x-session-id": "s-1", "session-id": "other"}, ask(PLAIN)),
    ):
        response = post(switchyard, PATH, body, **headers)
        row = switchyard.stored.decision(response.headers["x-switchyard-decision-id"])
        found.add(row["unit_hash"])
    assert len(found) == 1
