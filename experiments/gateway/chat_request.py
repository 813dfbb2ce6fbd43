"""A chat call as the caller sent it: the fields read here, and the body sent to providers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from experiments.core.costs import BYTES_PER_TOKEN, estimate_tokens
from experiments.core.endpoints import Upstream
from experiments.core.parameters import Change, ParameterRule, adapted, in_order
from experiments.core.text import UnstorableError, load_json
from experiments.gateway.errors import CallerError

MAX_MESSAGES = 5_000
MAX_LISTED = 10
MAX_METADATA, MAX_METADATA_KEY, MAX_METADATA_VALUE = 16, 64, 512
MAX_UNIT = 200
MOST_CHOICES = 128
ROUTED_CHARACTERS = 100_000  # the same limit as in the REST API; the model gets the full text
IMAGE_TOKENS = 800  # about the tokens of an image of screen size
OWN_FIELDS = ("models", "metadata")  # read here, unknown to providers
USAGE = {"include_usage": True}


class Chat(NamedTuple):
    """`body` is the request, `size` its bytes; the other fields are read from it. `text` is the
    last user turn."""

    body: Mapping[str, Any]
    model: str
    text: str
    input_tokens: int
    output_limit: int | None
    capabilities: frozenset[str]
    unit_id: str | None
    listed: tuple[str, ...]
    metadata: Mapping[str, str]
    streams: bool
    wants_usage: bool
    choices: int
    size: int


def read_chat(raw: bytes, session: str | None) -> Chat:
    """Raises CallerError. `session` is the header that names the unit, if sent."""
    body = _object(raw)
    messages = _messages(body)
    parts = list(_parts(messages))
    kinds = {kind for _, kind, _ in parts}
    options = body.get("stream_options")
    return Chat(
        body=body,
        model=_text(body, "model", required=True) or "",
        text=_last_user_text(messages)[:ROUTED_CHARACTERS],
        input_tokens=_input_tokens(body, parts),
        output_limit=_output_limit(body),
        capabilities=frozenset(_capabilities(body, kinds)),
        unit_id=_unit(body, session),
        listed=_listed(body),
        metadata=_metadata(body),
        streams=_boolean(body, "stream"),
        wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
        choices=_choices(body),
        size=len(raw),
    )


def upstream_body(
    chat: Chat, upstream: Upstream, learned: Sequence[ParameterRule] = ()
) -> tuple[dict[str, Any], tuple[Change, ...]]:
    """The body for the provider, and the changes made to it: the request without our own fields,
    with the model's own name, usage requested in streams, and the parameters adapted to the
    model."""
    endpoint, dropped = upstream.endpoint, set(OWN_FIELDS)
    if not endpoint.asks_usage:
        dropped.add("stream_options")
    if chat.body.get("store") is True:
        dropped.discard("metadata")
    body = {key: value for key, value in chat.body.items() if key not in dropped}
    body["model"] = upstream.name
    if chat.streams and endpoint.asks_usage:
        options = body.get("stream_options")
        body["stream_options"] = {**options, **USAGE} if isinstance(options, dict) else USAGE
    rules = upstream.rules if not learned else in_order((*upstream.rules, *learned))
    return adapted(body, rules, upstream.output_limit)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = load_json(raw)
    except UnstorableError as error:
        found = error.found
        text, param = str(error), found.field or None
        raise CallerError(400, text, code=found.code, param=param) from None
    except orjson.JSONDecodeError as error:
        raise CallerError(400, f"The body is not JSON: {error}.", code="malformed_json") from None
    if not isinstance(body, dict):
        raise CallerError(400, "Send a JSON object.", code="invalid_type")
    return body


def _fail(param: str, what: str, code: str = "invalid_value") -> CallerError:
    return CallerError(400, f"'{param}' {what}", code=code, param=param)


def _text(body: Mapping[str, Any], name: str, *, required: bool = False) -> str | None:
    value = body.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value.strip():
        raise _fail(name, "must be a string that is not empty.", "invalid_type")
    return value


def _boolean(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise _fail(name, "must be true or false.", "invalid_type")


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _fail("messages", "must be a list of at least one message.", "invalid_type")
    if len(messages) > MAX_MESSAGES:
        raise _fail("messages", f"holds more than {MAX_MESSAGES:,} messages.", "too_long")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _fail(f"messages[{index}]", "must be an object with a role.", "invalid_type")
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


def _last_user_text(messages: list[dict[str, Any]]) -> str:
    """The text parts of the last user message; empty if it contains only images."""
    for message in reversed(messages):
        if message["role"] == "user":
            return "\n".join(text for _, kind, text in _parts([message]) if kind == "text")
    return ""


def _input_tokens(body: Mapping[str, Any], parts: list[tuple[str, str, str]]) -> int:
    tokens = sum(estimate_tokens(text) for _, _, text in parts if text)
    tokens += sum(IMAGE_TOKENS for _, kind, _ in parts if kind == "image_url")
    if tools := body.get("tools"):
        tokens += len(orjson.dumps(tools)) // BYTES_PER_TOKEN
    return max(1, tokens)


def _output_limit(body: Mapping[str, Any]) -> int | None:
    """The most tokens the model may write, over all requested choices."""
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value * _choices(body)
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
        raise _fail("user", "must be a string.", "invalid_type")
    unit = session or user or None
    if unit is not None and len(unit) > MAX_UNIT:
        name = "X-Session-Id" if session else "user"
        raise _fail(name, f"is longer than {MAX_UNIT} characters.", "too_long")
    return unit


def _listed(body: Mapping[str, Any]) -> tuple[str, ...]:
    models = body.get("models")
    if models is None:
        return ()
    if not isinstance(models, list) or not all(isinstance(name, str) for name in models):
        raise _fail("models", "must be a list of model names.", "invalid_type")
    if len(models) > MAX_LISTED:
        raise _fail("models", f"takes {MAX_LISTED} names.", "too_long")
    return tuple(models)


def _metadata(body: Mapping[str, Any]) -> Mapping[str, str]:
    metadata = body.get("metadata")
    if metadata is None:
        return {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _fail("metadata", "must map strings to strings.", "invalid_type")
    if (
        len(metadata) > MAX_METADATA
        or any(len(key) > MAX_METADATA_KEY for key in metadata)
        or any(len(value) > MAX_METADATA_VALUE for value in metadata.values())
    ):
        raise _fail(
            "metadata",
            f"takes {MAX_METADATA} entries of {MAX_METADATA_KEY} and {MAX_METADATA_VALUE} "
            "characters.",
            "too_long",
        )
    return metadata
