"""Files of both models' answers and how good they were, for replaying a cascade.

CSV or JSON lines with `prompt,weak_answer,strong_answer,weak_score,strong_score` and optionally
`second_answer`, `weak_logprob`, `weak_cost`, `second_cost`, `strong_cost` (dollars) and `group`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from experiments.core.text import find_unstorable
from experiments.routers.table_files import (
    JSON_SUFFIXES,
    OutcomesError,
    read_money,
    read_number,
    read_prompt,
    read_score,
    read_word,
    whole_rows,
)

REQUIRED = ("prompt", "weak_answer", "strong_answer", "weak_score", "strong_score")
COSTS = ("weak_cost", "second_cost", "strong_cost")
_LONGEST_ANSWER = 1_000_000


class AnswerPair(NamedTuple):
    """Scores lie in [0, 1]. Costs are nano-dollars; None is not known."""

    prompt: str
    weak_answer: str
    strong_answer: str
    weak: float
    strong: float
    second_answer: str | None = None
    logprob: float | None = None
    weak_cost: int | None = None
    second_cost: int | None = None
    strong_cost: int | None = None
    group: str = ""


def read_answer_pairs(path: Path) -> list[AnswerPair]:
    """The whole file. Raises OutcomesError with line and column of the first fault."""
    if not path.is_file():
        raise OutcomesError(f"{path} does not exist. Give a CSV or JSON Lines file.")
    if path.suffix.lower() not in (".csv", *JSON_SUFFIXES):
        raise OutcomesError(f"{path} is none of .csv, {', '.join(JSON_SUFFIXES)}.")
    found = []
    for where, fields in whole_rows(path, REQUIRED):
        try:
            found.append(_pair(fields))
        except ValueError as error:
            raise OutcomesError(f"{where}: {error}.") from error
    if not found:
        raise OutcomesError(f"{path} has no row. It needs {','.join(REQUIRED)} and rows below.")
    return found


def _pair(fields: Mapping[str, Any]) -> AnswerPair:
    """Raises ValueError, which names the column."""
    if missing := [name for name in REQUIRED if fields.get(name) is None]:
        raise ValueError(f"no column {', '.join(missing)}")
    if found := find_unstorable({name: fields.get(name) for name in REQUIRED}):
        raise ValueError(f"{found.field} holds {found.what}")
    costs = {name: read_money(fields.get(name), name) for name in COSTS}
    return AnswerPair(
        prompt=read_prompt(fields["prompt"]),
        weak_answer=_answer(fields, "weak_answer"),
        strong_answer=_answer(fields, "strong_answer"),
        weak=read_score(fields["weak_score"], "weak_score"),
        strong=read_score(fields["strong_score"], "strong_score"),
        second_answer=_answer(fields, "second_answer") or None,
        logprob=_logprob(fields.get("weak_logprob")),
        group=read_word(fields, "group"),
        **costs,
    )


def _answer(fields: Mapping[str, Any], column: str) -> str:
    value = fields.get(column)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{column} is {value!r}; it must be text")
    if value and len(value) > _LONGEST_ANSWER:
        raise ValueError(f"{column} has more than {_LONGEST_ANSWER:,} characters")
    return value or ""


def _logprob(value: Any) -> float | None:
    number = read_number(value, "weak_logprob")
    if number is not None and number > 0:
        raise ValueError(f"weak_logprob is {value!r}; it must be a number up to 0")
    return number
