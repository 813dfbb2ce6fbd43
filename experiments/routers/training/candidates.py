"""Candidates for cross-validation: the local routers, their parts, and a baseline."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import Ridge

from experiments.routers.outcomes import GSM8K, Outcomes
from experiments.routers.training.examples import Rows, TrainingData
from experiments.routers.training.fit import fit_local, gains, gains_by_part
from experiments.routers.training.mf import fit_mf
from experiments.routers.training.open_prior import OpenPrompts

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LocalCandidate:
    """The local router, and each of its three parts alone."""

    data: TrainingData
    seed: int
    open_prompts: OpenPrompts | None = None
    names: ClassVar[tuple[str, ...]] = (
        "local",
        "words and pairs alone",
        "structure, logistic, alone",
        "structure, trees, alone",
    )

    def __call__(self, train: Rows, held_out: Rows) -> Floats:
        model = fit_local(self.data, train, self.seed, open_prompts=self.open_prompts)
        full = self.data.full
        return np.column_stack((gains(model, full, held_out), gains_by_part(model, full, held_out)))


@dataclass(frozen=True, eq=False)
class MFCandidate:
    data: TrainingData
    seed: int
    names: ClassVar[tuple[str, ...]] = ("local_mf",)

    def __call__(self, train: Rows, held_out: Rows) -> Floats:
        full = self.data.full
        weights = fit_mf(full.embedding[train], full.strong[train], full.weak[train], self.seed)
        return (full.embedding[held_out] @ weights.direction()).astype(np.float64)[:, None]


class BaselineCandidate:
    """Hashed words and word pairs with ridge regression, one model for GSM8K, one for the rest."""

    names: ClassVar[tuple[str, ...]] = ("baseline: hashed words and pairs, ridge",)

    def __init__(self, outcomes: Outcomes) -> None:
        hashing = HashingVectorizer(ngram_range=(1, 2), n_features=2**18)
        self._words = hashing.transform(outcomes.prompts).tocsr()
        self._gain = outcomes.strong - outcomes.weak
        self._is_problem = np.array([group == GSM8K for group in outcomes.groups])

    def __call__(self, train: Rows, held_out: Rows) -> Floats:
        scores = np.zeros(len(held_out))
        for kind in (True, False):
            learn = train[self._is_problem[train] == kind]
            judge = self._is_problem[held_out] == kind
            if len(learn) and judge.any():
                ridge = Ridge(alpha=3.0, solver="sparse_cg", tol=1e-4)
                ridge.fit(self._words[learn], self._gain[learn])
                scores[judge] = ridge.predict(self._words[held_out[judge]])
        return scores[:, None]
