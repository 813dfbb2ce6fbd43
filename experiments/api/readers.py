"""Reads the fields of a JSON object, one call per field; a field that was not read is refused.

Written by hand because every decision pays for it: a serializer of ten fields costs more time
than the decision. A field that is null counts as left out. All raise InvalidRequestError."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from experiments.api.errors import InvalidRequestError

MAX_TOKENS = 100_000_000
MAX_NAME = 200


class Reader:
    def __init__(self, data: Any, path: str = "") -> None:
        if not isinstance(data, dict):
            raise InvalidRequestError("Send a JSON object.", path or None, "invalid_type")
        self._data = data
        self._path = path
        self._read: set[str] = set()

    def param(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def fail(self, name: str, message: str, code: str = "invalid_value") -> InvalidRequestError:
        return InvalidRequestError(f"'{self.param(name)}' {message}", self.param(name), code)

    def value(self, name: str) -> Any:
        self._read.add(name)
        return self._data.get(name)

    def has(self, name: str) -> bool:
        """Whether the field is present, even as null."""
        return name in self._data

    def close(self) -> None:
        """Refuses every field that was not read."""
        for name in self._data:
            if name not in self._read:
                known = ", ".join(sorted(self._read))
                raise self.fail(name, f"is unknown. Known fields: {known}.", "unknown_field")

    def text(self, name: str, longest: int = MAX_NAME, *, empty: bool = False) -> str | None:
        """`empty`: an empty text is a valid value, which clears the field."""
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.fail(name, "must be a string.", "invalid_type")
        if empty and not value:
            return value
        if not value.strip():
            raise self.fail(name, "is empty. Leave it out, or send a text.", "empty")
        if len(value) > longest:
            raise self.fail(name, f"is longer than {longest:,} characters. Shorten it.", "too_long")
        return value

    def choice(self, name: str, allowed: Iterable[str]) -> str | None:
        value = self.text(name)
        if value is not None and value not in allowed:
            raise self.fail(name, f"must be one of: {', '.join(allowed)}.")
        return value

    def boolean(self, name: str) -> bool | None:
        value = self.value(name)
        if value is not None and not isinstance(value, bool):
            raise self.fail(name, "must be true or false.", "invalid_type")
        return value

    def number(self, name: str, lowest: float = -math.inf, highest: float = math.inf) -> Any:
        """A finite number; true and false are not numbers."""
        value = self.value(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail(name, "must be a number.", "invalid_type")
        if not lowest <= value <= highest:
            raise self.fail(name, _limits(lowest, highest), "out_of_range")
        return value

    def amount(self, name: str, lowest: float, highest: float) -> Any:
        """A number, or a decimal string in the form of amounts in responses."""
        value = self.value(name)
        if not isinstance(value, str):
            return self.number(name, lowest, highest)
        try:
            amount = float(value)
        except ValueError:
            raise self.fail(name, "must be a number.", "invalid_type") from None
        if not lowest <= amount <= highest:
            raise self.fail(name, _limits(lowest, highest), "out_of_range")
        return amount

    def integer(self, name: str, lowest: int = 0, highest: int = MAX_TOKENS) -> int | None:
        value = self.number(name, lowest, highest)
        if value is None or isinstance(value, int):
            return value
        if not value.is_integer():
            raise self.fail(name, "must be a whole number.", "invalid_type")
        return int(value)

    def texts(self, name: str, most: int = 100) -> tuple[str, ...] | None:
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fail(name, "must be a list of strings.", "invalid_type")
        if len(value) > most or any(len(item) > MAX_NAME for item in value):
            raise self.fail(name, f"takes {most} strings of {MAX_NAME} characters.", "too_long")
        return tuple(value)

    def objects(self, name: str, most: int) -> list[Any] | None:
        """A list of 1 to `most` values."""
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self.fail(name, "must be a list.", "invalid_type")
        if not 1 <= len(value) <= most:
            raise self.fail(name, f"must hold 1 to {most:,} items.", "out_of_range")
        return value

    def time(self, name: str) -> datetime | None:
        """An ISO 8601 time; one without an offset is taken as UTC."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return parse_time(value)
        except (ValueError, OverflowError):
            raise self.fail(name, "must be a time such as 2026-11-22T21:04:00Z.") from None


def _limits(lowest: float, highest: float) -> str:
    if highest == math.inf:
        return "must be a finite number."
    return f"must lie between {lowest:,.10g} and {highest:,.10g}."


def parse_time(value: str) -> datetime:
    """In UTC. Raises ValueError, also for years that no decision can have, or OverflowError."""
    time = datetime.fromisoformat(value)
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    if not 1970 <= time.year <= 9000:
        raise ValueError(value)
    return time
