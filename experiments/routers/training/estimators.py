"""Fits the parts of a head with scikit-learn; the results are plain arrays."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from experiments.routers.embedding import Vector
from experiments.routers.features import Keys
from experiments.routers.heads import DenseInput, Gate, LogitBlock, TreeBlock, WordBlock

Floats = NDArray[np.float64]

_TOLERANCE = 1e-3
_SMALLEST_SCALE = 1e-6
_SURE = 20.0


class WordSettings(NamedTuple):
    """``dampened``: 1 + log(count) times rarity (tf-idf); else plain counts."""

    dampened: bool
    ridge: float
    least_prompts: int = 2


class TreeSettings(NamedTuple):
    trees: int
    rate: float
    depth: int = 3
    least_leaf: int = 50
    shrinkage: float = 20.0


def fit_dense(structure: Vector, embedding: Vector, directions: int) -> DenseInput:
    """Means and spreads, and the directions in which the embeddings differ most."""
    center = embedding.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov((embedding - center).T.astype(np.float64)))
    main = vectors[:, ::-1][:, :directions]
    main = main * np.sign(main[np.abs(main).argmax(axis=0), np.arange(directions)])
    raw = np.concatenate((structure, (embedding - center) @ main), axis=1)
    scale = raw.std(axis=0)
    return DenseInput(
        center=center.astype(np.float32),
        directions=np.ascontiguousarray(main, dtype=np.float32),
        mean=raw.mean(axis=0).astype(np.float32),
        scale=np.where(scale > _SMALLEST_SCALE, scale, 1.0).astype(np.float32),
    )


def fit_words(counts: sp.csr_matrix, keys: Keys, gain: Floats, settings: WordSettings) -> WordBlock:
    """Ridge regression of the gain on words and pairs that occur in at least two prompts."""
    prompts = np.bincount(counts.indices, minlength=len(keys))
    kept = np.flatnonzero(prompts >= settings.least_prompts)
    values = counts[:, kept].astype(np.float64)
    rarity = np.ones(len(kept))
    if settings.dampened:
        values.data = 1 + np.log(values.data)
        rarity = 1 + np.log(len(gain) / prompts[kept])
    weighted = _unit_rows(values @ sp.diags(rarity))
    ridge = Ridge(alpha=settings.ridge, solver="sparse_cg", tol=_TOLERANCE).fit(weighted, gain)
    return WordBlock(
        keys=keys[kept],
        rarity=rarity.astype(np.float32),
        weights=ridge.coef_.astype(np.float32),
        intercept=float(ridge.intercept_),
        dampened=settings.dampened,
    )


def fit_logit(dense: Vector, strong: Floats, weak: Floats, strength: float) -> LogitBlock:
    """Scores between 0 and 1 count as that much right and the rest wrong."""
    of_strong, of_weak = (_logistic(dense, right, strength) for right in (strong, weak))
    return LogitBlock(
        strong=of_strong.coef_[0].astype(np.float32),
        weak=of_weak.coef_[0].astype(np.float32),
        strong_intercept=float(of_strong.intercept_[0]),
        weak_intercept=float(of_weak.intercept_[0]),
    )


def fit_gate(embedding: Vector, belongs: NDArray[np.bool_]) -> Gate:
    if belongs.all() or not belongs.any():
        return Gate(np.zeros(embedding.shape[1], np.float32), _SURE if belongs.all() else -_SURE)
    model = LogisticRegression(C=10.0, max_iter=500, class_weight="balanced")
    model.fit(embedding, belongs)
    return Gate(model.coef_[0].astype(np.float32), float(model.intercept_[0]))


def fit_trees(dense: Vector, gain: Floats, settings: TreeSettings, seed: int) -> TreeBlock:
    model = HistGradientBoostingRegressor(
        learning_rate=settings.rate,
        max_iter=settings.trees,
        max_depth=settings.depth,
        min_samples_leaf=settings.least_leaf,
        l2_regularization=settings.shrinkage,
        early_stopping=False,
        random_state=seed,
    ).fit(dense, gain)
    # The fitted trees have no public form in scikit-learn; its version is pinned.
    trees = [stage[0].nodes for stage in model._predictors]
    return _side_by_side(trees, settings.depth, float(model._baseline_prediction[0, 0]))


def _side_by_side(trees: list[NDArray[Any]], depth: int, intercept: float) -> TreeBlock:
    shape = (len(trees), max(map(len, trees)))
    feature, left, right = (np.zeros(shape, dtype=np.int16) for _ in range(3))
    threshold, value = np.zeros(shape), np.zeros(shape)
    for row, nodes in enumerate(trees):
        size, leaf = len(nodes), nodes["is_leaf"].astype(bool)
        itself = np.arange(size)
        feature[row, :size] = np.where(leaf, 0, nodes["feature_idx"])
        threshold[row, :size] = np.where(leaf, 0, nodes["num_threshold"])
        left[row, :size] = np.where(leaf, itself, nodes["left"])
        right[row, :size] = np.where(leaf, itself, nodes["right"])
        value[row, :size] = nodes["value"]
    return TreeBlock(feature, threshold, left, right, value, depth, intercept)


def _logistic(dense: Vector, right: Floats, strength: float) -> LogisticRegression:
    """Each row counts once as right and once as wrong, weighted by its score.

    A model that was right every time, or never, is given the odds of Laplace's (x + 1) / (n + 2).
    """
    model = LogisticRegression(C=strength, max_iter=500, tol=_TOLERANCE)
    if right.min() == right.max():
        least = 1 / (len(right) + 2)
        right = np.clip(right, least, 1 - least)
    if np.isin(right, (0.0, 1.0)).all():
        return model.fit(dense, right > 0)
    twice = np.concatenate((dense, dense))
    labels = np.repeat((True, False), len(right))
    return model.fit(twice, labels, np.concatenate((right, 1 - right)))


def _unit_rows(matrix: sp.csr_matrix) -> sp.csr_matrix:
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags(1 / np.where(lengths > 0, lengths, 1)) @ matrix)
