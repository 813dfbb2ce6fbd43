"""Prompt routers on recorded outcomes, shipped and trained in folds: what a cascade must beat."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from experiments.analysis.routing.measures import measure
from experiments.lab.columns import Floats
from experiments.routers.embedding import default_embedding
from experiments.routers.features import Features, featurise
from experiments.routers.loading import load_router
from experiments.routers.outcomes import STRONG_MODEL, WEAK_MODEL, Outcomes
from experiments.routers.training.candidates import BaselineCandidate, LocalCandidate
from experiments.routers.training.crossval import CandidateFit, held_out_scores
from experiments.routers.training.examples import Rows, prepare
from experiments.routers.training.fit import TooFewPromptsError
from experiments.routers.training.folds import N_FOLDS, Folds, question_folds
from experiments.routers.training.hyperparameter_search import (
    LinearFitter,
    NeighbourFitter,
    Searched,
)
from experiments.routers.training.training_data import of_outcomes

SHIPPED = ("local", "local_mf")
WORDS, LOCAL, KNN, LINEAR = "words", "local trained", "knn", "linear"
TRAINED = (WORDS, LOCAL, KNN, LINEAR)
SIZES = (50, 100, 200, 400, 800)
_LEAST = 65

Step = Callable[[str], object]


class TrainedKind(NamedTuple):
    """A kind of router to cross-validate; the first column of its scores counts."""

    name: str
    build: Callable[[], CandidateFit]


def prompt_router_scores(
    outcomes: Outcomes,
    folds: Folds,
    *,
    seed: int,
    features: tuple[Features, ...] | None = None,
    step: Step = lambda name: None,
) -> dict[str, Floats]:
    """Scores of every row by router name; those of trained routers by the fit that did not see the
    row. Kinds that cannot learn from so few prompts are left out."""
    seen = features or tuple(map(featurise, outcomes.prompts))
    found: dict[str, Floats] = {}
    for name in SHIPPED:
        router = load_router(name)
        found[name] = np.array([router.score(one) for one in seen])
        step(name)
    for kind in _kinds(outcomes, seed):
        values = _held_out(kind, folds)
        if values is not None:
            found[kind.name] = values
        step(kind.name)
    return found


def _kinds(outcomes: Outcomes, seed: int) -> Iterator[TrainedKind]:
    data = of_outcomes(outcomes, (STRONG_MODEL, WEAK_MODEL))
    yield TrainedKind(WORDS, lambda: BaselineCandidate(outcomes))
    yield TrainedKind(LOCAL, lambda: LocalCandidate(prepare(outcomes, default_embedding()), seed))
    yield TrainedKind(KNN, lambda: Searched(NeighbourFitter(data, seed), data, seed))
    yield TrainedKind(LINEAR, lambda: Searched(LinearFitter(data, seed), data, seed))


def _held_out(kind: TrainedKind, folds: Folds) -> Floats | None:
    sizes = np.bincount(folds[folds >= 0])
    if len(folds) - sizes.max() < _LEAST:
        return None
    try:
        with threadpool_limits(limits=1):
            scores = held_out_scores(kind.build(), folds)[:, 0]
    except (TooFewPromptsError, ValueError):
        return None
    return scores if np.isfinite(scores).all() else None


def learning_curves(
    outcomes: Outcomes, *, seed: int, step: Step = lambda name: None
) -> dict[str, dict[int, float | None]]:
    """APGR of the kinds that train quickly, by the number of training pairs: every fold is scored
    by a fit on that many of the other rows. None where the strong model is not surely better."""
    data = of_outcomes(outcomes, (STRONG_MODEL, WEAK_MODEL))
    folds = question_folds(len(outcomes), seed)
    candidates: dict[str, CandidateFit] = {
        WORDS: BaselineCandidate(outcomes),
        KNN: Searched(NeighbourFitter(data, seed), data, seed),
        LINEAR: Searched(LinearFitter(data, seed), data, seed),
    }
    most = int(len(outcomes) * (1 - 1 / N_FOLDS))
    found: dict[str, dict[int, float | None]] = {}
    for name, candidate in candidates.items():
        found[name] = {}
        for size in (size for size in SIZES if size <= most):
            limited = _Limited(candidate, size, seed)
            with threadpool_limits(limits=1):
                scores = held_out_scores(limited, folds)[:, 0]
            found[name][size] = measure(scores, outcomes.strong, outcomes.weak).apgr
        step(f"{name}, learning curve")
    return found


@dataclass(frozen=True, eq=False)
class _Limited:
    """A candidate that is fitted on so many of the training rows, drawn at random."""

    candidate: CandidateFit
    size: int
    seed: int
    names: ClassVar[tuple[str, ...]] = ("limited",)

    def __call__(self, train: Rows, held_out: Rows) -> Floats:
        drawn = np.random.default_rng(self.seed).permutation(train)[: self.size]
        return self.candidate(np.sort(drawn), held_out)
