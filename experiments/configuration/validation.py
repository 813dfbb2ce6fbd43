"""Checks a configuration file against the shapes. Every problem has the path of its value."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from experiments.configuration.shapes import Configuration

# A document has about seven levels, and a router's arguments some more.
MAX_NESTING = 50
MAX_VALUES = 1_000_000


def nesting_problem(document: Any) -> str | None:
    """Why the document is too large to check, or None. Does not recurse.

    Aliases of YAML (`*name`) can contain themselves, or multiply: ten levels of ten aliases are
    ten thousand million values.
    """
    rest, values = [(document, 1)], 0
    while rest:
        value, depth = rest.pop()
        values += 1
        if depth > MAX_NESTING:
            return f"The file is nested deeper than {MAX_NESTING} levels, or contains itself."
        if values + len(rest) > MAX_VALUES:
            return f"The file holds more than {MAX_VALUES:,} values."
        inside = value.values() if isinstance(value, dict) else value
        if isinstance(value, dict | list):
            rest.extend((each, depth + 1) for each in inside)
    return None


def problems_of_document(document: Any) -> list[str]:
    """Unknown keys, and values of the wrong type."""
    try:
        configuration_file().validate_python(document)
    except ValidationError as error:
        return sorted(map(_problem, error.errors(include_url=False, include_context=False)))
    return []


@cache
def configuration_file() -> TypeAdapter[Configuration]:
    return TypeAdapter(Configuration)


def _problem(error: Any) -> str:
    kind, where = error["type"], error["loc"]
    if kind in ("extra_forbidden", "invalid_key"):
        *parents, key = where
        return f"{_path(parents)}: unknown key '{key}'" if parents else f"unknown section '{key}'"
    if kind == "missing":
        return f"{_path(where)}: is missing"
    if kind == "list_type":
        return f"{_path(where)}: must be a list of mappings"
    if kind == "dict_type":
        is_section = len(where) == 1 and where != ("settings",)
        return f"{_path(where)}: must be a mapping{' of names' if is_section else ''}"
    return f"{_path(where)}: {error['msg']}"


def _path(steps: Any) -> str:
    return "".join(_steps(steps))


def _steps(steps: Any) -> Iterator[str]:
    for place, step in enumerate(steps):
        in_list = isinstance(step, int) and place > 1  # place 1: the name of a row
        yield f"[{step}]" if in_list else f".{step}" if place else str(step)
