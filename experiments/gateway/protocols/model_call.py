"""A call as its client sent it, in any protocol: what routing, budgets and providers need of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import orjson

from experiments.core.costs import estimate_tokens
from experiments.core.endpoints import ApiFormat, Upstream
from experiments.core.parameters import ParameterChange, PolicyRule, adapted, in_order
from experiments.core.text import UnstorableError, load_json
from experiments.gateway.errors import CallerError

MAX_LISTED = 10
MAX_METADATA, MAX_METADATA_KEY, MAX_METADATA_VALUE = 16, 64, 512
MAX_UNIT = 200
ROUTED_CHARACTERS = 100_000  # the same limit as in the REST API; the model gets the full text
IMAGE_TOKENS = 800  # about the tokens of an image of screen size
OWN_FIELDS = ("models", "metadata")  # read here, unknown to providers
USAGE = {"include_usage": True}
Body = dict[str, Any]


class Translation(NamedTuple):
    """A call of another protocol as a chat call. `obstacle` is the first thing in it that chat
    completions cannot carry; empty if they carry all of it."""

    body: Callable[[], Body]
    obstacle: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelCall:
    """`body` is the request, `size` its bytes; the other fields are read from it. `text` is the
    last user turn. `parameters` are the request's, under the names of chat completions. `headers`
    are those that a provider of the same protocol gets too.

    `keeps_responses` is whether the protocol has responses that are kept; `stores` is what the
    client says about it, `previous` the kept response that this call continues.

    `awaits_tool` is whether the call continues a tool loop: its last turn is a tool's result."""

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
    api_format: ApiFormat = ApiFormat.CHAT
    parameters: Mapping[str, Any] = field(default_factory=dict)
    translation: Translation | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    awaits_tool: bool = False
    keeps_responses: bool = False
    stores: bool | None = None
    previous: str | None = None

    @property
    def obstacle(self) -> str:
        """What only a provider of the same protocol can carry; empty if all can."""
        return self.translation.obstacle if self.translation else ""

    @cached_property
    def chat_body(self) -> Mapping[str, Any]:
        """The call as a chat call."""
        return self.translation.body() if self.translation else self.body

    def is_native_at(self, upstream: Upstream) -> bool:
        """Whether the model gets the request as it came instead of as a chat call."""
        return self.api_format is not ApiFormat.CHAT and upstream.speaks(self.api_format)


def chat_upstream_body(
    call: ModelCall, upstream: Upstream, learned: Sequence[PolicyRule] = ()
) -> tuple[Body, tuple[ParameterChange, ...]]:
    """The chat call for the provider, and the changes made to it: the request without our own
    fields, with the model's own name, usage requested in streams, and the parameters adapted to
    the model."""
    endpoint, dropped, chat = upstream.endpoint, set(OWN_FIELDS), call.chat_body
    if not endpoint.asks_usage:
        dropped.add("stream_options")
    if chat.get("store") is True:
        dropped.discard("metadata")
    body = {key: value for key, value in chat.items() if key not in dropped}
    body["model"] = upstream.name
    if call.streams and endpoint.asks_usage:
        options = body.get("stream_options")
        body["stream_options"] = {**options, **USAGE} if isinstance(options, dict) else USAGE
    return adapted(body, rules_for(upstream, learned), upstream.output_limit)


def rules_for(upstream: Upstream, learned: Sequence[PolicyRule]) -> Sequence[PolicyRule]:
    return upstream.rules if not learned else in_order((*upstream.rules, *learned))


def read_object(raw: bytes) -> Body:
    """Raises CallerError."""
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


def invalid(param: str, what: str, code: str = "invalid_value") -> CallerError:
    return CallerError(400, f"'{param}' {what}", code=code, param=param)


def read_text(body: Mapping[str, Any], name: str, *, required: bool = False) -> str | None:
    value = body.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value.strip():
        raise invalid(name, "must be a string that is not empty.", "invalid_type")
    return value


def read_boolean(body: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    raise invalid(name, "must be true or false.", "invalid_type")


def read_objects(body: Mapping[str, Any], name: str, most: int, what: str) -> list[Body]:
    """A list of objects with at least one entry."""
    found = body.get(name)
    if not isinstance(found, list) or not found:
        raise invalid(name, f"must be a list of at least one {what}.", "invalid_type")
    if len(found) > most:
        raise invalid(name, f"holds more than {most:,} {what}s.", "too_long")
    for index, each in enumerate(found):
        if not isinstance(each, dict):
            raise invalid(f"{name}[{index}]", "must be an object.", "invalid_type")
    return found


def read_unit(body: Mapping[str, Any], session: str | None, otherwise: str | None) -> str | None:
    """The header takes precedence: it names the conversation. `otherwise` is what the body
    names."""
    unit = session or otherwise or None
    if unit is not None and len(unit) > MAX_UNIT:
        name = "X-Session-Id" if session else "user"
        raise invalid(name, f"is longer than {MAX_UNIT} characters.", "too_long")
    return unit


def read_listed(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Our own field `models`: the fallbacks that the caller prefers."""
    models = body.get("models")
    if models is None:
        return ()
    if not isinstance(models, list) or not all(isinstance(name, str) for name in models):
        raise invalid("models", "must be a list of model names.", "invalid_type")
    if len(models) > MAX_LISTED:
        raise invalid("models", f"takes {MAX_LISTED} names.", "too_long")
    return tuple(models)


def read_metadata(body: Mapping[str, Any]) -> Mapping[str, str]:
    metadata = body.get("metadata")
    if metadata is None:
        return {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise invalid("metadata", "must map strings to strings.", "invalid_type")
    if (
        len(metadata) > MAX_METADATA
        or any(len(key) > MAX_METADATA_KEY for key in metadata)
        or any(len(value) > MAX_METADATA_VALUE for value in metadata.values())
    ):
        raise invalid(
            "metadata",
            f"takes {MAX_METADATA} entries of {MAX_METADATA_KEY} and {MAX_METADATA_VALUE} "
            "characters.",
            "too_long",
        )
    return metadata


def tokens_of(texts: Sequence[str], images: int, tools: Any) -> int:
    """The estimated input tokens of these parts."""
    tokens = sum(estimate_tokens(text) for text in texts if text) + images * IMAGE_TOKENS
    return max(1, tokens + (estimate_tokens(orjson.dumps(tools).decode()) if tools else 0))


def positive(value: Any) -> int | None:
    """A limit of tokens, if it is one."""
    is_limit = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if is_limit else None
