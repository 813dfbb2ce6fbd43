"""Writes answers of chat completions in the form of OpenAI's responses."""

import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import orjson

from experiments.core.usage import Usage
from experiments.gateway.errors import GatewayError
from experiments.gateway.protocols.model_call import Body, ModelCall
from experiments.gateway.protocols.responses_to_chat import (
    CUSTOM_ARGUMENT,
    OWN_REASONING,
    split_names,
)
from experiments.gateway.protocols.tool_calls import (
    ToolCallPiece,
    ToolCallSequence,
    reasoning_in,
    text_in,
)
from experiments.gateway.sse import named_event

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
# What a response repeats of its request, with OpenAI's own defaults.
REPEATED: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}


def whole_response(call: ModelCall, data: Body, model: str, usage: Usage | None) -> Body:
    choice = data["choices"][0]
    message = choice.get("message") or {}
    items = []
    if reasoning := reasoning_in(message):
        items.append(_reasoning(_new_id(OWN_REASONING), reasoning))
    if text := text_in(message):
        items.append(_message(_new_id("msg_"), text, "completed"))
    tools = _Tools(call)
    for each in message.get("tool_calls") or ():
        if isinstance(each, dict):
            function = each.get("function") or {}
            name, arguments = str(function.get("name")), str(function.get("arguments") or "{}")
            call_id = each.get("id") or _new_id("call_")
            items.append(tools.item(_new_id("fc_"), call_id, name, arguments))
    finish = str(choice.get("finish_reason"))
    return _ended(_response(call, model, _new_id("resp_")), items, finish, usage)


def usage_of(usage: Usage | None) -> Body | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


class ResponsesWriter:
    """Writes a stream. Items follow each other: of several tool calls at once, the first is
    written as it arrives, the others when the answer ends."""

    def __init__(self, call: ModelCall, model: str) -> None:
        self._response = _response(call, model, _new_id("resp_"))
        self._functions = _Tools(call)
        self._function = ""
        self._number = 0
        self._has_begun = False
        self._items: list[Body] = []
        self._open: Body | None = None
        self._texts: list[str] = []
        self._tools = ToolCallSequence()
        self._finish = "stop"
        self.whole: Body | None = None

    def feed(self, data: Body) -> bytes:
        parts = self._begin()
        for choice in data["choices"]:
            if choice.get("index", 0) != 0:
                continue
            if isinstance(delta := choice.get("delta"), dict):
                parts += self._delta(delta)
            if reason := choice.get("finish_reason"):
                self._finish = str(reason)
        return b"".join(parts)

    def end(self, usage: Usage | None, explained: Mapping[str, Any] | None) -> bytes:
        parts = self._begin()
        for piece in self._tools.rest():
            parts += self._tool(piece)
        parts += self._close()
        response = _ended(self._response, self._items, self._finish, usage)
        self.whole = response
        own = {} if explained is None else {"switchyard": explained}
        kind = f"response.{response['status']}"
        return b"".join([*parts, self._event(kind, response=response, **own)])

    def error(self, error: GatewayError, request_id: str) -> bytes:
        reported = {"code": error.code or error.type, "message": error.message}
        failed = {**self._response, "status": "failed", "error": reported, "output": self._items}
        return b"".join([*self._begin(), self._event("response.failed", response=failed)])

    def _begin(self) -> list[bytes]:
        if self._has_begun:
            return []
        self._has_begun = True
        kinds = ("response.created", "response.in_progress")
        return [self._event(kind, response=self._response) for kind in kinds]

    def _delta(self, delta: Body) -> list[bytes]:
        parts: list[bytes] = []
        if reasoning := reasoning_in(delta):
            parts += self._open_item("reasoning")
            parts.append(self._piece("response.reasoning_summary_text.delta", reasoning))
        if text := text_in(delta):
            parts += self._open_item("message")
            parts.append(self._piece("response.output_text.delta", text, logprobs=[]))
        for piece in self._tools.feed(delta.get("tool_calls")):
            parts += self._tool(piece)
        return parts

    def _tool(self, piece: ToolCallPiece) -> list[bytes]:
        parts = []
        if piece.is_new:
            parts += self._close()
            self._function = piece.name
            item = self._functions.item(_new_id("fc_"), piece.id, piece.name, "")
            parts.append(self._added({**item, "status": "in_progress"}))
        if piece.arguments and not self._functions.is_custom(piece.name):
            kind = "response.function_call_arguments.delta"
            parts.append(self._piece(kind, piece.arguments))
        elif piece.arguments:
            self._texts.append(piece.arguments)
        return parts

    def _open_item(self, kind: str) -> list[bytes]:
        """Begins an item, unless it is the current one."""
        if self._open is not None and self._open["type"] == kind:
            return []
        parts = self._close()
        if kind == "reasoning":
            item = {**_reasoning(_new_id(OWN_REASONING), ""), "summary": []}
            part: Body = {"type": "summary_text", "text": ""}
            added = "response.reasoning_summary_part.added"
        else:
            item = {**_message(_new_id("msg_"), "", "in_progress"), "content": []}
            part = _text_part("")
            added = "response.content_part.added"
        return [*parts, self._added(item), self._event(added, **self._place(), part=part)]

    def _close(self) -> list[bytes]:
        item, text = self._open, "".join(self._texts)
        if item is None:
            return []
        if item["type"] == "reasoning":
            done, parts = self._close_reasoning(item, text)
        elif item["type"] == "message":
            done, parts = self._close_message(item, text)
        else:
            done, parts = self._close_call(item, text)
        index = len(self._items)
        self._items.append(done)
        self._open, self._texts = None, []
        return [*parts, self._event("response.output_item.done", output_index=index, item=done)]

    def _close_reasoning(self, item: Body, text: str) -> tuple[Body, list[bytes]]:
        done, place = _reasoning(item["id"], text), self._place()
        return done, [
            self._event("response.reasoning_summary_text.done", **place, text=text),
            self._event("response.reasoning_summary_part.done", **place, part=done["summary"][0]),
        ]

    def _close_message(self, item: Body, text: str) -> tuple[Body, list[bytes]]:
        done, place = _message(item["id"], text, "completed"), self._place()
        return done, [
            self._event("response.output_text.done", **place, text=text, logprobs=[]),
            self._event("response.content_part.done", **place, part=done["content"][0]),
        ]

    def _close_call(self, item: Body, text: str) -> tuple[Body, list[bytes]]:
        name = self._function
        done = self._functions.item(item["id"], item["call_id"], name, text or "{}")
        place = {"output_index": len(self._items), "item_id": item["id"]}
        if self._functions.is_custom(name):
            kind = "response.custom_tool_call_input"
            return done, [
                self._event(f"{kind}.delta", **place, delta=done["input"]),
                self._event(f"{kind}.done", **place, input=done["input"]),
            ]
        kind = "response.function_call_arguments.done"
        return done, [self._event(kind, **place, name=done["name"], arguments=done["arguments"])]

    def _added(self, item: Body) -> bytes:
        self._open = item
        index = len(self._items)
        return self._event("response.output_item.added", output_index=index, item=item)

    def _piece(self, kind: str, delta: str, **more: Any) -> bytes:
        self._texts.append(delta)
        return self._event(kind, **self._place(), delta=delta, **more)

    def _place(self) -> Body:
        item = self._open or {}
        place = {"output_index": len(self._items), "item_id": item.get("id")}
        inner = {"message": "content_index", "reasoning": "summary_index"}
        part = inner.get(str(item.get("type")))
        return {**place, part: 0} if part else place

    def _event(self, kind: str, **data: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return named_event(kind, {"type": kind, "sequence_number": number, **data})


def _response(call: ModelCall, model: str, response_id: str) -> Body:
    body = call.body
    repeated = {
        name: usual if body.get(name) is None else body[name] for name, usual in REPEATED.items()
    }
    return {
        "id": response_id,
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": [],
        "usage": None,
        "store": False,
        **repeated,
        "previous_response_id": call.previous,
    }


def _ended(response: Body, items: list[Body], finish: str, usage: Usage | None) -> Body:
    reason = INCOMPLETE.get(finish)
    return {
        **response,
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
        "output": items,
        "usage": usage_of(usage),
    }


def _reasoning(item_id: str, text: str) -> Body:
    return {
        "id": item_id,
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text}],
    }


def _message(item_id: str, text: str, status: str) -> Body:
    return {
        "id": item_id,
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [_text_part(text)],
    }


def _text_part(text: str) -> Body:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


class _Tools:
    """The client's tools behind the names of functions."""

    def __init__(self, call: ModelCall) -> None:
        tools = call.body.get("tools") or ()
        self._custom = frozenset(str(t.get("name")) for t in tools if t.get("type") == "custom")
        self._split = split_names(call.body)

    def is_custom(self, function: str) -> bool:
        return function in self._custom

    def item(self, item_id: str, call_id: str, function: str, arguments: str) -> Body:
        """The call of a function as an item."""
        named = self._split.get(function, {"name": function})
        item: Body = {"id": item_id, "call_id": call_id, "status": "completed", **named}
        if self.is_custom(function):
            return {**item, "type": "custom_tool_call", "input": _custom_input(arguments)}
        return {**item, "type": "function_call", "arguments": arguments}


def _custom_input(arguments: str) -> str:
    try:
        given = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
    found = given.get(CUSTOM_ARGUMENT, "") if isinstance(given, dict) else given
    return found if isinstance(found, str) else arguments


def _new_id(prefix: str) -> str:
    return f"{prefix}{uuid4().hex}"
