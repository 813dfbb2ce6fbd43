"""Reads the parts of chat completions' messages and deltas, for writers of other protocols."""

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import uuid4

from experiments.gateway.protocols.model_call import Body


class ToolCallPiece(NamedTuple):
    """A piece of a call's arguments; `is_new` is its first."""

    id: str
    name: str
    arguments: str
    is_new: bool


class ToolCallSequence:
    """Puts the tool calls of a stream one after the other. The first goes on as it arrives; those
    that arrive next to it wait until the answer ends, whatever order their pieces come in."""

    def __init__(self) -> None:
        self._calls: dict[Any, dict[str, str]] = {}
        self._first: Any = None
        self._is_begun = False

    @property
    def has_any(self) -> bool:
        return bool(self._calls)

    def feed(self, calls: Any) -> Iterator[ToolCallPiece]:
        for number, call in enumerate(calls if isinstance(calls, list) else ()):
            if not isinstance(call, dict):
                continue
            index = call.get("index", number)
            function = call.get("function")
            function = function if isinstance(function, dict) else {}
            known = self._calls.setdefault(index, {"id": "", "name": "", "arguments": ""})
            if self._first is None:
                self._first = index
            known["id"] = known["id"] or str(call.get("id") or "")
            known["name"] += str(function.get("name") or "")
            known["arguments"] += str(function.get("arguments") or "")
            if index == self._first:
                yield from self._first_piece(known)

    def rest(self) -> Iterator[ToolCallPiece]:
        """The calls that waited, each as one piece."""
        for index, known in self._calls.items():
            if index != self._first or not self._is_begun:
                yield _piece(known, is_new=True)

    def _first_piece(self, known: dict[str, str]) -> Iterator[ToolCallPiece]:
        if not known["name"]:
            return
        if not self._is_begun or known["arguments"]:
            yield _piece(known, is_new=not self._is_begun)
        self._is_begun = True
        known["arguments"] = ""


def _piece(known: dict[str, str], *, is_new: bool) -> ToolCallPiece:
    known["id"] = known["id"] or f"call_{uuid4().hex[:24]}"
    return ToolCallPiece(known["id"], known["name"], known["arguments"], is_new)


def text_in(part: Body) -> str:
    """The text of a message or delta: a text, or the texts of its parts."""
    content = part.get("content")
    if isinstance(content, list):
        texts = (each.get("text") for each in content if isinstance(each, dict))
        return "".join(text for text in texts if isinstance(text, str))
    refusal = part.get("refusal")
    found = content if isinstance(content, str) and content else refusal
    return found if isinstance(found, str) else ""


def reasoning_in(part: Body) -> str:
    """Reasoning, under the names that providers use."""
    for name in ("reasoning_content", "reasoning"):
        if isinstance(found := part.get(name), str) and found:
            return found
    return ""
