"""The format of stream chunks, and the fields that the gateway uses."""

from typing import Any

from experiments.gateway.errors import AttemptStatus, UpstreamError

Data = dict[str, Any]

FINISHED: Data = {}
"""The object a provider client yields when the provider has ended its stream properly."""


def with_choices(data: Data) -> Data:
    """The chunk with a list of choices, all of them objects. Providers also send chunks whose
    choices are null, missing or empty: pings and usage. Raises UpstreamError."""
    choices = data.get("choices")
    if choices is None:
        return {**data, "choices": []}
    if not isinstance(choices, list):
        raise UpstreamError(AttemptStatus.MALFORMED, "The provider's choices are not a list.")
    if all(isinstance(choice, dict) for choice in choices):
        return data
    return {**data, "choices": [choice for choice in choices if isinstance(choice, dict)]}


def as_chunk(answer: Data) -> Data:
    """A complete response as one chunk, for providers that do not stream."""
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
