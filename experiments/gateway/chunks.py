"""What the chunks of a stream may look like, and what of them matters."""

from typing import Any

from experiments.gateway.errors import Status, UpstreamError

Data = dict[str, Any]

FINISHED: Data = {}
"""What a provider client yields, this very object, when the provider says that it is done."""


def with_choices(data: Data) -> Data:
    """The chunk with a list of choices, all of them objects. Providers send chunks whose choices
    are null, missing or empty: pings, and those that bring the usage. Raises UpstreamError."""
    choices = data.get("choices")
    if choices is None:
        return {**data, "choices": []}
    if not isinstance(choices, list):
        raise UpstreamError(Status.MALFORMED, "The provider's choices are not a list.")
    if all(isinstance(choice, dict) for choice in choices):
        return data
    return {**data, "choices": [choice for choice in choices if isinstance(choice, dict)]}


def as_chunk(answer: Data) -> Data:
    """A whole answer in one chunk: what a provider sends that does not stream."""
    return {
        **answer,
        "object": "chat.completion.chunk",
        "choices": [_as_delta(choice) for choice in with_choices(answer)["choices"]],
    }


def _as_delta(choice: Data) -> Data:
    delta = choice.get("message")
    if isinstance(delta, dict) and isinstance(calls := delta.get("tool_calls"), list):
        numbered = [
            {"index": number, **call} if isinstance(call, dict) else call
            for number, call in enumerate(calls)
        ]
        delta = {**delta, "tool_calls": numbered}
    rest = {name: value for name, value in choice.items() if name != "message"}
    return {**rest, "delta": delta if isinstance(delta, dict) else choice.get("delta")}
