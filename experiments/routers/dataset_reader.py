"""Rows of recorded outcomes as files hold them, one after another, with what is wrong with each.

RouteLLM's evaluation folder, CSV, JSON lines and Parquet are read, a few rows in memory at a time.
A row that cannot be taken is an item of its own, with its place and the reason; only what makes
the whole file unreadable raises.

Columns: ``prompt``, ``strong_score`` and ``weak_score``; optionally ``domain``, ``group``,
``strong_model``, ``weak_model``, ``strong_cost``, ``weak_cost`` (dollars a request),
``strong_output_tokens``, ``weak_output_tokens``. Sets with more models name a column
``score:MODEL`` for each, and optionally ``cost:MODEL``; strong and weak are then two of them.
"""

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

from experiments.core.money import NANO
from experiments.core.text import CONTROL_CHARACTERS, find_unstorable
from experiments.routers.outcomes import (
    STRONG_MODEL,
    WEAK_MODEL,
    OutcomesError,
    benchmark_files,
    contaminated_prompts,
)

SCORE, COST = "score:", "cost:"
LONGEST = {"domain": 40, "group": 100, "strong_model": 200, "weak_model": 200}
SUFFIXES = (".csv", ".jsonl", ".ndjson", ".parquet")
_LONGEST_PROMPT = 100_000
_CONTROL = re.compile(CONTROL_CHARACTERS)
_MOST_TOKENS = 2**31 - 1
_MOST_DOLLARS = 1_000_000
_TRUTH = {"true": 1.0, "false": 0.0}
_BATCH = 1_000

Fields = Mapping[str, Any]


class Row(NamedTuple):
    """One prompt. Scores lie in [0, 1], money is in nano-dollars, None is not known."""

    prompt: str
    strong: float
    weak: float
    domain: str = ""
    group: str = ""
    strong_model: str = ""
    weak_model: str = ""
    strong_cost: int | None = None
    weak_cost: int | None = None
    strong_output_tokens: int | None = None
    weak_output_tokens: int | None = None
    scores: Mapping[str, float] = {}
    costs: Mapping[str, int] = {}


class Item(NamedTuple):
    """A row or why there is none. `done` is how far the reading is, in the source's `total`."""

    where: str
    done: int
    row: Row | None
    reason: str = ""
    contaminated: bool = False


class Source(NamedTuple):
    """What is read. `strong` and `weak` name the pair, where columns are named after models."""

    path: Path
    strong: str = STRONG_MODEL
    weak: str = WEAK_MODEL

    def total(self) -> int:
        """Bytes of text files, rows of a Parquet file. Raises OutcomesError."""
        if self.path.suffix == ".parquet" and self.path.is_file():
            return int(_parquet(self.path).metadata.num_rows)
        return sum(file.stat().st_size for file in _files(self.path))

    def items(self) -> Iterator[Item]:
        """Raises OutcomesError for a file that cannot be read at all."""
        before = 0
        for file in _files(self.path):
            for item in self._of_file(file):
                yield item._replace(done=before + item.done)
            before += file.stat().st_size

    def _of_file(self, file: Path) -> Iterator[Item]:
        if self.path.is_dir():
            yield from self._of_benchmark(file)
        elif file.suffix == ".parquet":
            yield from self._items(_of_parquet(file))
        elif file.suffix == ".csv":
            yield from self._items(csv_fields(file))
        else:
            yield from self._items(json_fields(file))

    def _of_benchmark(self, file: Path) -> Iterator[Item]:
        """RouteLLM's columns are the models' names, and the group is the file's."""
        contaminated = contaminated_prompts(file)
        group = file.stem.removeprefix("mmlu_").removesuffix("_responses")
        for where, done, found in csv_fields(file):
            missing = found and {"prompt", self.strong, self.weak} - set(found)
            if missing:
                raise OutcomesError(f"{file}, line 1: no column {', '.join(sorted(missing))}.")
            fields = found and {
                "prompt": found["prompt"],
                "group": group,
                "strong_score": found[self.strong],
                "weak_score": found[self.weak],
            }
            item = self._item(where, done, fields)
            if item.row and item.row.prompt in contaminated:
                reason = "RouteLLM lists the prompt as contaminated"
                item = item._replace(row=None, reason=reason, contaminated=True)
            yield item

    def _items(self, found: Iterator[tuple[str, int, Fields | None]]) -> Iterator[Item]:
        checked = False
        for where, done, fields in found:
            if fields is not None and not checked:
                self._require_columns(fields)
                checked = True
            yield self._item(where, done, fields)

    def _require_columns(self, fields: Fields) -> None:
        """By the first row: a file without the columns is refused as a whole."""
        scored = {f"{SCORE}{self.strong}", f"{SCORE}{self.weak}"}
        named = {name for name in fields if name.startswith(SCORE)}
        named |= {f"{SCORE}{name}" for name in _mapping(fields.get("scores"))}
        missing = {"prompt"} - set(fields)
        if not scored <= named:
            missing |= {"strong_score", "weak_score"} - set(fields)
        if not missing:
            return
        models = ", ".join(sorted(name.removeprefix(SCORE) for name in named))
        hint = f" The file scores {models}: say which two are the pair." if named else ""
        raise OutcomesError(
            f"{self.path}, line 1: no column {', '.join(sorted(missing))}. It needs "
            f"prompt,strong_score,weak_score, or prompt and a column {SCORE}MODEL for each model."
            f"{hint}"
        )

    def _item(self, where: str, done: int, fields: Fields | None) -> Item:
        if fields is None:
            return Item(where, done, None, "it is not UTF-8 text, or not a whole row")
        if found := find_unstorable(fields):
            return Item(where, done, None, f"{found.field} holds {found.what}")
        try:
            return Item(where, done, self._row(fields))
        except ValueError as error:
            return Item(where, done, None, str(error))

    def _row(self, fields: Fields) -> Row:
        """Raises ValueError with the reason."""
        scores = _by_model(fields, SCORE, "scores", read_score)
        costs = _by_model(fields, COST, "costs", read_money)
        own = {"strong": self.strong, "weak": self.weak}
        values: dict[str, Any] = {}
        for side, model in own.items():
            if f"{side}_score" in fields:
                values[side] = read_score(fields[f"{side}_score"], f"{side}_score")
            elif model in scores:
                values[side] = scores[model]
            else:
                raise ValueError(f"there is no {side}_score, nor a score of {model}")
            cost = read_money(fields.get(f"{side}_cost"), f"{side}_cost")
            values[f"{side}_cost"] = costs.get(model) if cost is None else cost
            tokens = f"{side}_output_tokens"
            values[tokens] = _count(fields.get(tokens), tokens)
            named = read_word(fields, f"{side}_model")
            values[f"{side}_model"] = named or (model if model in scores else "")
        return Row(
            prompt=read_prompt(fields.get("prompt")),
            domain=read_word(fields, "domain"),
            group=read_word(fields, "group"),
            scores={name: score for name, score in scores.items() if score is not None},
            costs={name: cost for name, cost in costs.items() if cost is not None},
            **values,
        )


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        if files := benchmark_files(path):
            return files
        raise OutcomesError(
            f"{path} has no mmlu/responses/*.csv and no gsm8k/gsm8k_responses.csv. "
            "Give the RouteLLM repository, its routellm folder or its evals folder."
        )
    if not path.is_file():
        raise OutcomesError(f"{path} does not exist. Give a file or RouteLLM's evals folder.")
    if path.suffix not in SUFFIXES:
        raise OutcomesError(f"{path} is none of {', '.join(SUFFIXES)}.")
    return [path]


def csv_fields(file: Path) -> Iterator[tuple[str, int, Fields | None]]:
    """Broken bytes come as half surrogates, so that only their row is refused."""
    read = 0

    def counted() -> Iterator[str]:
        nonlocal read
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            for line in lines:
                read += len(line)
                yield line

    reader = csv.DictReader(counted(), restkey="", restval=None)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise OutcomesError(f"{file}, line {reader.line_num}: {error}.") from error
        yield f"{file.name}, line {reader.line_num}", read, _whole(row)


def json_fields(file: Path) -> Iterator[tuple[str, int, Fields | None]]:
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
            yield f"{file.name}, line {number}", read, _whole(found)


def _of_parquet(file: Path) -> Iterator[tuple[str, int, Fields | None]]:
    number = 0
    try:
        for batch in _parquet(file).iter_batches(batch_size=_BATCH):
            for row in batch.to_pylist():
                number += 1
                yield f"{file.name}, row {number}", number, row
    except (OSError, UnicodeDecodeError) as error:
        raise OutcomesError(f"{file}, after row {number}: {error}.") from error


def _parquet(file: Path) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - only for Parquet files
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        return pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise OutcomesError(f"{file} is not a whole Parquet file: {error}.") from error


def _whole(found: Any) -> Fields | None:
    """None for what is no mapping, has cells beyond the header, or is not UTF-8."""
    if not isinstance(found, dict) or "" in found:
        return None
    try:
        for value in found.values():
            str(value).encode()
    except UnicodeEncodeError:
        return None
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _by_model(fields: Fields, prefix: str, name: str, read: Any) -> dict[str, Any]:
    found = {
        column.removeprefix(prefix): read(value, column)
        for column, value in fields.items()
        if column.startswith(prefix) and not _is_empty(value)
    }
    nested = _mapping(fields.get(name)).items()
    return found | {model: read(value, f"{name}.{model}") for model, value in nested}


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
    """Dollars to nano-dollars; None where nothing is said."""
    if _is_empty(value):
        return None
    try:
        dollars = Decimal(str(value).strip())
    except InvalidOperation:
        dollars = Decimal("NaN")
    if not dollars.is_finite() or not 0 <= dollars <= _MOST_DOLLARS:
        raise ValueError(f"{column} is {value!r}; it must be dollars, from 0 on")
    return round(dollars * NANO)


def _count(value: Any, column: str) -> int | None:
    if _is_empty(value):
        return None
    try:
        count = float(str(value).strip())
    except ValueError:
        count = math.nan
    if not 0 <= count <= _MOST_TOKENS or count != int(count):
        raise ValueError(f"{column} is {value!r}; it must be a whole number from 0 on")
    return int(count)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
