"""OpenAI's responses: parses a request and reads a provider's answers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from experiments.core.endpoints import ApiFormat, Upstream
from experiments.core.parameters import PolicyRule
from experiments.gateway.errors import CallerError, GatewayError
from experiments.gateway.protocols.model_call import (
    ROUTED_CHARACTERS,
    Body,
    ModelCall,
    Translation,
    invalid,
    positive,
    read_boolean,
    read_listed,
    read_metadata,
    read_object,
    read_text,
    read_unit,
    tokens_of,
)
from experiments.gateway.protocols.native import (
    NativeRequest,
    Path,
    native_request,
    parameters_in,
    set_at,
)
from experiments.gateway.protocols.responses_to_chat import (
    OWN_REASONING,
    chat_body_of,
    items_of,
    kind_of,
    obstacle_in,
)
from experiments.gateway.sse import named_event
from experiments.routers.follow_up import with_topic

MAX_ITEMS = 100_000
# How Codex names its session.
SESSION_HEADERS = ("session-id", "conversation-id")
PLACES: dict[str, Path] = {
    **{
        name: (name,)
        for name in (
            *("temperature", "top_p", "tools", "tool_choice", "parallel_tool_calls", "user"),
            *("service_tier", "store", "prompt_cache_key", "safety_identifier", "include"),
            *("prompt_cache_retention", "truncation", "max_tool_calls", "top_logprobs"),
        )
    },
    "max_tokens": ("max_output_tokens",),
    "reasoning_effort": ("reasoning", "effort"),
    "verbosity": ("text", "verbosity"),
    "response_format": ("text", "format"),
}
# What coding agents add to the conversation as turns of the user.
_ADDED = re.compile(r"\s*(<(environment_context|user_instructions|permissions)[ >]|# AGENTS\.md)")
_ENDS = ("response.completed", "response.incomplete")


def read_responses(raw: bytes, session: str | None, headers: Mapping[str, str]) -> ModelCall:
    """Raises CallerError. `session` is the header that names the unit, if sent."""
    body = _without_own_reasoning(read_object(raw))
    return call_of(body, len(raw), session, headers)


def call_of(
    body: Body, size: int, session: str | None, headers: Mapping[str, str] | None = None
) -> ModelCall:
    """Raises CallerError."""
    _check(body)
    items = items_of(body)
    texts, images, kinds = _read(body, items)
    known = headers or {}
    sent = next((known[name] for name in SESSION_HEADERS if known.get(name)), None)
    return ModelCall(
        body=body,
        model=read_text(body, "model", required=True) or "",
        text=with_topic(_user_texts(items))[:ROUTED_CHARACTERS],
        input_tokens=tokens_of(texts, images, body.get("tools")),
        output_limit=positive(body.get("max_output_tokens")),
        capabilities=frozenset(_capabilities(body, kinds)),
        unit_id=_unit(body, session, sent),
        listed=read_listed(body),
        metadata=read_metadata(body),
        streams=read_boolean(body, "stream"),
        wants_usage=True,
        choices=1,
        size=size,
        api_format=ApiFormat.RESPONSES,
        keeps_responses=True,
        stores=None if body.get("store") is None else read_boolean(body, "store"),
        previous=read_text(body, "previous_response_id"),
        parameters=parameters_in(body, PLACES),
        translation=Translation(partial(chat_body_of, body), obstacle_in(body)),
        awaits_tool=bool(items) and kind_of(items[-1]).endswith("_output"),
    )


def continued(
    call: ModelCall, items: Sequence[Body], session: str | None, headers: Mapping[str, str]
) -> ModelCall:
    """The call with the conversation that it continues as its input. Raises CallerError."""
    body = {name: value for name, value in call.body.items() if name != "previous_response_id"}
    body = _without_own_reasoning({**body, "input": [*items, *items_of(call.body)]})
    size = call.size + len(orjson.dumps(list(items)))
    return replace(call_of(body, size, session, headers), previous=call.previous)


def native_responses(
    call: ModelCall, upstream: Upstream, learned: Sequence[PolicyRule]
) -> NativeRequest:
    """The request for a provider that speaks responses."""
    request = native_request(call, upstream, PLACES, learned)
    limit, most = call.output_limit, upstream.output_limit
    if limit is not None and most is not None and limit > most:
        set_at(request.body, ("max_output_tokens",), most)
    return request


def error_event(error: GatewayError, request_id: str) -> bytes:
    """An error before the response has begun, as an event."""
    reported = {"code": error.code or error.type, "message": error.message, "param": error.param}
    return named_event("error", {"type": "error", **reported, "sequence_number": 0})


def _check(body: Mapping[str, Any]) -> None:
    given = body.get("input")
    if not isinstance(given, str | list) or not given:
        raise invalid("input", "must be a text or a list of items.", "invalid_type")
    if isinstance(given, list):
        if len(given) > MAX_ITEMS:
            raise invalid("input", f"holds more than {MAX_ITEMS:,} items.", "too_long")
        for index, item in enumerate(given):
            if not isinstance(item, dict):
                raise invalid(f"input[{index}]", "must be an object.", "invalid_type")
    instructions = body.get("instructions")
    if instructions is not None and not isinstance(instructions, str):
        raise invalid("instructions", "must be a text.", "invalid_type")
    if read_boolean(body, "background"):
        text = "'background' is not supported: wait for the answer, or stream it."
        raise CallerError(400, text, code="unsupported_parameter", param="background")


def _without_own_reasoning(body: Body) -> Body:
    """Reasoning that a translation passed on means nothing to a provider."""
    given = body.get("input")
    if not isinstance(given, list):
        return body
    kept = [each for each in given if not (isinstance(each, dict) and _is_own(each))]
    return body if len(kept) == len(given) else {**body, "input": kept}


def _is_own(item: Body) -> bool:
    return item.get("type") == "reasoning" and str(item.get("id")).startswith(OWN_REASONING)


def _read(body: Mapping[str, Any], items: list[Body]) -> tuple[list[str], int, set[str]]:
    """All texts, the number of images, and the kinds of parts."""
    texts = [body.get("instructions") or ""]
    kinds: set[str] = set()
    images = 0
    for item in items:
        named = (item.get(name) for name in ("arguments", "input", "encrypted_content"))
        texts += [found for found in named if isinstance(found, str)]
        for kind, text in _parts(item):
            texts.append(text)
            kinds.add(kind)
            images += kind == "input_image"
    return texts, images, kinds


def _parts(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Kind and text of each part of a message or an output."""
    for content in (item.get("content"), item.get("output")):
        if isinstance(content, str):
            yield "input_text", content
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict):
                text = part.get("text", part.get("refusal"))
                yield str(part.get("type")), text if isinstance(text, str) else ""


def _user_texts(items: list[Body]) -> Iterator[str]:
    """What the user wrote, turn by turn, newest first; at the end what clients added."""
    fallback = ""
    for item in reversed(items):
        if kind_of(item) == "message" and item.get("role") == "user":
            texts = [text for kind, text in _parts(item) if kind == "input_text" and text.strip()]
            if written := [text for text in texts if not _ADDED.match(text)]:
                yield "\n".join(written)
            fallback = fallback or "\n".join(texts)
    yield fallback


def _capabilities(body: Mapping[str, Any], kinds: set[str]) -> Iterator[str]:
    if "input_image" in kinds:
        yield "vision"
    if body.get("tools"):
        yield "tools"
    text = body.get("text")
    form = text.get("format") if isinstance(text, dict) else None
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "json_object":
        yield "json_mode"
    if kind == "json_schema":
        yield "structured_output"


def _unit(body: Mapping[str, Any], session: str | None, sent: str | None) -> str | None:
    """Without a header that names the session, the key of the prompt's cache stands for it."""
    for name in ("user", "prompt_cache_key"):
        value = body.get(name)
        if value is not None and not isinstance(value, str):
            raise invalid(name, "must be a string.", "invalid_type")
    return read_unit(
        body, session, sent or body.get("prompt_cache_key") or body.get("user") or None
    )


class ResponsesReader:
    """Reads the answers of a provider that speaks responses."""

    def holder(self, data: Body) -> Body:
        response = data.get("response")
        return response if isinstance(response, dict) else data

    def is_answer(self, data: Body) -> bool:
        return isinstance(data.get("output"), list)

    def delta(self, data: Body) -> Body | None:
        kind, delta = str(data.get("type")), data.get("delta")
        if kind == "response.output_item.added":
            item = data.get("item")
            if isinstance(item, dict) and str(item.get("type")).endswith("_call"):
                return _call(data, name=item.get("name") or item.get("type"))
        if not isinstance(delta, str):
            return None
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            return {"content": delta}
        if "reasoning" in kind:
            return {"reasoning_content": delta}
        return _call(data, arguments=delta) if "call" in kind else None

    def message(self, data: Body) -> Body:
        items = [item for item in data["output"] if isinstance(item, dict)]
        texts = [text for item in items if kind_of(item) == "message" for _, text in _parts(item)]
        calls = [
            {
                "function": {
                    "name": item.get("name") or kind_of(item),
                    "arguments": str(item.get("arguments") or item.get("input") or ""),
                }
            }
            for item in items
            if kind_of(item).endswith("_call")
        ]
        return {"content": "".join(texts), **({"tool_calls": calls} if calls else {})}

    def begins(self, data: Body) -> bool:
        kind = str(data.get("type"))
        return kind in _ENDS or kind.startswith(("response.output", "response.content"))

    def ends(self, data: Body) -> bool:
        return data.get("type") in _ENDS

    def named(self, data: Body, model: str) -> Body | None:
        response = data.get("response")
        if isinstance(response, dict) and "model" in response:
            return {**data, "response": {**response, "model": model}}
        return None


def _call(data: Body, **function: Any) -> Body:
    return {"tool_calls": [{"index": data.get("output_index", 0), "function": function}]}
