"""The JSON schema of a configuration file, and its reference page. Both come from the shapes, and
from the help texts, choices and defaults of the columns."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.db import models

from experiments.configuration.document import SECTIONS
from experiments.configuration.rows import KeyShape, keys_of
from experiments.configuration.shapes import (
    Configuration,
    Document,
    Exported,
    MustBe,
    OrNull,
    Related,
    SettingsDocument,
)
from experiments.models import RoutingSettings
from experiments.shapes.json_schema import json_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PAGE = """# The configuration file

What `export_config` writes and `apply_config` reads, section by section. This page is written by
`manage.py config_schema --markdown`. `manage.py config_schema` writes the same as a JSON schema,
with which editors check and complete the YAML while you type:

```
.venv/bin/python manage.py export_config --output switchyard.yaml
.venv/bin/python manage.py config_schema --output switchyard.schema.json
sed -i '1i # yaml-language-server: $schema=switchyard.schema.json' switchyard.yaml
```

{rules}

A key with the mark * and the section `rollouts` are exported for information: a file never changes
them. [Configuring](configuring.md) has recipes.
"""


class Line(NamedTuple):
    """One key of a section, below the row's name: `prices[].source`."""

    path: str
    shape: Any
    key: KeyShape
    column: Any


def file_schema() -> Document:
    """The JSON schema of a file."""
    schema = json_schema(Configuration, "#/$defs/{model}")
    for name, _, lines in _sections():
        for line in lines:
            place = schema["$defs"][line.shape.__name__]["properties"][line.key.key]
            if description := _help(line.column):
                place["description"] = description
            if _choices(line.column) and name != "rollouts":
                place["enum"] = _choices(line.column)
    return {"$schema": DIALECT, "title": "Switchyard configuration", **schema}


def reference_page() -> str:
    """The reference page in Markdown."""
    parts = [PAGE.format(rules=_sentence(Configuration))]
    for name, shape, lines in _sections():
        rows = [
            f"| `{line.path}`{_mark(line)} | {_holds(line)} | {_meaning(line)} |" for line in lines
        ]
        table = "\n".join(["| key | value | meaning |", "|---|---|---|", *rows])
        parts.append(f"## `{name}`\n\n{_sentence(shape)}\n\n{table}\n")
    return "\n".join(parts)


def _sections() -> Iterator[tuple[str, Any, list[Line]]]:
    yield "settings", SettingsDocument, list(_lines(SettingsDocument, RoutingSettings))
    for name, section in SECTIONS.items():
        if name != "rollouts":
            yield name, section.shape, list(_lines(section.shape, section.model))


def _lines(shape: Any, model: type[models.Model], path: str = "") -> Iterator[Line]:
    columns = {column.name: column for column in model._meta.get_fields()}
    for each in keys_of(shape):
        column: Any = columns.get(each.column)
        related = each.mark(Related)
        if related:
            column = columns[related.accessor]
            yield Line(f"{path}{each.key}", shape, each, column)
            if each.inner:
                yield from _lines(each.inner, column.related_model, f"{path}{each.key}[].")
        elif each.inner and column is None:
            yield from _lines(each.inner, model, f"{path}{each.key}.")
        else:
            yield Line(f"{path}{each.key}", shape, each, column)


def _sentence(shape: Any) -> str:
    return " ".join(str(shape.__doc__).split())


def _help(column: Any) -> str:
    if not isinstance(column, models.Field):  # related rows
        return "" if column is None else _sentence(column.related_model)
    return str(column.help_text) or str(column.verbose_name).capitalize() + "."


def _choices(column: Any) -> list[str]:
    return [str(value) for value, _ in getattr(column, "flatchoices", ())]


def _mark(line: Line) -> str:
    return " *" if line.key.mark(Exported) else ""


def _holds(line: Line) -> str:
    known = line.key.mark(MustBe)
    null = " or null" if line.key.mark(OrNull) else ""
    if choices := _choices(line.column):
        return " ".join(f"`{choice}`" for choice in choices)
    return f"{known.description}{null}" if known else "a list of mappings"


def _meaning(line: Line) -> str:
    default = getattr(line.column, "default", models.NOT_PROVIDED)
    shown = default is not models.NOT_PROVIDED and not callable(default) and default != ""
    value = str(default).lower() if isinstance(default, bool) else str(default)
    text = f"{_help(line.column)} Default: `{value}`." if shown else _help(line.column)
    return text.replace("|", "\\|")
