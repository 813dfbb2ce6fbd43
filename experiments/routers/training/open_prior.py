"""Fits what the shipped router expects of open prompts (``experiments/routers/open_prior.py``).

Two things are used, and no recorded outcome: hand-written prompts whose difficulty is assumed
(``prior_prompts.csv``; short and long ones are equally hard on average), and the hand-written
prompts of all domains, which say how lengths and estimates of open prompts are distributed.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from experiments.routers.domain_prompts import load_sources
from experiments.routers.embedding import StaticEmbedding, Vector
from experiments.routers.features import featurise
from experiments.routers.heads import Head, HeadInputs
from experiments.routers.local import inputs_of
from experiments.routers.open_prior import FARTHEST, OpenPrior
from experiments.routers.prompt_features import LOG_LENGTH
from experiments.routers.training.examples import ASSUMED as OPEN_PROMPTS

ASSUMED = Path(__file__).parent / "prior_prompts.csv"
SHARE, SPREAD, RIDGE = 0.5, 0.1, 3.0
FREED = 0.75  # of what the length says of an estimate: a little of it is true

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OpenPrompts:
    """`usual` are prompts of all domains, whose `domains` are known; `assumed` have `gains`."""

    usual: tuple[HeadInputs, ...]
    domains: tuple[str, ...]
    assumed: tuple[HeadInputs, ...]
    gains: Floats

    @property
    def embeddings(self) -> Vector:
        return np.stack([seen.embedding for seen in (*self.usual, *self.assumed)])


def read_open_prompts(embedding: StaticEmbedding) -> OpenPrompts:
    """Questions with options are left out: they are no open prompts."""
    rows = [*_assumed(ASSUMED), *_assumed(OPEN_PROMPTS)]
    usual = [
        (read, source.domain)
        for source in load_sources()
        for text in (*source.seed, *source.prompts)
        for read in (featurise(text, embedding).asked,)
        if not read.options
    ]
    return OpenPrompts(
        usual=tuple(inputs_of(read, embedding) for read, _ in usual),
        domains=tuple(domain for _, domain in usual),
        assumed=tuple(inputs_of(featurise(text, embedding).asked, embedding) for text, _ in rows),
        gains=np.array([gain for _, gain in rows]),
    )


def _assumed(path: Path) -> list[tuple[str, float]]:
    """Prompts and how much better the strong model's answer is assumed to be."""
    with path.open(encoding="utf-8", newline="") as lines:
        return [
            (row["prompt"], float(row["strong_score"]) - float(row["weak_score"]))
            for row in csv.DictReader(lines)
        ]


def fit_prior(head: Head, prompts: OpenPrompts, level: float) -> OpenPrior:
    """`level` is the gain at the threshold of recorded prompts."""
    known = np.stack([seen.embedding for seen in prompts.assumed])
    direction = Ridge(alpha=RIDGE).fit(known, prompts.gains).coef_.astype(np.float32)
    lengths = _lengths(prompts.usual)
    away = np.clip(lengths - lengths.mean(), -FARTHEST, FARTHEST)
    exam = np.array([head.parts(seen).mean for seen in prompts.usual])
    assumed = np.array([float(seen.embedding @ direction) for seen in prompts.usual])
    freed = [_freed(values, away) for values in (exam, assumed)]
    own, other = (
        (values - by[0] - by[1] * away) / by[2]
        for by, values in zip(freed, (exam, assumed), strict=True)
    )
    return OpenPrior(
        direction=direction,
        of_exam=freed[0],
        of_assumed=freed[1],
        length=float(lengths.mean()),
        share=SHARE,
        scale=float(((1 - SHARE) * own + SHARE * other).std()),
        level=level,
        spread=SPREAD,
    )


def _freed(values: Floats, away: Floats) -> Vector:
    """The mean, most of the slope over the length, and the spread of what is left."""
    slope = FREED * float(away @ (values - values.mean()) / (away @ away))
    rest = values - values.mean() - slope * away
    return np.array([values.mean(), slope, rest.std()], dtype=np.float32)


def _lengths(prompts: Sequence[HeadInputs]) -> Floats:
    return np.array([float(seen.structure[LOG_LENGTH]) for seen in prompts])
