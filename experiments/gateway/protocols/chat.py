"""Parses a call of chat completions."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from experiments.core.costs import BYTES_PER_TOKEN, estimate_tokens
from experiments.gateway.protocols.model_call import (
    IMAGE_TOKENS,
    ROUTED_CHARACTERS,
    ModelCall,
    invalid,
    positive,
    read_boolean,
    read_listed,
    read_metadata,
    read_object,
    read_text,
    read_unit,
)
from experiments.routers.follow_up import with_topic

MAX_MESSAGES = 5_000
MOST_CHOICES = 128


def read_chat(raw: bytes, session: str | None) -> ModelCall:
    """Raises CallerError. `session` is the header that names the unit, if sent."""
    body = read_object(raw)
    messages = _messages(body)
    parts = list(_parts(messages))
    kinds = {kind for _, kind, _ in parts}
    options = body.get("stream_options")
    return ModelCall(
        body=body,
        model=read_text(body, "model", required=True) or "",
        text=with_topic(_user_texts(messages))[:ROUTED_CHARACTERS],
        input_tokens=_input_tokens(body, parts),
        output_limit=_output_limit(body),
        capabilities=frozenset(_capabilities(body, kinds)),
        unit_id=_unit(body, session),
        listed=read_listed(body),
        metadata=read_metadata(body),
        streams=read_boolean(body, "stream"),
        wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
        choices=_choices(body),
        size=len(raw),
        parameters=body,
        awaits_tool=messages[-1]["role"] in ("tool", "function"),
    )


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise invalid("messages", "must be a list of at least one message.", "invalid_type")
    if len(messages) > MAX_MESSAGES:
        raise invalid("messages", f"holds more than {MAX_MESSAGES:,} messages.", "too_long")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise invalid(f"messages[{index}]", "must be an object with a role.", "invalid_type")
    return messages


def _parts(messages: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Role, kind and text of each part of each message."""
    for message in messages:
        role, content = message["role"], message.get("content")
        if isinstance(content, str):
            yield role, "text", content
        elif isinstance(content, list):
            for part in content:
                if isinstance(part, dict):
                    kind, text = part.get("type"), part.get("text")
                    yield role, str(kind), text if isinstance(text, str) else ""


def _user_texts(messages: list[dict[str, Any]]) -> Iterator[str]:
    """The text parts of each user message, newest first; empty if it contains only images."""
    for message in reversed(messages):
        if message["role"] == "user":
            yield "\n".join(text for _, kind, text in _parts([message]) if kind == "text")


def _input_tokens(body: Mapping[str, Any], parts: list[tuple[str, str, str]]) -> int:
    tokens = sum(estimate_tokens(text) for _, _, text in parts if text)
    tokens += sum(IMAGE_TOKENS for _, kind, _ in parts if kind == "image_url")
    if tools := body.get("tools"):
        tokens += len(orjson.dumps(tools)) // BYTES_PER_TOKEN
    return max(1, tokens)


def _output_limit(body: Mapping[str, Any]) -> int | None:
    """The most tokens the model may write, over all requested choices."""
    for name in ("max_completion_tokens", "max_tokens"):
        if (limit := positive(body.get(name))) is not None:
            return limit * _choices(body)
    return None


def _choices(body: Mapping[str, Any]) -> int:
    """The number of requested choices; the provider validates it."""
    choices = body.get("n")
    if isinstance(choices, bool) or not isinstance(choices, int):
        return 1
    return min(max(1, choices), MOST_CHOICES)


def _capabilities(body: Mapping[str, Any], kinds: set[str]) -> Iterator[str]:
    """The capabilities that this call requires, as the registry names them."""
    if "image_url" in kinds:
        yield "vision"
    if "input_audio" in kinds:
        yield "audio"
    if body.get("tools") or body.get("functions"):
        yield "tools"
    wanted = body.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "json_object":
        yield "json_mode"
    if kind == "json_schema":
        yield "structured_output"


def _unit(body: Mapping[str, Any], session: str | None) -> str | None:
    """The header takes precedence: it names the conversation, the field names the user."""
    user = body.get("user")
    if user is not None and not isinstance(user, str):
        raise invalid("user", "must be a string.", "invalid_type")
    return read_unit(body, session, user)
