"""How many tokens a call used: as the provider says, or estimated where it does not."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from experiments.core.costs import BYTES_PER_TOKEN


class Usage(NamedTuple):
    """Tokens of one call. `cached` are among the input's, `reasoning` among the output's."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    estimated: bool = False

    @property
    def total(self) -> int:
        return self.input_tokens + self.output_tokens


class Written:
    """Counts what a model writes, for when its provider does not."""

    def __init__(self) -> None:
        self.bytes = 0

    def add(self, part: Any) -> None:
        """A `message` or a `delta`."""
        if not isinstance(part, dict):
            return
        for name in ("content", "reasoning_content", "refusal"):
            self._text(part.get(name))
        for call in part.get("tool_calls") or ():
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict):
                self._text(function.get("name"))
                self._text(function.get("arguments"))

    def _text(self, text: Any) -> None:
        if isinstance(text, str):
            self.bytes += len(text.encode(errors="replace"))

    @property
    def tokens(self) -> int:
        return -(-self.bytes // BYTES_PER_TOKEN)


class Expected(NamedTuple):
    """What a call can have used: tokens read as estimated, and the most of one answer."""

    input_tokens: int
    most: int
    answers: int = 1


def usage_of(reported: Any, expected: Expected, written: Written) -> Usage:
    """The provider's numbers where they can be true, else our own, marked as estimated."""
    if isinstance(reported, dict):
        read = _count(reported.get("prompt_tokens"), expected.most)
        wrote = _count(reported.get("completion_tokens"), expected.most * expected.answers)
        if read and wrote is not None and (wrote or not written.bytes):
            return Usage(
                read,
                wrote,
                _detail(reported, "prompt_tokens_details", "cached_tokens", read),
                _detail(reported, "completion_tokens_details", "reasoning_tokens", wrote),
            )
    return Usage(expected.input_tokens, written.tokens, estimated=True)


def _detail(reported: Mapping[str, Any], group: str, name: str, most: int) -> int | None:
    """Part of a count; more than all of it cannot be true and counts as all of it."""
    details = reported.get(group)
    value = details.get(name) if isinstance(details, dict) else None
    known = _count(value, max(most, value) if isinstance(value, int) else most)
    return None if known is None else min(known, most)


def _count(value: Any, most: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= most else None
