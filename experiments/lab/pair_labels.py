"""Labels of pairs from a CSV or JSON lines file, for teams that label elsewhere."""

import csv
import json
from collections.abc import Iterator
from math import isnan
from pathlib import Path
from typing import Any

from experiments.analysis.paired import PairLabel

COLUMNS = ("unit", "difference", "odds", "asked", "judge", "skipped")
REQUIRED = ("unit", "difference")
_TRUE, _FALSE = ("true", "1", "yes"), ("", "false", "0", "no")


class PairLabelsError(ValueError):
    """The file, or a line of it, holds no labels; the message says where and what is expected."""


def read_pair_labels(path: Path) -> list[PairLabel]:
    """The labels in the file's order, which must be the order in which the pairs were drawn.

    Columns `unit,difference[,odds][,asked][,judge][,skipped]`; other columns are ignored. Empty
    cells and null mean: not known, or the default. `.jsonl` and `.ndjson` are JSON lines, other
    names are CSV. Raises PairLabelsError.
    """
    read = _json_lines if path.suffix in (".jsonl", ".ndjson") else _csv_rows
    try:
        return [_label(row, place) for place, row in read(path)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PairLabelsError(f"Cannot read {path.name}: {error}") from error


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        rows = csv.DictReader(stream)
        for name in REQUIRED:
            if name not in (rows.fieldnames or ()):
                raise PairLabelsError(
                    f"{path.name} has no column '{name}'. Its first line must name the columns"
                    f" {', '.join(REQUIRED)}, and maybe {', '.join(COLUMNS[2:])}."
                )
        for row in rows:
            yield f"{path.name}, line {rows.line_num}", row


def _json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig") as stream:
        for number, text in enumerate(stream, start=1):
            if not text.strip():
                continue
            place = f"{path.name}, line {number}"
            try:
                row = json.loads(text)
            except ValueError as error:
                raise PairLabelsError(f"{place}: this is not JSON ({error}).") from error
            if not isinstance(row, dict) or "unit" not in row:
                raise PairLabelsError(f"{place}: expected an object with 'unit' and 'difference'.")
            yield place, row


def _label(row: dict[str, Any], place: str) -> PairLabel:
    unit = row["unit"]
    if unit is None or not str(unit).strip():
        raise PairLabelsError(f"{place}: 'unit' is empty. Name the user or conversation.")
    odds, asked = _number(row, "odds", place), _number(row, "asked", place)
    return PairLabel(
        unit=str(unit),
        difference=_number(row, "difference", place),
        odds=1.0 if odds is None else odds,
        asked=1.0 if asked is None else asked,
        judge=_number(row, "judge", place),
        skipped=_flag(row, place),
    )


def _number(row: dict[str, Any], name: str, place: str) -> float | None:
    value = row.get(name)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if isnan(number) or isinstance(value, bool):
        raise PairLabelsError(f"{place}: '{name}' must be a number or empty; got {value!r}.")
    return number


def _flag(row: dict[str, Any], place: str) -> bool:
    value = row.get("skipped")
    text = "" if value is None else str(value).strip().lower()
    if text not in (*_TRUE, *_FALSE):
        raise PairLabelsError(f"{place}: 'skipped' must be true or false; got {value!r}.")
    return text in _TRUE
