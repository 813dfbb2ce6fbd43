"""Figures on rows that were not trained on: over questions, over whole groups, word problems.

A *candidate* is fitted on the training rows of a fold and scores the rows held out; a row's
scores come from the fold that held it out, and APGR is taken over all rows of a split at once.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.routing.measures import measure
from experiments.routers.outcomes import GSM8K, Outcomes
from experiments.routers.training.examples import Rows
from experiments.routers.training.folds import N_FOLDS, Folds, group_folds, question_folds

Floats = NDArray[np.float64]

QUESTIONS, GROUPS = "questions", "groups"


class CandidateFit(Protocol):
    """Fit on ``train``, then score ``held_out``: one column for each of the candidate's names."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def __call__(self, train: Rows, held_out: Rows) -> Floats: ...


class Remembered:
    """A candidate that is fitted once for each set of held-out rows."""

    def __init__(self, candidate: CandidateFit) -> None:
        self.names: tuple[str, ...] = candidate.names
        self._candidate = candidate
        self._found: dict[bytes, Floats] = {}

    def __call__(self, train: Rows, held_out: Rows) -> Floats:
        key = held_out.tobytes()
        if key not in self._found:
            self._found[key] = self._candidate(train, held_out)
        return self._found[key]


class Split(NamedTuple):
    """``measured`` says, by name of the figure, which rows it is taken over."""

    scheme: str
    seed: int
    folds: Folds
    measured: Mapping[str, NDArray[np.bool_]]


class Figure(NamedTuple):
    """APGR by seed; their mean is what counts."""

    by_seed: tuple[float, ...]

    @property
    def mean(self) -> float:
        return sum(self.by_seed) / len(self.by_seed)


def splits(outcomes: Outcomes, repeats: int, group_seeds: int) -> Iterator[Split]:
    """Five-fold over questions, then five-fold over groups where there are at least five.

    GSM8K is one group, and a kind of its own: its questions are held out, never the whole of it.
    """
    problems = np.array([group == GSM8K for group in outcomes.groups])
    others = ~problems
    by_question = {
        name: rows for name, rows in ((QUESTIONS, others), (GSM8K, problems)) if rows.any()
    }
    for seed in range(repeats):
        yield Split(QUESTIONS, seed, question_folds(len(outcomes), seed), by_question)
    if len(set(np.array(outcomes.groups)[others])) < N_FOLDS:
        return
    for seed in range(group_seeds):
        folds = group_folds(outcomes.groups, others, seed)
        yield Split(GROUPS, seed, folds, {GROUPS: others})


def held_out_scores(
    candidate: CandidateFit, folds: Folds, advance: Callable[[], object] = lambda: None
) -> Floats:
    """Scores of every row by the fit that did not see it; NaN for rows never held out."""
    scores = np.full((len(folds), len(candidate.names)), np.nan)
    for fold in range(N_FOLDS):
        held_out = np.flatnonzero(folds == fold)
        if len(held_out):
            scores[held_out] = candidate(np.flatnonzero(folds != fold), held_out)
        advance()
    return scores


def figures(split: Split, scores: Floats, outcomes: Outcomes) -> dict[str, list[float | None]]:
    """APGR by the figure's name, one for each column of scores."""
    return {
        name: [
            measure(column[rows], outcomes.strong[rows], outcomes.weak[rows]).apgr
            for column in scores.T
        ]
        for name, rows in split.measured.items()
    }


def cross_validate(
    candidate: CandidateFit,
    outcomes: Outcomes,
    to_run: list[Split],
    advance: Callable[[], object] = lambda: None,
) -> dict[str, dict[str, Figure]]:
    """``result[candidate name][figure name]``. A figure undefined in a split is left out."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in candidate.names}
    for split in to_run:
        scores = held_out_scores(candidate, split.folds, advance)
        for figure, values in figures(split, scores, outcomes).items():
            for name, value in zip(candidate.names, values, strict=True):
                if value is not None:
                    found[name].setdefault(figure, []).append(value)
    return {
        name: {figure: Figure(tuple(values)) for figure, values in by_figure.items()}
        for name, by_figure in found.items()
    }
