"""Tables in files: CSV, JSON Lines and Parquet, row by row, with typed columns.

Every command and page that reads outcomes, answers, labels or prompts from a file uses this reader.
A faulty row has no fields but its place; an unreadable file raises OutcomesError. The `read_*`
functions convert one cell and raise ValueError with the column's name.
"""

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

from experiments.core.money import NANO
from experiments.core.text import CONTROL_CHARACTERS

LONGEST = {"domain": 40, "group": 100, "strong_model": 200, "weak_model": 200}
JSON_SUFFIXES = (".jsonl", ".ndjson")
BROKEN = "it is not UTF-8 text, or not a whole row"
_LONGEST_PROMPT = 100_000
_CONTROL = re.compile(CONTROL_CHARACTERS)
_MOST_COUNT = 2**31 - 1
_MOST_DOLLARS = 1_000_000
_TRUTH = {"true": 1.0, "false": 0.0}
_YES, _NO = ("true", "1", "yes"), ("", "false", "0", "no")
_BATCH = 1_000

Fields = Mapping[str, Any]


class OutcomesError(ValueError):
    """A file or its content cannot be used; the message names file, line and what to change."""


class TableRow(NamedTuple):
    """`fields` is None for a row that is not UTF-8 text or not a whole row. `done` counts bytes of
    text files and rows of Parquet files."""

    where: str
    done: int
    fields: Fields | None


def table_rows(file: Path, needed: Sequence[str] = ()) -> Iterator[TableRow]:
    """The rows of a file by its suffix; an unknown suffix means CSV."""
    if file.suffix.lower() in JSON_SUFFIXES:
        return json_rows(file)
    return parquet_rows(file) if file.suffix == ".parquet" else csv_rows(file, needed)


def whole_rows(file: Path, needed: Sequence[str]) -> Iterator[tuple[str, Fields]]:
    """Place and fields of each row. Raises OutcomesError for the first faulty row, a header without
    the columns `needed`, and a file that cannot be opened."""
    try:
        for where, _, fields in table_rows(file, needed):
            if fields is None:
                raise OutcomesError(f"{where}: {BROKEN}.")
            yield where, fields
    except OSError as error:
        raise OutcomesError(f"{file} cannot be read: {error.strerror}.") from error


def csv_rows(file: Path, needed: Sequence[str] = ()) -> Iterator[TableRow]:
    """Broken bytes become half surrogates, so only their row is refused. Raises OutcomesError for
    a header without the columns `needed`."""
    read = 0

    def counted() -> Iterator[str]:
        nonlocal read
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            for line in lines:
                read += len(line)
                yield line

    reader = csv.DictReader(counted(), restkey="", restval=None)
    try:
        _check_header(file, reader.fieldnames or (), needed)
        for row in reader:
            yield TableRow(f"{file.name}, line {reader.line_num}", read, _whole(row))
    except csv.Error as error:
        raise OutcomesError(f"{file}, line {reader.line_num}: {error}.") from error


def _check_header(file: Path, found: Sequence[str], needed: Sequence[str]) -> None:
    if not _is_text(found):
        raise OutcomesError(f"{file} is not UTF-8 text. Save it as UTF-8.")
    if missing := [column for column in needed if column not in found]:
        raise OutcomesError(
            f"{file}, line 1: no column {', '.join(missing)}. The header needs {','.join(needed)}."
        )


def json_rows(file: Path) -> Iterator[TableRow]:
    read = 0
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        for number, line in enumerate(lines, start=1):
            read += len(line)
            if not line.strip():
                continue
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                found = None
            yield TableRow(f"{file.name}, line {number}", read, _whole(found))


def parquet_rows(file: Path) -> Iterator[TableRow]:
    number = 0
    try:
        for batch in parquet_file(file).iter_batches(batch_size=_BATCH):
            for row in batch.to_pylist():
                number += 1
                yield TableRow(f"{file.name}, row {number}", number, row)
    except (OSError, UnicodeDecodeError) as error:
        raise OutcomesError(f"{file}, after row {number}: {error}.") from error


def parquet_file(file: Path) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - only for Parquet files
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        return pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise OutcomesError(f"{file} is not a whole Parquet file: {error}.") from error


def _whole(found: Any) -> Fields | None:
    """None for a value that is no mapping, has cells beyond the header, or is not UTF-8."""
    if not isinstance(found, dict) or "" in found or not _is_text(found.values()):
        return None
    return found


def _is_text(values: Iterable[Any]) -> bool:
    try:
        for value in values:
            str(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def read_prompt(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("the prompt is empty")
    if len(value) > _LONGEST_PROMPT:
        raise ValueError(f"the prompt has more than {_LONGEST_PROMPT:,} characters")
    return value


def read_word(fields: Fields, name: str) -> str:
    value = fields.get(name)
    text = "" if value is None else str(value).strip()
    if len(text) > LONGEST[name]:
        raise ValueError(f"{name} has more than {LONGEST[name]} characters")
    if _CONTROL.search(text):
        raise ValueError(f"{name} holds a line break or another control character")
    return text


def read_score(value: Any, column: str) -> float:
    """A number in [0, 1] or True/False."""
    try:
        text = str(value).strip().lower()
        score = _TRUTH[text] if text in _TRUTH else float(text)
    except ValueError:
        score = math.nan
    if not 0.0 <= score <= 1.0:
        raise ValueError(f"{column} is {value!r}; it must be a number from 0 to 1, True or False")
    return score


def read_money(value: Any, column: str) -> int | None:
    """Dollars to nano-dollars; None for an empty cell."""
    if is_empty(value):
        return None
    try:
        dollars = Decimal(str(value).strip())
    except InvalidOperation:
        dollars = Decimal("NaN")
    if not dollars.is_finite() or not 0 <= dollars <= _MOST_DOLLARS:
        raise ValueError(f"{column} is {value!r}; it must be dollars, from 0 on")
    return round(dollars * NANO)


def read_count(value: Any, column: str) -> int | None:
    if is_empty(value):
        return None
    try:
        count = float(str(value).strip())
    except ValueError:
        count = math.nan
    if not 0 <= count <= _MOST_COUNT or count != int(count):
        raise ValueError(f"{column} is {value!r}; it must be a whole number from 0 on")
    return int(count)


def read_number(value: Any, column: str) -> float | None:
    if is_empty(value):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or isinstance(value, bool):
        raise ValueError(f"'{column}' must be a number or empty; got {value!r}")
    return number


def read_flag(value: Any, column: str) -> bool:
    text = "" if value is None else str(value).strip().lower()
    if text not in (*_YES, *_NO):
        raise ValueError(f"'{column}' must be true or false; got {value!r}")
    return text in _YES
