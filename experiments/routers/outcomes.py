"""Recorded outcomes: which prompts the strong and the weak model answered well.

RouteLLM's evaluation folder (``mmlu/responses/*.csv``, ``gsm8k/…``, without the prompts of its
``contaminated_prompts.jsonl``), CSV, JSON Lines and Parquet are read, a few rows in memory at a
time. `OutcomeSource` yields a faulty row as an item with its place and the reason; `read_outcomes`
raises for it.

Columns: ``prompt``, ``strong_score`` and ``weak_score``; optionally ``domain``, ``group``,
``strong_model``, ``weak_model``, ``strong_cost``, ``weak_cost`` (dollars per request),
``strong_output_tokens``, ``weak_output_tokens``. Sets with more models name a column
``score:MODEL`` for each, and optionally ``cost:MODEL``; strong and weak are then two of them.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.core.text import find_unstorable
from experiments.routers.table_files import (
    BROKEN,
    Fields,
    TableRow,
    csv_rows,
    is_empty,
    parquet_file,
    read_count,
    read_money,
    read_prompt,
    read_score,
    read_word,
    table_rows,
    whole_rows,
)
from experiments.routers.table_files import OutcomesError as OutcomesError  # noqa: PLC0414 - part of this interface

STRONG_MODEL = "gpt-4-1106-preview"
WEAK_MODEL = "mistralai/Mixtral-8x7B-Instruct-v0.1"
GSM8K = "gsm8k"
SCORE, COST = "score:", "cost:"
SUFFIXES = (".csv", ".jsonl", ".ndjson", ".parquet")


class PromptOutcome(NamedTuple):
    prompt: str
    strong: float
    weak: float
    domain: str
    group: str


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Columns of equal length. ``group`` is the MMLU subject, ``gsm8k``, or the CSV's own group."""

    prompts: tuple[str, ...]
    strong: NDArray[np.float64]
    weak: NDArray[np.float64]
    domains: tuple[str, ...]
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.prompts)

    def where(self, keep: Callable[[PromptOutcome], bool]) -> "Outcomes":
        return from_rows(row for row in self.rows() if keep(row))

    def rows(self) -> Iterator[PromptOutcome]:
        columns = (self.prompts, self.strong.tolist(), self.weak.tolist())
        for row in zip(*columns, self.domains, self.groups, strict=True):
            yield PromptOutcome(*row)

    def sha256(self) -> str:
        """A hash of the content, independent of the file."""
        digest = hashlib.sha256()
        for row in self.rows():
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()


def from_rows(rows: Iterable[PromptOutcome]) -> Outcomes:
    kept = list(rows)
    return Outcomes(
        prompts=tuple(row.prompt for row in kept),
        strong=np.array([row.strong for row in kept], dtype=np.float64),
        weak=np.array([row.weak for row in kept], dtype=np.float64),
        domains=tuple(row.domain for row in kept),
        groups=tuple(row.group for row in kept),
    )


def read_outcomes(
    path: Path,
    *,
    strong_model: str = STRONG_MODEL,
    weak_model: str = WEAK_MODEL,
    domains: Mapping[str, str] | None = None,
) -> Outcomes:
    """The whole file or evaluation folder. ``domains`` maps a group to its domain."""
    named = domains or {}
    rows = []
    for item in OutcomeSource(path, strong_model, weak_model).items():
        if item.row:
            row = item.row
            domain = row.domain or named.get(row.group, "")
            rows.append(PromptOutcome(row.prompt, row.strong, row.weak, domain, row.group))
        elif not item.contaminated:
            raise OutcomesError(f"{item.where}: {item.reason}.")
    if not rows:
        raise OutcomesError(f"{path} holds no outcome. It needs at least one row below its header.")
    return from_rows(rows)


def read_domains(path: Path) -> dict[str, str]:
    """A CSV ``subject,domain``; an empty domain (none of the seeded ones) is left out."""
    rows = whole_rows(path, ("subject", "domain"))
    return {row["subject"]: row["domain"] for _, row in rows if row["domain"]}


class OutcomeRow(NamedTuple):
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
    """A row, or the reason why there is none. `done` is the progress, of the source's `total`."""

    where: str
    done: int
    row: OutcomeRow | None
    reason: str = ""
    contaminated: bool = False


class OutcomeSource(NamedTuple):
    """A file or folder. `strong` and `weak` name the pair if columns are named after models."""

    path: Path
    strong: str = STRONG_MODEL
    weak: str = WEAK_MODEL

    def total(self) -> int:
        """Bytes of text files, rows of a Parquet file. Raises OutcomesError."""
        if self.path.suffix == ".parquet" and self.path.is_file():
            return int(parquet_file(self.path).metadata.num_rows)
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
        else:
            yield from self._items(table_rows(file))

    def _of_benchmark(self, file: Path) -> Iterator[Item]:
        """RouteLLM's columns are the models' names, and the group is the file's."""
        contaminated = contaminated_prompts(file)
        group = file.stem.removeprefix("mmlu_").removesuffix("_responses")
        for where, done, found in csv_rows(file, ("prompt", self.strong, self.weak)):
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

    def _items(self, found: Iterator[TableRow]) -> Iterator[Item]:
        checked = False
        for where, done, fields in found:
            if fields is not None and not checked:
                self._require_columns(fields)
                checked = True
            yield self._item(where, done, fields)

    def _require_columns(self, fields: Fields) -> None:
        """Checks the first row: a file without the columns is refused as a whole."""
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
            return Item(where, done, None, BROKEN)
        if found := find_unstorable(fields):
            return Item(where, done, None, f"{found.field} holds {found.what}")
        try:
            return Item(where, done, self._row(fields))
        except ValueError as error:
            return Item(where, done, None, str(error))

    def _row(self, fields: Fields) -> OutcomeRow:
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
            values[tokens] = read_count(fields.get(tokens), tokens)
            named = read_word(fields, f"{side}_model")
            values[f"{side}_model"] = named or (model if model in scores else "")
        return OutcomeRow(
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


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _by_model(fields: Fields, prefix: str, name: str, read: Any) -> dict[str, Any]:
    found = {
        column.removeprefix(prefix): read(value, column)
        for column, value in fields.items()
        if column.startswith(prefix) and not is_empty(value)
    }
    nested = _mapping(fields.get(name)).items()
    return found | {model: read(value, f"{name}.{model}") for model, value in nested}


def benchmark_files(path: Path) -> list[Path]:
    """The response files of an evaluation folder, or of a repository around it."""
    for root in (path / "routellm" / "evals", path / "evals", path, *path.parents[:2]):
        mmlu = sorted((root / "mmlu" / "responses").glob("*.csv"))
        gsm8k = sorted((root / GSM8K).glob("gsm8k_responses.csv"))
        inside = [file for file in mmlu + gsm8k if path in file.parents]
        if inside:
            return inside
    return []


def _benchmark_folder(file: Path) -> Path:
    return file.parent.parent if file.parent.name == "responses" else file.parent


def contaminated_prompts(file: Path) -> frozenset[str]:
    """The prompts that RouteLLM leaves out of this file's benchmark. Raises OutcomesError."""
    path = _benchmark_folder(file) / "contaminated_prompts.jsonl"
    if not path.is_file():
        return frozenset()
    prompts = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            prompts.add(json.loads(line)["eval_prompt"])
        except (ValueError, KeyError, TypeError) as error:
            raise OutcomesError(
                f'{path}, line {number}: expected a JSON object with "eval_prompt".'
            ) from error
    return frozenset(prompts)
