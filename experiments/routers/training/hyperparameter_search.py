"""Searches the settings of router kinds, within the training rows.

A small grid is tried on one split of those rows: a fifth is held out, in whole groups if there are
enough. So the choice does not affect figures measured on other rows. At most
``MOST_SEARCHED`` rows take part, which bounds the time.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from experiments.analysis.off_policy.ipw import inverse
from experiments.analysis.routing.curves import Prompts, curves_of
from experiments.routers.embedding import Vector
from experiments.routers.heads import LocalModel
from experiments.routers.mf_model import MFWeights
from experiments.routers.per_model import KNN, LINEAR, Linear, Neighbours
from experiments.routers.training.estimators import fit_words
from experiments.routers.training.examples import Rows, TrainingData
from experiments.routers.training.fit import CHOICES, fit_local, gains
from experiments.routers.training.folds import N_FOLDS, group_folds, question_folds
from experiments.routers.training.mf import fit_mf
from experiments.routers.training.training_data import TrainingSet

Floats = NDArray[np.float64]

MOST_SEARCHED = 4_000
MOST_NEIGHBOURS = 6_000
_LEAST_KNOWN = 20


class Fitter(Protocol):
    """One kind of router. `grid` holds the values of its one setting, `setting` names it."""

    kind: ClassVar[str]
    setting: ClassVar[str]
    grid: ClassVar[tuple[float, ...]]

    def tried(self, value: float, train: Rows, held_out: Rows) -> Floats:
        """Gains of held-out rows, computed fast, to compare values of the setting."""
        ...

    def gains(self, value: float, train: Rows, held_out: Rows) -> Floats:
        """Gains of held-out rows by the complete router."""
        ...


@dataclass(frozen=True, eq=False)
class Searched:
    """A candidate for cross-validation that searches again in every fold."""

    fitter: Fitter
    data: TrainingSet
    seed: int
    names: ClassVar[tuple[str, ...]] = ("searched",)

    def __call__(self, train: Rows, held_out: Rows) -> Floats:
        return self.fitter.gains(self.best(train), train, held_out)[:, None]

    def best(self, rows: Rows) -> float:
        """The value whose order of prompts is best; of equals the first."""
        part = rows
        if len(rows) > MOST_SEARCHED:
            drawn = np.random.default_rng(self.seed).permutation(len(rows))[:MOST_SEARCHED]
            part = rows[np.sort(drawn)]
        train, held_out = self._split(part)
        strong, weak = (column[held_out] for column in self.data.judged)
        found = {
            value: _order_quality(self.fitter.tried(value, train, held_out), strong, weak)
            for value in self.fitter.grid
        }
        return max(found, key=lambda value: found[value])

    def _split(self, rows: Rows) -> tuple[Rows, Rows]:
        groups = [self.data.groups[row] for row in rows.tolist()]
        if len(set(groups)) >= N_FOLDS:
            folds = group_folds(groups, np.ones(len(rows), dtype=bool), self.seed)
        else:
            folds = question_folds(len(rows), self.seed)
        return rows[folds != 0], rows[folds == 0]


def _order_quality(gains: Floats, strong: Floats, weak: Floats) -> float:
    """Mean quality over all strong shares: APGR, but defined for any outcomes."""
    prompts, _ = Prompts.ordered(gains, strong, weak)
    curve = curves_of(prompts)
    return float(curve.area(curve.quality)[0])


@dataclass(frozen=True, eq=False)
class LocalFitter:
    """`local`: the ridge penalty of words, tried with the words alone."""

    data: TrainingData
    seed: int
    kind: ClassVar[str] = "local"
    setting: ClassVar[str] = "ridge_scale"
    grid: ClassVar[tuple[float, ...]] = (1.0, 0.5, 2.0)

    def tried(self, value: float, train: Rows, held_out: Rows) -> Floats:
        full = self.data.full
        settings = CHOICES.words._replace(ridge=CHOICES.words.ridge * value)
        gain = (full.strong - full.weak)[train]
        words = fit_words(sp.csr_matrix(full.counts[train]), full.keys, gain, settings)
        return np.array([words.gain(full.inputs[row].grams) for row in held_out])

    def gains(self, value: float, train: Rows, held_out: Rows) -> Floats:
        model = self.fit(value, train)
        return gains(model, self.data.full, held_out)

    def fit(self, value: float, rows: Rows) -> LocalModel:
        return fit_local(self.data, rows, self.seed, ridge_scale=value)


@dataclass(frozen=True, eq=False)
class MFFitter:
    """`local_mf`: its weight decay."""

    data: TrainingSet
    seed: int
    kind: ClassVar[str] = "local_mf"
    setting: ClassVar[str] = "decay"
    grid: ClassVar[tuple[float, ...]] = (1e-3, 1e-2)

    def tried(self, value: float, train: Rows, held_out: Rows) -> Floats:
        return self.gains(value, train, held_out)

    def gains(self, value: float, train: Rows, held_out: Rows) -> Floats:
        direction = self.fit(value, train).direction()
        return (self.data.embedding[held_out] @ direction).astype(np.float64)

    def fit(self, value: float, rows: Rows) -> MFWeights:
        strong, weak = (column[rows] for column in self.data.judged)
        return fit_mf(self.data.embedding[rows], strong, weak, self.seed, decay=value)


@dataclass(frozen=True, eq=False)
class LinearFitter:
    """`linear`: the penalty of the regressions (scikit-learn's C)."""

    data: TrainingSet
    seed: int
    kind: ClassVar[str] = LINEAR
    setting: ClassVar[str] = "strength"
    grid: ClassVar[tuple[float, ...]] = (0.3, 0.03, 3.0)

    def tried(self, value: float, train: Rows, held_out: Rows) -> Floats:
        return self.gains(value, train, held_out)

    def gains(self, value: float, train: Rows, held_out: Rows) -> Floats:
        return _pair_gain(self.fit(value, train)(self.data.embedding[held_out]))

    def fit(self, value: float, rows: Rows) -> Linear:
        embedding = self.data.embedding[rows]
        weights = inverse(self.data.propensity[rows])
        fits = [
            _regression(embedding, self.data.quality[rows, model], weights, value)
            for model in range(len(self.data.models))
        ]
        return Linear(
            np.stack([fit[0] for fit in fits]), np.array([fit[1] for fit in fits], np.float32)
        )


@dataclass(frozen=True, eq=False)
class NeighbourFitter:
    """`knn`: how many neighbours."""

    data: TrainingSet
    seed: int
    kind: ClassVar[str] = KNN
    setting: ClassVar[str] = "neighbours"
    grid: ClassVar[tuple[float, ...]] = (50, 15, 150)

    def tried(self, value: float, train: Rows, held_out: Rows) -> Floats:
        return self.gains(value, train, held_out)

    def gains(self, value: float, train: Rows, held_out: Rows) -> Floats:
        return _pair_gain(self.fit(value, train)(self.data.embedding[held_out]))

    def fit(self, value: float, rows: Rows) -> Neighbours:
        """At most 6,000 prompts are stored, drawn at random: scoring takes time for each."""
        if len(rows) > MOST_NEIGHBOURS:
            drawn = np.random.default_rng(self.seed).permutation(len(rows))[:MOST_NEIGHBOURS]
            rows = rows[np.sort(drawn)]
        quality = self.data.quality[rows]
        weights = inverse(self.data.propensity[rows])[:, None] * ~np.isnan(quality)
        return Neighbours(
            self.data.embedding[rows],
            np.nan_to_num(quality).astype(np.float32),
            weights.astype(np.float32),
            int(value),
        )


def _pair_gain(quality: Floats) -> Floats:
    return np.asarray(quality[:, 0] - quality[:, -1])


def _regression(
    embedding: Vector, quality: Floats, weights: Floats, strength: float
) -> tuple[Vector, float]:
    """Each known row counts once as right and once as wrong, weighted by its quality."""
    known = np.flatnonzero(~np.isnan(quality))
    right, weight = quality[known], weights[known] / max(float(weights[known].mean()), 1e-9)
    labels = np.repeat((True, False), len(known))
    twice = np.concatenate((weight * right, weight * (1 - right)))
    used = twice > 0
    if len(known) < _LEAST_KNOWN or len(set(labels[used].tolist())) < 2:
        mean = float(np.clip(right.mean() if len(right) else 0.5, 0.001, 0.999))
        return np.zeros(embedding.shape[1], np.float32), float(np.log(mean / (1 - mean)))
    rows = np.concatenate((embedding[known], embedding[known]))[used]
    model = LogisticRegression(C=strength, max_iter=500, tol=1e-3)
    model.fit(rows, labels[used], twice[used])
    return model.coef_[0].astype(np.float32), float(model.intercept_[0])
