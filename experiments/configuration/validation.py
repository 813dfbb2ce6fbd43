"""The values that a configuration file may contain, derived from the database columns."""

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from django.db import models

from experiments.models import (
    Arm,
    Domain,
    Experiment,
    ExperimentMetric,
    Flag,
    FlagEntry,
    LanguageModel,
    Metric,
    ModelPrice,
    ParameterRule,
    ProviderEndpoint,
    Router,
    RoutingSettings,
)

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


class Shape(NamedTuple):
    holds: Callable[[Any], bool]
    description: str


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_decimal(value: Any) -> bool:
    try:
        return (is_text(value) or is_number(value)) and Decimal(str(value)).is_finite()
    except InvalidOperation:
        return False


def is_day(value: Any) -> bool:
    try:
        return isinstance(value, date) or (is_text(value) and bool(date.fromisoformat(value)))
    except ValueError:
        return False


def is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_text, value))


TEXT = Shape(is_text, "a text")
TEXTS = Shape(is_texts, "a list of texts")
MAPPING = Shape(lambda value: isinstance(value, Mapping), "a mapping")
# By type of column, the more specific types first.
COLUMNS: tuple[tuple[type[Any], Shape], ...] = (
    (models.BooleanField, Shape(lambda value: isinstance(value, bool), "true or false")),
    (models.IntegerField, Shape(is_whole, "a whole number")),
    (models.FloatField, Shape(is_number, "a number")),
    (models.DecimalField, Shape(is_decimal, "a number")),
    (models.DateField, Shape(is_day, "a day such as 2026-11-22")),
    (models.ForeignKey, TEXT),  # by name
    (models.CharField, TEXT),
    (models.TextField, TEXT),
)
ROWS: dict[str, type[models.Model]] = {
    "settings": RoutingSettings,
    "endpoints": ProviderEndpoint,
    "parameter_rules": ParameterRule,
    "models": LanguageModel,
    "routers": Router,
    "domains": Domain,
    "flags": Flag,
    "experiments": Experiment,
    "prices": ModelPrice,
    "allow": FlagEntry,
    "deny": FlagEntry,
    "arms": Arm,
    "metrics": ExperimentMetric,
    "own_metrics": Metric,
    "policy": Domain,
}
LISTS = ("prices", "allow", "deny", "arms", "metrics")
# Keys of a document that differ from the name of their column.
COLUMN_OF = {"strong": "strong_model", "weak": "weak_model"}


def problems_of_values(kind: str, path: str, values: Mapping[str, Any]) -> Iterator[str]:
    """Every value of a row of `kind` that its column does not accept. All keys must be known."""
    for name, value in values.items():
        where = f"{path}.{name}"
        if name in LISTS:
            yield from _problems_of_list(name, where, value)
        elif name == "policy":
            if MAPPING.holds(value):
                yield from problems_of_values(name, where, value)
            else:
                yield f"{where}: must be {MAPPING.description}"
        else:
            yield from _problem(where, value, *_shape(kind, name))


def _problems_of_list(name: str, path: str, value: Any) -> Iterator[str]:
    if not isinstance(value, list) or not all(map(MAPPING.holds, value)):
        yield f"{path}: must be a list of mappings"
        return
    for index, item in enumerate(value):
        yield from problems_of_values(name, f"{path}[{index}]", item)


def _problem(path: str, value: Any, shape: Shape, nullable: bool) -> Iterator[str]:
    if value is None and nullable:
        return
    if not shape.holds(value):
        yield f"{path}: must be {shape.description}{' or null' if nullable else ''}"


def _shape(kind: str, name: str) -> tuple[Shape, bool]:
    """The shape that the column accepts, and whether it accepts null."""
    if name == "examples":
        return TEXTS, False
    column: Any = ROWS[kind]._meta.get_field(COLUMN_OF.get(name, name))
    if isinstance(column, models.JSONField):
        return (MAPPING if column.default is dict else TEXTS), column.null
    return next(shape for of, shape in COLUMNS if isinstance(column, of)), column.null
