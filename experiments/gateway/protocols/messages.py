"""Anthropic's messages: parses a request, reads a provider's answers, and writes errors."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from experiments.core.endpoints import ApiFormat, Upstream
from experiments.core.parameters import ParameterChange, PolicyRule
from experiments.gateway.errors import GatewayError
from experiments.gateway.protocols.messages_to_chat import OWN_SIGNATURE, chat_body_of, obstacle_in
from experiments.gateway.protocols.model_call import (
    ROUTED_CHARACTERS,
    Body,
    ModelCall,
    Translation,
    invalid,
    positive,
    read_boolean,
    read_listed,
    read_object,
    read_objects,
    read_text,
    read_unit,
    tokens_of,
)
from experiments.gateway.protocols.native import NativeRequest, Path, native_request, parameters_in
from experiments.routers.follow_up import with_topic

MAX_MESSAGES = 100_000  # Anthropic's own limit
HEADERS = ("anthropic-version", "anthropic-beta")
PLACES: dict[str, Path] = {
    **{
        name: (name,)
        for name in (
            *("max_tokens", "temperature", "top_p", "top_k", "tools", "tool_choice", "thinking"),
            *("service_tier", "output_format", "context_management"),
        )
    },
    "stop": ("stop_sequences",),
    "reasoning_effort": ("output_config", "effort"),
}
# What coding agents add to a user's turn: routing reads what the user wrote.
_ADDED = re.compile(r"\s*<(system-reminder|environment_context|user_instructions)[ >]")
_SESSION = re.compile(r"session[_\"](?:id)?[\": ]*([0-9a-fA-F-]{36})")
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def read_messages(
    raw: bytes, session: str | None, headers: Mapping[str, str], *, counts_only: bool = False
) -> ModelCall:
    """Raises CallerError. `session` is the header that names the unit, if sent; `counts_only` is
    a request of count_tokens, which needs no limit."""
    body = read_object(raw)
    _messages(body)
    body = _without_own_reasoning(body)
    messages = body["messages"]
    limit = positive(body.get("max_tokens"))
    if limit is None and not counts_only:
        raise invalid("max_tokens", "must be a positive whole number.", "invalid_type")
    texts, images, kinds = _read(body, messages)
    return ModelCall(
        body=body,
        model=read_text(body, "model", required=True) or "",
        text=with_topic(_user_texts(messages))[:ROUTED_CHARACTERS],
        input_tokens=tokens_of(texts, images, body.get("tools")),
        output_limit=limit,
        capabilities=frozenset(_capabilities(body, kinds)),
        unit_id=read_unit(body, session, _session_of(body)),
        listed=read_listed(body),
        metadata={},
        streams=read_boolean(body, "stream"),
        wants_usage=True,
        choices=1,
        size=len(raw),
        api_format=ApiFormat.MESSAGES,
        parameters=parameters_in(body, PLACES),
        translation=Translation(partial(chat_body_of, body), obstacle_in(body)),
        headers={name: headers[name] for name in HEADERS if name in headers},
        awaits_tool="tool_result" in {kind for kind, _ in _parts(messages[-1])},
    )


def error_body(error: GatewayError, request_id: str) -> Body:
    """An error in Anthropic's form. `code` and `param` are ours."""
    reported: Body = {"type": ERROR_TYPES.get(error.status, "api_error"), "message": error.message}
    if error.status < 500 and error.status not in ERROR_TYPES:
        reported["type"] = ERROR_TYPES[400]
    reported |= {name: value for name in ("code", "param") if (value := getattr(error, name))}
    return {"type": "error", "error": reported, "request_id": request_id}


def _messages(body: Mapping[str, Any]) -> list[Body]:
    messages = read_objects(body, "messages", MAX_MESSAGES, "message")
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if message.get("role") not in ("user", "assistant", "system"):
            raise invalid(f"{where}.role", "must be 'user' or 'assistant'.")
        if not isinstance(message.get("content"), str | list):
            raise invalid(f"{where}.content", "must be a text or a list of blocks.", "invalid_type")
        for block in message["content"] if isinstance(message["content"], list) else ():
            if not isinstance(block, dict):
                raise invalid(f"{where}.content", "holds a block that is not an object.")
    return messages


def _without_own_reasoning(body: Body) -> Body:
    """Reasoning that a translation passed on has no signature that a provider would accept."""
    if not any(_is_own(block) for m in body["messages"] for block in _blocks(m)):
        return body
    kept = []
    for message in body["messages"]:
        blocks = _blocks(message)
        left = [block for block in blocks if not _is_own(block)]
        if left or not blocks:
            kept.append(message if len(left) == len(blocks) else {**message, "content": left})
    return {**body, "messages": kept}


def _blocks(message: Mapping[str, Any]) -> list[Body]:
    return message["content"] if isinstance(message["content"], list) else []


def _is_own(block: Body) -> bool:
    return block.get("type") == "thinking" and block.get("signature") == OWN_SIGNATURE


def _read(body: Mapping[str, Any], messages: list[Body]) -> tuple[list[str], int, set[str]]:
    """All texts, the number of images, and the kinds of blocks."""
    texts: list[str] = []
    images, kinds = 0, set()
    for holder in ({"content": body.get("system") or ""}, *messages):
        for kind, text in _parts(holder, deep=True):
            kinds.add(kind)
            images += kind == "image"
            texts.append(text)
    return texts, images, kinds


def _parts(message: Mapping[str, Any], *, deep: bool = False) -> Iterator[tuple[str, str]]:
    """Kind and text of each block; `deep` includes the blocks of tool results."""
    content = message.get("content")
    if isinstance(content, str):
        yield "text", content
        return
    for block in content if isinstance(content, list) else ():
        if isinstance(block, dict):
            kind = str(block.get("type"))
            yield kind, _text_of(kind, block)
            if deep and kind == "tool_result":
                yield from _parts(block)


def _text_of(kind: str, block: Mapping[str, Any]) -> str:
    if kind == "tool_use":
        return str(block.get("input") or "")
    if kind == "document":
        source = block.get("source")
        data = source.get("data") if isinstance(source, dict) else None
        is_text = isinstance(source, dict) and source.get("type") == "text"
        # A PDF of base64 has about a token for ten of its characters.
        return data if is_text and isinstance(data, str) else "x" * (len(data or "") // 4)
    value = block.get("thinking" if kind == "thinking" else "text")
    return value if isinstance(value, str) else ""


def _user_texts(messages: list[Body]) -> Iterator[str]:
    """What the user wrote, turn by turn, newest first: a tool's result is none."""
    for message in reversed(messages):
        if message["role"] == "user":
            texts = [text for kind, text in _parts(message) if kind == "text" and text.strip()]
            if texts:
                yield "\n".join([t for t in texts if not _ADDED.match(t)] or texts)


def _capabilities(body: Mapping[str, Any], kinds: set[str]) -> Iterator[str]:
    if "image" in kinds:
        yield "vision"
    if body.get("tools"):
        yield "tools"
    config = body.get("output_config")
    if body.get("output_format") or (isinstance(config, dict) and config.get("format")):
        yield "structured_output"


def _session_of(body: Mapping[str, Any]) -> str | None:
    """Claude Code names its session within `metadata.user_id`."""
    metadata = body.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    if not isinstance(user, str):
        return None
    found = _SESSION.search(user)
    return found[1] if found else user[:200]


class MessagesReader:
    """Reads the answers of a provider that speaks messages."""

    def holder(self, data: Body) -> Body:
        message = data.get("message")
        return message if isinstance(message, dict) else data

    def is_answer(self, data: Body) -> bool:
        return isinstance(data.get("content"), list)

    def delta(self, data: Body) -> Body | None:
        kind, index = data.get("type"), data.get("index", 0)
        if kind == "content_block_start":
            block = data.get("content_block")
            if isinstance(block, dict) and str(block.get("type")).endswith("tool_use"):
                return _call(index, name=block.get("name"))
            return None
        delta = data.get("delta") if kind == "content_block_delta" else None
        if not isinstance(delta, dict):
            return None
        if "partial_json" in delta:
            return _call(index, arguments=delta["partial_json"])
        if "thinking" in delta:
            return {"reasoning_content": delta["thinking"]}
        return {"content": delta["text"]} if "text" in delta else None

    def message(self, data: Body) -> Body:
        blocks = [block for block in data["content"] if isinstance(block, dict)]
        calls = [
            {"function": {"name": block.get("name"), "arguments": str(block.get("input"))}}
            for block in blocks
            if str(block.get("type")).endswith("tool_use")
        ]
        return {
            "content": "".join(str(b.get("text", "")) for b in blocks if b.get("type") == "text"),
            "reasoning_content": "".join(
                str(b.get("thinking", "")) for b in blocks if b.get("type") == "thinking"
            ),
            **({"tool_calls": calls} if calls else {}),
        }

    def begins(self, data: Body) -> bool:
        return str(data.get("type")).startswith(("content_block", "message_delta", "message_stop"))

    def ends(self, data: Body) -> bool:
        return data.get("type") == "message_stop"

    def named(self, data: Body, model: str) -> Body | None:
        message = data.get("message")
        if data.get("type") == "message_start" and isinstance(message, dict):
            return {**data, "message": {**message, "model": model}}
        return None


def _call(index: Any, **function: Any) -> Body:
    return {"tool_calls": [{"index": index, "function": function}]}


def native_messages(
    call: ModelCall, upstream: Upstream, learned: Sequence[PolicyRule]
) -> NativeRequest:
    """The request for a provider that speaks messages. A tool loop that began without reasoning
    goes on without it: Anthropic refuses it otherwise."""
    request = native_request(call, upstream, PLACES, learned)
    if not (call.awaits_tool and _reasons(request.body.get("thinking"))):
        return request
    last: Body = next((m for m in reversed(call.body["messages"]) if m["role"] == "assistant"), {})
    if any(kind in ("thinking", "redacted_thinking") for kind, _ in _parts(last)):
        return request
    body = {name: value for name, value in request.body.items() if name != "thinking"}
    change = ParameterChange(
        "thinking", "drop", "left out: the tool loop began without it", "protocol"
    )
    return request._replace(body=body, changes=(*request.changes, change))


def _reasons(thinking: Any) -> bool:
    return isinstance(thinking, dict) and thinking.get("type") == "enabled"
