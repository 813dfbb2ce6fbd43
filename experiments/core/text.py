"""What a database cannot store: the NUL character, half a surrogate pair, a number without a value.

Every entry point checks a caller's input with `find_unstorable`. `storable` replaces such
characters in text from a provider, a router or a library.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

REPLACEMENT = "\ufffd"
CONTROL_CHARACTERS = r"[\x00-\x1f\x7f-\x9f]"
_HALF = re.compile("[\ud800-\udfff]")
ESCAPED_NUL = b"\\u0000"
# OpenAI's own value for the logarithm of a tiny probability. Other non-numbers become None.
_CONSTANTS = {"-Infinity": -9999.0}
_LARGEST = 2**63


class Unstorable(NamedTuple):
    """What cannot be stored, and its path (`metadata.a`, `items[2].text`; empty: the value)."""

    field: str
    what: str
    code: str

    def __str__(self) -> str:
        return f"holds {self.what}. Remove it."


class NestedTooDeeplyError(orjson.JSONDecodeError):
    """JSON that can be read but not written."""

    def __init__(self) -> None:
        super().__init__(f"it is nested deeper than {MAX_DEPTH} levels", "", 0)

    def __str__(self) -> str:
        return self.msg


class UnstorableError(ValueError):
    """Valid JSON with a value that a database cannot store."""

    def __init__(self, found: Unstorable) -> None:
        self.found = found
        super().__init__(f"'{found.field}' {found}" if found.field else f"It {found}")


def is_storable(text: str) -> bool:
    return "\x00" not in text and (text.isascii() or _HALF.search(text) is None)


def find_unstorable(value: Any, *, numbers: bool = False) -> Unstorable | None:
    """The first unstorable value in text or nested JSON, including names. With `numbers`, also NaN
    and infinity."""
    for where, leaf in _leaves(value):
        if isinstance(leaf, float):
            if numbers and not math.isfinite(leaf):
                return Unstorable(where, f"{leaf}, which is not a number", "not_finite")
        elif not is_storable(leaf):
            return _problem(where, leaf)
    return None


def _problem(where: str, text: str) -> Unstorable:
    if "\x00" in text:
        return Unstorable(where, "a NUL character (U+0000)", "nul_character")
    half = _HALF.search(text)
    point = f" (U+{ord(half.group()):04X})" if half else ""
    return Unstorable(where, f"half a surrogate pair{point}", "malformed_json")


def _leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """Texts and floats in order. Does not recurse, since bodies may be deeply nested."""
    rest = [("", value)]
    while rest:
        where, one = rest.pop()
        if isinstance(one, str | float):
            yield where, one
        elif isinstance(one, Mapping):
            for name in one:
                if isinstance(name, str) and not is_storable(name):
                    yield _below(where, name), name
            rest.extend((_below(where, name), one[name]) for name in reversed(one))
        elif isinstance(one, list | tuple):
            rest.extend((f"{where}[{index}]", one[index]) for index in reversed(range(len(one))))


def _below(path: str, name: Any) -> str:
    shown = storable(str(name))
    return f"{path}.{shown}" if path else shown


def storable(text: str) -> str:
    """The text with such characters replaced. Adjacent halves of a surrogate pair are joined."""
    if is_storable(text):
        return text
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\x00", REPLACEMENT)


def storable_value(value: Any) -> Any:
    """The same for nested JSON. NaN and infinity become None."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {
            storable(name) if isinstance(name, str) else name: storable_value(one)
            for name, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [storable_value(one) for one in value]
    return value


def load_json(raw: bytes) -> Any:
    """Reads JSON from a caller. Raises UnstorableError or orjson.JSONDecodeError, of which
    NestedTooDeeplyError is a subclass.

    orjson refuses half a surrogate pair without its position, so the standard decoder finds it.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if found := _find_half(raw):
            raise UnstorableError(found) from None
        if "depth limit" in str(error):
            raise NestedTooDeeplyError from None
        raise
    if is_too_deep(value, raw):
        raise NestedTooDeeplyError
    if ESCAPED_NUL in raw and (found := find_unstorable(value)):
        raise UnstorableError(found)
    return value


def load_provider_json(raw: bytes, *, halves: bool = False) -> Any:
    """Reads JSON from a provider and replaces what a database cannot store, so that a caller can
    send it back. Raises ValueError.

    With `halves`, keeps half a surrogate pair: the next chunk may have the other half.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        value = _lenient(raw)
    if is_too_deep(value, raw):
        raise NestedTooDeeplyError
    return storable_value(value) if not halves and may_be_unstorable(raw) else value


def may_be_unstorable(raw: bytes) -> bool:
    """Whether the JSON can contain what a database cannot store: only with escapes."""
    return ESCAPED_NUL in raw or b"\\ud" in raw or b"\\uD" in raw


def _lenient(raw: bytes) -> Any:
    """Accepts half surrogate pairs, NaN and infinity, which orjson refuses and official clients
    accept. Raises ValueError."""
    try:
        text = raw.decode(errors="replace")
        return json.loads(text, parse_constant=_CONSTANTS.get, parse_int=_whole)
    except RecursionError:
        raise NestedTooDeeplyError from None


def _whole(digits: str) -> int | float:
    """Like orjson: integers beyond 64 bits become floats."""
    number = int(digits) if len(digits) < 20 else float(digits)
    return number if isinstance(number, float) or abs(number) < _LARGEST else float(number)


def _find_half(raw: bytes) -> Unstorable | None:
    try:
        text = raw.decode(errors="surrogatepass")
        return find_unstorable(json.loads(text, parse_constant=_refuse_constant))
    except (ValueError, RecursionError):
        return None


def _refuse_constant(name: str) -> Any:
    """Refuses NaN and Infinity: they are not JSON."""
    raise ValueError(name)


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
