"""How deeply JSON may be nested: what is let in must also be possible to write."""

from typing import Any

MAX_DEPTH = 254
"""What the JSON encoder writes."""


def is_too_deep(data: Any, raw: bytes, most: int = MAX_DEPTH) -> bool:
    """Whether lists and objects of `data`, read from `raw`, are nested deeper than `most` levels.

    Takes no recursion, and nearly no time where `raw` has no more brackets than levels.
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
