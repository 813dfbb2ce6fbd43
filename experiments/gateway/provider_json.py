"""JSON for callers, and text that providers split between the chunks of a stream."""

from typing import Any

import orjson

from experiments.core.text import may_be_unstorable, storable, storable_value


def dumps(data: Any) -> bytes:
    try:
        return orjson.dumps(data)
    except orjson.JSONEncodeError:
        return orjson.dumps(storable_value(data))


class TextJoiner:
    """Joins characters that are split between the chunks of one stream.

    The first half is held until the second arrives: callers get whole characters."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[Any, ...], str] = {}

    def concerns(self, raw: bytes) -> bool:
        """Whether a chunk read from `raw` can contain half a character, or complete one."""
        return bool(self._waiting) or may_be_unstorable(raw)

    def joined(self, chunk: dict[str, Any]) -> dict[str, Any]:
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            return chunk
        joined = [
            {**choice, "delta": self._join(choice.get("delta"), (choice.get("index"),))}
            if isinstance(choice, dict) and isinstance(choice.get("delta"), dict)
            else choice
            for choice in choices
        ]
        return {**chunk, "choices": joined}

    def _join(self, value: Any, path: tuple[Any, ...]) -> Any:
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, dict):
            return {name: self._join(each, (*path, name)) for name, each in value.items()}
        if isinstance(value, list):
            return [self._join(each, (*path, _place(each, n))) for n, each in enumerate(value)]
        return value

    def _text(self, text: str, path: tuple[Any, ...]) -> str:
        if text:
            text = self._waiting.pop(path, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._waiting[path] = text[-1]
            text = text[:-1]
        return storable(text)


def _place(value: Any, number: int) -> Any:
    """Tool calls have their own index; other lists only have an order."""
    index = value.get("index") if isinstance(value, dict) else None
    return index if isinstance(index, int) else number
