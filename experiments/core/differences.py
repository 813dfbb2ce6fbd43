"""What changed between two documents, as readable lines."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

MISSING = object()


class Change(NamedTuple):
    """One value that differs. `before` or `after` is None if it is missing there."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.path}: {_short(self.before)} → {_short(self.after)}"


def difference(before: Any, after: Any, path: str = "") -> list[Change]:
    """Every leaf that differs, in the order of its path. Lists count as leaves."""
    return list(_changes(before, after, path))


def _changes(before: Any, after: Any, path: str) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            inner = f"{path}.{key}" if path else str(key)
            yield from _changes(before.get(key, MISSING), after.get(key, MISSING), inner)
    elif before != after:
        yield Change(path, _present(before), _present(after))


def _present(value: Any) -> Any:
    return None if value is MISSING else value


def _short(value: Any, limit: int = 120) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
