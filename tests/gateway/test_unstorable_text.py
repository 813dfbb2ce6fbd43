"""Text that no database stores: refused with its field's name if a caller sends it, replaced if
a provider does."""

import json
from typing import Any

import httpx
import openai
import pytest

from experiments.core.endpoints import Endpoint
from experiments.gateway.errors import AttemptStatus, CallerError, UpstreamError
from experiments.gateway.litellm_client import _storable
from experiments.gateway.litellm_errors import translated
from experiments.gateway.protocols.chat import read_chat
from experiments.gateway.provider_errors import refusal
from tests.gateway.chats import ask, error_of, stream
from tests.gateway.conftest import Gateway
from tests.gateway.rows import LANES, secret_of
from tests.gateway.stub import Stub

PLAIN = LANES["plain"]
GOOD: dict[str, Any] = {"model": PLAIN.model, "messages": [{"role": "user", "content": "Hi"}]}
BODIES: list[tuple[dict[str, Any], str]] = [
    ({"metadata": {"a": "b%"}}, "metadata.a"),
    ({"metadata": {"a%": "b"}}, "metadata.a\ufffd"),
    ({"user": "u%"}, "user"),
    ({"model": "router/%"}, "model"),
    ({"models": ["a", "%"]}, "models[1]"),
    ({"messages": [{"role": "user", "content": "%"}]}, "messages[0].content"),
    ({"messages": [{"role": "user%", "content": "a"}]}, "messages[0].role"),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "%"}]}]},
        "messages[0].content[0].text",
    ),
    (
        {"tools": [{"type": "function", "function": {"name": "f", "description": "%"}}]},
        "tools[0].function.description",
    ),
    ({"stop": ["%"]}, "stop[0]"),
    ({"unknown": {"deep": ["%"]}}, "unknown.deep[0]"),
]
ESCAPES = [(r"\u0000", "nul_character"), (r"\udfff", "malformed_json")]


@pytest.mark.parametrize(("escape", "code"), ESCAPES)
@pytest.mark.parametrize(("change", "param"), BODIES)
def test_field_of_a_body(change: dict[str, Any], param: str, escape: str, code: str) -> None:
    raw = json.dumps({**GOOD, **change}).replace("%", escape).encode()
    with pytest.raises(CallerError) as refused:
        read_chat(raw, None)
    error = refused.value
    assert (error.status, error.param, error.code) == (400, param, code)
    assert error.message.startswith(f"'{param}' holds ")


@pytest.mark.server
@pytest.mark.parametrize(("escape", "code"), ESCAPES)
def test_body_at_the_server(gateway: Gateway, escape: str, code: str) -> None:
    before = gateway.stored.count("plain")
    raw = json.dumps({**GOOD, "metadata": {"a": "%"}}).replace("%", escape).encode()
    headers = {"Authorization": f"Bearer {secret_of('plain')}"}
    response = httpx.post(f"{gateway.base_url}/chat/completions", content=raw, headers=headers)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == ("metadata.a", code)
    assert gateway.stored.count("plain") == before


@pytest.mark.server
@pytest.mark.parametrize("path", ["models/a%00b", "models/a%2500b", "%00", "chat/completions%00"])
def test_part_of_the_path(gateway: Gateway, path: str) -> None:
    headers = {"Authorization": f"Bearer {secret_of('plain')}"}
    response = httpx.get(f"{gateway.base_url}/{path}", headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "path"


@pytest.mark.server
@pytest.mark.parametrize("path", ["", "healthz", "v1/models/x"])
def test_path_that_is_not_utf_8(gateway: Gateway, path: str) -> None:
    response = httpx.get(f"{gateway.server.url}/{path}%ED%A0%80%FF")
    assert response.status_code in {400, 401, 404}


@pytest.mark.server
def test_session_cookie(gateway: Gateway) -> None:
    for address in (f"{gateway.base_url}/chat/completions", f"{gateway.server.url}/chat/"):
        headers = {"Cookie": 'sessionid="abcdefghij\\000"'}
        response = httpx.post(address, json=GOOD, headers=headers)
        assert response.status_code == 400
        assert "sessionid" in response.text


@pytest.mark.server
def test_answer_of_a_provider(gateway: Gateway, stub: Stub) -> None:
    """The caller can send the response back as history."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "a\x00b\ud800"},
        "logprobs": {"content": [{"token": "a", "logprob": float("-inf")}]},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    body = {"id": "x\x00", "object": "chat.completion", "choices": [choice], "usage": usage}
    stub.behave(PLAIN.strong_name, body=json.dumps({**body, "created": 1, "model": "m\x00"}))
    try:
        answer = ask(gateway.client(), PLAIN.model)
    finally:
        stub.behave(PLAIN.strong_name)
    assert answer.text == "a\ufffdb\ufffd"
    history = [
        *GOOD["messages"],
        {"role": "assistant", "content": answer.text},
        {"role": "user", "content": "And?"},
    ]
    assert ask(gateway.client(), PLAIN.model, messages=history).text == "Yes, of course."
    assert gateway.stored.outcome(answer.decision_id)["output_tokens"] == 4


@pytest.mark.server
def test_stream_of_a_provider(gateway: Gateway, stub: Stub) -> None:
    def chunk(**choice: Any) -> str:
        frame = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        return json.dumps({**frame, "choices": [{"index": 0, "delta": {}, **choice}]})

    events = [chunk(delta={"content": "a\x00b"}), chunk(finish_reason="stop"), "[DONE]"]
    stub.behave(PLAIN.strong_name, events=events)
    try:
        answer = stream(gateway.client(), PLAIN.model)
    finally:
        stub.behave(PLAIN.strong_name)
    assert (answer.text, answer.error) == ("a\ufffdb", None)


@pytest.mark.server
def test_error_of_a_provider(gateway: Gateway, stub: Stub) -> None:
    error = {"message": "no\x00 such parameter", "code": "c\x00", "param": "p\x00"}
    stub.behave(PLAIN.strong_name, status=400, error=error)
    try:
        with pytest.raises(openai.BadRequestError) as refused:
            ask(gateway.client(), PLAIN.model)
    finally:
        stub.behave(PLAIN.strong_name)
    body = error_of(refused.value)
    assert body["message"] == "no\ufffd such parameter"
    assert (body["code"], body["param"]) == ("c\ufffd", "p\ufffd")
    decision = gateway.stored.outcome(gateway.stored.newest("plain"))
    assert decision["error"] == "no\ufffd such parameter"


def test_error_of_any_client() -> None:
    error = UpstreamError(AttemptStatus.FAILED, "a\x00", type="b\ud800", code=None)
    assert (error.message, error.type, error.code, str(error)) == (
        "a\ufffd",
        "b\ufffd",
        None,
        "a\ufffd",
    )
    raw = rb'{"error": {"message": "m\ud800", "code": "c\u0000"}}'
    refused = refusal(400, raw, {}, None)
    assert (refused.message, refused.code) == ("m\ufffd", "c\ufffd")
    raised = translated(ValueError("x\x00y\ud800"), Endpoint("e"), None)
    assert raised.message.endswith("ValueError: x\ufffdy\ufffd")
    assert _storable({"a": ["\ud800"]}) == {"a": ["\ufffd"]}
