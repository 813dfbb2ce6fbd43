"""Calls of the gateway over plain HTTP, and the events of a stream."""

import json
from typing import Any, NamedTuple

import httpx

from tests.gateway.conftest import Gateway
from tests.gateway.rows import secret_of

Body = dict[str, Any]
VERSION = {"anthropic-version": "2023-06-01"}
PICTURE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
}
TOOL = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


class Event(NamedTuple):
    name: str
    data: Body


class Streamed(NamedTuple):
    status: int
    headers: httpx.Headers
    events: list[Event]

    def of(self, kind: str) -> list[Body]:
        return [event.data for event in self.events if event.data.get("type") == kind]


def post(gateway: Gateway, path: str, body: Body, key: str = "plain", **headers: str) -> Any:
    return httpx.post(
        f"{gateway.base_url}{path}",
        json=body,
        headers={"x-api-key": secret_of(key), **VERSION, **headers},
        timeout=60,
    )


def stream(gateway: Gateway, path: str, body: Body, key: str = "plain", **headers: str) -> Streamed:
    sent = {"x-api-key": secret_of(key), **VERSION, **headers}
    url = f"{gateway.base_url}{path}"
    with httpx.stream(
        "POST", url, json={**body, "stream": True}, headers=sent, timeout=60
    ) as response:
        text = response.read().decode()
    return Streamed(response.status_code, response.headers, events_in(text))


def events_in(text: str) -> list[Event]:
    events = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines and (data := [line[6:] for line in lines if line.startswith("data: ")]):
            name = [line[7:] for line in lines if line.startswith("event: ")]
            if data[0] != "[DONE]":
                events.append(Event("".join(name), json.loads(data[0])))
    return events


def ask(model: str, text: str = "Hello.", **more: Any) -> Body:
    """A request of messages."""
    turn = {"role": "user", "content": text}
    return {"model": model, "max_tokens": 200, "messages": [turn], **more}


def message_in(streamed: Streamed) -> Body:
    """The message that a client assembles, with the order of events checked."""
    [start] = streamed.of("message_start")
    message: Body = {**start["message"], "content": []}
    current: Body | None = None
    for event in streamed.events:
        data, kind = event.data, event.data.get("type")
        assert event.name == kind
        if kind == "content_block_start":
            assert current is None, "A block begins before the last one ended."
            assert data["index"] == len(message["content"])
            current = {**data["content_block"], "json": ""}
        elif kind == "content_block_delta":
            assert current is not None
            assert data["index"] == len(message["content"])
            _add(current, data["delta"])
        elif kind == "content_block_stop":
            assert current is not None
            if given := current.pop("json"):
                current["input"] = json.loads(given)
            message["content"].append(current)
            current = None
        elif kind == "message_delta":
            message |= data["delta"]
            message["usage"] = {**message["usage"], **data["usage"]}
    assert streamed.events[-1].data["type"] == "message_stop"
    return message


def _add(block: Body, delta: Body) -> None:
    if delta["type"] == "input_json_delta":
        block["json"] += delta["partial_json"]
        return
    [name] = delta.keys() - {"type"}
    block[name] = block[name] + delta[name] if name != "signature" else delta[name]
