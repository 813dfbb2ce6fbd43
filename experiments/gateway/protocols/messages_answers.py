"""Writes answers of chat completions in the form of Anthropic's messages."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import orjson

from experiments.core.usage import Usage
from experiments.gateway.errors import GatewayError
from experiments.gateway.protocols.messages import error_body
from experiments.gateway.protocols.messages_to_chat import OWN_SIGNATURE
from experiments.gateway.protocols.model_call import Body, ModelCall
from experiments.gateway.protocols.tool_calls import ToolCallSequence, reasoning_in, text_in
from experiments.gateway.sse import named_event

STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


def whole_message(call: ModelCall, data: Body, model: str, usage: Usage | None) -> Body:
    choice = data["choices"][0]
    message = choice.get("message") or {}
    blocks: list[Body] = []
    reasoning, text = reasoning_in(message), text_in(message)
    if reasoning and _shows_reasoning(call):
        block = {"type": "thinking", "thinking": reasoning, "signature": OWN_SIGNATURE}
        blocks.append(block)
    if text:
        blocks.append({"type": "text", "text": text})
    calls = message.get("tool_calls") or ()
    blocks += [_tool_use(each) for each in calls if isinstance(each, dict)]
    reason = STOP_REASONS.get(str(choice.get("finish_reason")), "end_turn")
    return {
        **_message(model),
        "content": blocks,
        "stop_reason": "tool_use" if calls and reason == "end_turn" else reason,
        "usage": usage_of(usage),
    }


def usage_of(usage: Usage | None) -> Body:
    """In Anthropic's form, input tokens exclude those of the cache."""
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    read = usage.cached_tokens or 0
    wrote = (usage.cache_write_tokens or 0) + (usage.cache_write_1h_tokens or 0)
    return {
        "input_tokens": max(0, usage.input_tokens - read - wrote),
        "cache_creation_input_tokens": wrote,
        "cache_read_input_tokens": read,
        "output_tokens": usage.output_tokens,
    }


class MessagesWriter:
    """Writes a stream. Blocks follow each other: of several tool calls at once, the first is
    written as it arrives, the others when the answer ends."""

    def __init__(self, call: ModelCall, model: str) -> None:
        self._call = call
        self._model = model
        self._has_begun = False
        self._block = -1
        self._kind = ""
        self._tools = ToolCallSequence()
        self._reason = "end_turn"
        self.whole: Body | None = None

    def feed(self, data: Body) -> bytes:
        parts = [] if self._has_begun else [self._begin()]
        for choice in data["choices"]:
            if choice.get("index", 0) != 0:
                continue
            delta = choice.get("delta")
            if isinstance(delta, dict):
                parts += self._delta(delta)
            if reason := choice.get("finish_reason"):
                self._reason = STOP_REASONS.get(str(reason), "end_turn")
        return b"".join(parts)

    def end(self, usage: Usage | None, explained: Mapping[str, Any] | None) -> bytes:
        parts = [] if self._has_begun else [self._begin()]
        for piece in self._tools.rest():
            parts += self._tool(piece)
        parts += self._close()
        if self._tools.has_any and self._reason == "end_turn":
            self._reason = "tool_use"
        delta = {"stop_reason": self._reason, "stop_sequence": None}
        parts.append(_event("message_delta", delta=delta, usage=usage_of(usage)))
        own = {} if explained is None else {"switchyard": explained}
        return b"".join([*parts, _event("message_stop", **own)])

    def error(self, error: GatewayError, request_id: str) -> bytes:
        return named_event("error", error_body(error, request_id))

    def _begin(self) -> bytes:
        self._has_begun = True
        usage = {"input_tokens": self._call.input_tokens, "output_tokens": 0}
        return _event("message_start", message={**_message(self._model), "usage": usage})

    def _delta(self, delta: Body) -> list[bytes]:
        parts: list[bytes] = []
        if (reasoning := reasoning_in(delta)) and _shows_reasoning(self._call):
            parts += self._open("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            parts.append(self._piece({"type": "thinking_delta", "thinking": reasoning}))
        if text := text_in(delta):
            parts += self._open("text", {"type": "text", "text": ""})
            parts.append(self._piece({"type": "text_delta", "text": text}))
        for piece in self._tools.feed(delta.get("tool_calls")):
            parts += self._tool(piece)
        return parts

    def _tool(self, piece: Any) -> list[bytes]:
        parts = []
        if piece.is_new:
            block = {"type": "tool_use", "id": piece.id, "name": piece.name, "input": {}}
            parts += self._open(f"tool {piece.id}", block)
        if piece.arguments:
            delta = {"type": "input_json_delta", "partial_json": piece.arguments}
            parts.append(self._piece(delta))
        return parts

    def _open(self, kind: str, block: Body) -> list[bytes]:
        """Begins a block, unless it is the current one."""
        if kind == self._kind:
            return []
        parts = self._close()
        self._kind, self._block = kind, self._block + 1
        return [*parts, _event("content_block_start", index=self._block, content_block=block)]

    def _piece(self, delta: Body) -> bytes:
        return _event("content_block_delta", index=self._block, delta=delta)

    def _close(self) -> list[bytes]:
        kind, self._kind = self._kind, ""
        if not kind:
            return []
        sign = {"type": "signature_delta", "signature": OWN_SIGNATURE}
        signed = [self._piece(sign)] if kind == "thinking" else []
        return [*signed, _event("content_block_stop", index=self._block)]


def _shows_reasoning(call: ModelCall) -> bool:
    """Clients that did not ask for thinking do not expect any."""
    thinking = call.body.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive")


def _message(model: str) -> Body:
    return {
        "id": f"msg_{uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _tool_use(call: Body) -> Body:
    function = call.get("function") or {}
    arguments = function.get("arguments") or "{}"
    try:
        given = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        given = None
    # Anthropic's clients take objects only; what is none is passed on as text.
    read = given if isinstance(given, dict) else {"arguments": arguments}
    name = function.get("name")
    return {"type": "tool_use", "id": call.get("id") or new_id(), "name": name, "input": read}


def new_id() -> str:
    return f"toolu_{uuid4().hex[:24]}"


def _event(kind: str, **data: Any) -> bytes:
    return named_event(kind, {"type": kind, **data})
