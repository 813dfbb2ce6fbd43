"""Training data of the domain detector, as columns: recorded questions and written prompts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from experiments.core.selection import GENERAL
from experiments.routers.domain_head import Matrix
from experiments.routers.domain_prompts import DomainPromptFile
from experiments.routers.embedding import Vector
from experiments.routers.features import Features, Keys, featurise, subject_keys
from experiments.routers.outcomes import Outcomes, PromptOutcome
from experiments.routers.training.prompts import training_prompts

Positions = NDArray[np.int64]
Progress = Callable[[str], None]

PROMPTS_PER_DOMAIN = 1_700
_LONG_PASSAGE = 700
_PASSAGE_START = 120
# A question without its options partly repeats the question, but resembles free-form prompts.
_STEM_WEIGHT = 0.4
# A prompt written by hand is more realistic than a generated one.
_WHOLE_WEIGHT = 5.0


class RowKind(IntEnum):
    RECORDED = 0
    STEM = 1
    WRITTEN = 2


@dataclass(frozen=True, eq=False)
class Rows:
    """Row ``i`` of every column is one prompt. ``found`` has a one for each of ``keys`` in it.

    ``subject`` is that of a recorded question and of its stem, and empty for written prompts;
    ``passage`` is the same number for questions on the same text, which must not be split.
    """

    names: tuple[str, ...]
    keys: Keys
    found: sp.csr_matrix
    embedding: Matrix
    label: Positions
    kind: Positions
    subject: NDArray[np.str_]
    passage: Positions
    weight: Vector

    def recorded(self) -> Positions:
        return np.flatnonzero(self.kind == RowKind.RECORDED)

    def training_for(self, held_out: Positions) -> Positions:
        """All rows except these, their stems, and rows that share a passage with them."""
        left_out = np.isin(self.passage, self.passage[held_out]) & (self.kind != RowKind.WRITTEN)
        return np.flatnonzero(~left_out)


@dataclass(frozen=True)
class _Row:
    features: Features
    domain: str
    kind: RowKind
    subject: str = ""
    passage: int = -1
    weight: float = 1.0


def collect(
    outcomes: Outcomes,
    sources: Sequence[DomainPromptFile],
    *,
    seed: int,
    per_domain: int = PROMPTS_PER_DOMAIN,
    progress: Progress = lambda _: None,
) -> Rows:
    """Featurise recorded questions, their stems and the prompts made of the written sources."""
    progress(f"Reading {len(outcomes)} recorded questions")
    rows = _recorded(list(outcomes.rows()))
    written = training_prompts(sources, seed, per_domain)
    progress(f"Reading {len(written)} written prompts")
    rows += [
        _Row(
            featurise(prompt.text),
            prompt.domain,
            RowKind.WRITTEN,
            weight=_WHOLE_WEIGHT if prompt.whole else 1.0,
        )
        for prompt in written
    ]
    return _columns(rows)


def _recorded(outcomes: Sequence[PromptOutcome]) -> list[_Row]:
    passages: dict[str, int] = {}
    full, stems = [], []
    for row in outcomes:
        start = row.prompt[:_PASSAGE_START] if len(row.prompt) > _LONG_PASSAGE else row.prompt
        passage = passages.setdefault(start, len(passages))
        domain, features = row.domain or GENERAL, featurise(row.prompt)
        full.append(_Row(features, domain, RowKind.RECORDED, row.group, passage))
        if features.options:
            stem = featurise(features.question_text)
            stems.append(_Row(stem, domain, RowKind.STEM, row.group, passage, _STEM_WEIGHT))
    return full + stems


def _columns(rows: Sequence[_Row]) -> Rows:
    names = tuple(sorted({row.domain for row in rows}))
    found = [subject_keys(row.features) for row in rows]
    keys, at = np.unique(np.concatenate(found), return_inverse=True)
    ends = np.cumsum([0, *map(len, found)])
    ones = np.ones(len(at), dtype=np.float32)
    return Rows(
        names=names,
        keys=keys,
        found=sp.csr_matrix((ones, at, ends), shape=(len(rows), len(keys))),
        embedding=np.array([row.features.embedding for row in rows]),
        label=np.array([names.index(row.domain) for row in rows]),
        kind=np.array([row.kind for row in rows]),
        subject=np.array([row.subject for row in rows]),
        passage=np.array([row.passage for row in rows]),
        weight=np.array([row.weight for row in rows], dtype=np.float32),
    )
