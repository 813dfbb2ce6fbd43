"""Calls of providers in the client's own protocol: the request as it came, the answer as it came.

Nothing of the request changes but the model's name and the parameters that a rule names; signed
and encrypted reasoning passes byte for byte. The answer is only read: for its usage, its text and
its end."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import orjson

from experiments.core.endpoints import ANTHROPIC, ApiFormat, Endpoint, Upstream
from experiments.core.endpoints import Protocol as Spoken
from experiments.core.parameters import Action, ParameterChange, PolicyRule, adapted
from experiments.gateway.protocols.model_call import Body, ModelCall, rules_for

ANTHROPIC_ADDRESS = "https://api.anthropic.com"
ANTHROPIC_VERSION = "2023-06-01"
Path = tuple[str, ...]


class NativeEvent(NamedTuple):
    """One event of a stream as it came; `data` is what it holds."""

    name: bytes
    raw: bytes
    data: Body

    @property
    def kind(self) -> str:
        return str(self.data.get("type", ""))

    def as_bytes(self) -> bytes:
        name = b"event: " + self.name + b"\n" if self.name else b""
        return name + b"data: " + self.raw + b"\n\n"

    def renewed(self, data: Body) -> "NativeEvent":
        return self._replace(raw=orjson.dumps(data), data=data)


class Reader(Protocol):
    """Reads the answers of one protocol. Deltas have the form of chat completions."""

    def holder(self, data: Body) -> Body:
        """What holds the usage of a whole answer or of an event."""

    def is_answer(self, data: Body) -> bool:
        """Whether this is a whole answer."""

    def delta(self, data: Body) -> Body | None:
        """What an event adds to the answer's text, reasoning and tool calls."""

    def message(self, data: Body) -> Body:
        """The same of a whole answer."""

    def begins(self, data: Body) -> bool:
        """Whether the answer has begun: from here on, no other model may answer."""

    def ends(self, data: Body) -> bool:
        """Whether this event is the last."""

    def named(self, data: Body, model: str) -> Body | None:
        """The event with the registered name of the model; None if it has no name."""


class Address(NamedTuple):
    """Where and how a request is sent."""

    url: str
    headers: Mapping[str, str]
    bearer: bool


class NativeRequest(NamedTuple):
    """A request for a provider, the differences to the client's, and its parameters as sent."""

    body: Body
    changes: tuple[ParameterChange, ...]
    parameters: Mapping[str, Any]


def native_request(
    call: ModelCall,
    upstream: Upstream,
    places: Mapping[str, Path],
    learned: Sequence[PolicyRule] = (),
) -> NativeRequest:
    """`places` maps the parameters' names in chat completions to their places in the body."""
    rules = [r for r in rules_for(upstream, learned) if r.action is not Action.RENAME]
    sent, changes = adapted(call.parameters, rules, upstream.output_limit)
    body = {name: value for name, value in call.body.items() if name != "models"}
    body["model"] = native_name(upstream)
    for name, before in call.parameters.items():
        if sent.get(name) is not before:
            set_at(body, places[name], sent.get(name))
    return NativeRequest(body, changes, sent)


def parameters_in(body: Mapping[str, Any], places: Mapping[str, Path]) -> dict[str, Any]:
    """The parameters of a request under the names of chat completions."""
    found = {}
    for name, path in places.items():
        value: Any = body
        for step in path:
            value = value.get(step) if isinstance(value, Mapping) else None
        if value is not None:
            found[name] = value
    return found


def native_name(upstream: Upstream) -> str:
    """LiteLLM's names begin with the provider's."""
    is_prefixed = upstream.endpoint.protocol is Spoken.LITELLM
    return upstream.name.removeprefix(ANTHROPIC) if is_prefixed else upstream.name


def address(
    endpoint: Endpoint, api_format: ApiFormat, headers: Mapping[str, str], below: str = ""
) -> Address:
    base = endpoint.base_url.rstrip("/")
    if api_format is not ApiFormat.MESSAGES:
        return Address(f"{base}/{api_format}{below}", headers, bearer=True)
    base = base or ANTHROPIC_ADDRESS
    base = base if base.endswith("/v1") else f"{base}/v1"
    own = {"anthropic-version": ANTHROPIC_VERSION, **headers}
    return Address(f"{base}/messages{below}", own, bearer=False)


def set_at(body: Body, path: Path, value: Any) -> None:
    """Sets or, for None, removes what is at the path. Objects on the way are copied."""
    for step in path[:-1]:
        body[step] = dict(body[step])
        body = body[step]
    if value is None:
        body.pop(path[-1], None)
    else:
        body[path[-1]] = value


class NativeFormat(NamedTuple):
    """How requests of one protocol are sent on and their answers read."""

    reader: Reader
    request: Callable[[ModelCall, Upstream, Sequence[PolicyRule]], NativeRequest]


class NativeClient(Protocol):
    """Both methods raise UpstreamError."""

    async def complete_native(
        self, endpoint: Endpoint, key: str | None, body: Body, to: Address
    ) -> Body: ...

    def stream_native(
        self, endpoint: Endpoint, key: str | None, body: Body, to: Address
    ) -> AsyncIterator[NativeEvent]: ...
