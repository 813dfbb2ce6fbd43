"""How many tokens a call used: as the provider says, or estimated where it does not."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from experiments.core.costs import BYTES_PER_TOKEN

MOST_TOKENS = 100_000_000


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


def usage_of(reported: Any, expected_input: int, written: Written) -> Usage:
    """The provider's numbers where they can be true, else our own, marked as estimated."""
    if isinstance(reported, dict):
        read = _count(reported.get("prompt_tokens"))
        wrote = _count(reported.get("completion_tokens"))
        if read and wrote is not None and (wrote or not written.bytes):
            cached = _detail(reported, "prompt_tokens_details", "cached_tokens")
            reasoning = _detail(reported, "completion_tokens_details", "reasoning_tokens")
            return Usage(read, wrote, None if cached is None else min(cached, read), reasoning)
    return Usage(expected_input, written.tokens, estimated=True)


def _detail(reported: Mapping[str, Any], group: str, name: str) -> int | None:
    details = reported.get(group)
    return _count(details.get(name)) if isinstance(details, dict) else None


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MOST_TOKENS else None
