"""How deeply JSON may be nested: no deeper than the encoder can write."""

from typing import Any

MAX_DEPTH = 254
"""The deepest nesting that the JSON encoder writes."""


def is_too_deep(data: Any, raw: bytes, most: int = MAX_DEPTH) -> bool:
    """Whether lists and objects of `data`, read from `raw`, are nested deeper than `most` levels.

    Does not recurse, and returns at once if `raw` has no more brackets than `most`.
    """
    if raw.count(b"[") + raw.count(b"{") <= most:
        return False
    level, depth = [data], 0
    while level := [each for each in level if isinstance(each, list | dict)]:
        depth += 1
        if depth > most:
            return True
        level = [
            inner for each in level for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return False
