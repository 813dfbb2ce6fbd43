"""Recorded outcomes: which prompts the strong and the weak model answered well.

Two layouts are read. RouteLLM's evaluation folder (``mmlu/responses/*.csv``, ``gsm8k/…``), with
the prompts of its ``contaminated_prompts.jsonl`` dropped as RouteLLM does; or one CSV with the
columns ``prompt,strong_score,weak_score`` and optionally ``domain`` and ``group``.
"""

import csv
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

STRONG_MODEL = "gpt-4-1106-preview"
WEAK_MODEL = "mistralai/Mixtral-8x7B-Instruct-v0.1"
GSM8K = "gsm8k"

_TRUTH = {"true": 1.0, "false": 0.0}


class OutcomesError(ValueError):
    """The outcomes cannot be read; the message names file, line and what to change."""


class Outcome(NamedTuple):
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

    def where(self, keep: Callable[[Outcome], bool]) -> "Outcomes":
        return from_rows(row for row in self.rows() if keep(row))

    def rows(self) -> Iterator[Outcome]:
        columns = (self.prompts, self.strong.tolist(), self.weak.tolist())
        for row in zip(*columns, self.domains, self.groups, strict=True):
            yield Outcome(*row)

    def sha256(self) -> str:
        """A hash of the content, whatever file it came from."""
        digest = hashlib.sha256()
        for row in self.rows():
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()


def from_rows(rows: Iterable[Outcome]) -> Outcomes:
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
    """Read a CSV file or an evaluation folder. ``domains`` maps a group to its domain."""
    named = domains or {}
    if path.is_dir():
        rows = _folder_rows(path, strong_model, weak_model, named)
    elif path.is_file():
        rows = _csv_rows(path, "strong_score", "weak_score", default_group="")
    else:
        raise OutcomesError(f"{path} does not exist. Give a CSV file or RouteLLM's evals folder.")
    outcomes = from_rows(
        row._replace(domain=row.domain or named.get(row.group, "")) for row in rows
    )
    if not len(outcomes):
        raise OutcomesError(f"{path} holds no outcome. It needs at least one row below its header.")
    return outcomes


def read_domains(path: Path) -> dict[str, str]:
    """A CSV ``subject,domain``; an empty domain (none of the seeded ones) is left out."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines)
        _require_columns(path, rows.fieldnames, ("subject", "domain"))
        return {row["subject"]: row["domain"] for row in rows if row["domain"]}


def _folder_rows(
    path: Path, strong_model: str, weak_model: str, domains: Mapping[str, str]
) -> Iterator[Outcome]:
    files = benchmark_files(path)
    if not files:
        raise OutcomesError(
            f"{path} has no mmlu/responses/*.csv and no gsm8k/gsm8k_responses.csv. "
            "Give the RouteLLM repository, its routellm folder or its evals folder."
        )
    for file in files:
        group = file.stem.removeprefix("mmlu_").removesuffix("_responses")
        contaminated = contaminated_prompts(file)
        for row in _csv_rows(file, strong_model, weak_model, default_group=group):
            if row.prompt not in contaminated:
                yield row


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
    """What RouteLLM leaves out of this response file's benchmark. Raises OutcomesError."""
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


def _csv_rows(file: Path, strong: str, weak: str, *, default_group: str) -> Iterator[Outcome]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        try:
            _require_columns(file, reader.fieldnames, ("prompt", strong, weak))
            for row in reader:
                where = f"{file}, line {reader.line_num}"
                yield Outcome(
                    prompt=row["prompt"],
                    strong=_score(row[strong], strong, where),
                    weak=_score(row[weak], weak, where),
                    domain=row.get("domain") or "",
                    group=row.get("group") or default_group,
                )
        except UnicodeDecodeError as error:
            raise OutcomesError(f"{file} is not UTF-8 text. Save it as UTF-8.") from error
        except csv.Error as error:
            raise OutcomesError(f"{file}, line {reader.line_num}: {error}.") from error


def _require_columns(file: Path, found: Sequence[str] | None, needed: tuple[str, ...]) -> None:
    missing = [column for column in needed if column not in (found or ())]
    if missing:
        raise OutcomesError(
            f"{file}, line 1: no column {', '.join(missing)}. The header needs {','.join(needed)}."
        )


def _score(value: str | None, column: str, where: str) -> float:
    """A number in [0, 1] or True/False."""
    try:
        score = _TRUTH.get((value or "").strip().lower(), math.nan)
        score = float(value or "") if math.isnan(score) else score
    except ValueError:
        score = math.nan
    if not 0.0 <= score <= 1.0:
        raise OutcomesError(
            f"{where}: {column} is {value!r}. It must be a number from 0 to 1, True or False."
        )
    return score
