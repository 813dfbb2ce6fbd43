"""A trained local router: plain arrays, and plain NumPy to apply them.

A head estimates a *gain*: how much better the strong model's answer is expected to be, from -1
to 1. It is the mean of three estimates that err in different ways: words and word pairs (a ridge
regression), the prompt's structure through two logistic regressions (is the strong model right,
is the weak one), and the same structure through small boosted trees.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.routers.embedding import Vector
from experiments.routers.features import Grams, Keys
from experiments.routers.open_prior import OpenPrior
from experiments.routers.prompt_features import LOG_LENGTH

_FARTHEST = 5.0
_LEAST_SHARE = 0.01
_FAMILIAR = 0.3  # of words and pairs known; 99 of 100 English prompts have more


@dataclass(frozen=True, eq=False)
class DenseInput:
    """Structure numbers and a few main directions of the embedding, at mean 0 and spread 1."""

    center: Vector
    directions: Vector
    mean: Vector
    scale: Vector

    def __call__(self, structure: Vector, embedding: Vector) -> Vector:
        """For one prompt or, row by row, for many. Clipped, so no unusual prompt is extreme."""
        main = (embedding - self.center) @ self.directions
        raw: Vector = np.concatenate((structure, main), axis=-1)
        standard: Vector = (raw - self.mean) / self.scale
        return np.minimum(np.maximum(standard, -_FARTHEST), _FARTHEST)


@dataclass(frozen=True, eq=False)
class WordBlock:
    """A linear model on the weighted, unit-length counts of known words and pairs."""

    keys: Keys
    rarity: Vector
    weights: Vector
    intercept: float
    dampened: bool

    def gain(self, found: Grams) -> float:
        at = self.keys.searchsorted(found.keys)
        at[at == len(self.keys)] = 0
        known = self.keys[at] == found.keys
        at, counts = at[known], found.counts[known]
        if not len(at):
            return self.intercept
        values = (1 + np.log(counts) if self.dampened else counts) * self.rarity[at]
        return float(values @ self.weights[at] / np.sqrt(values @ values)) + self.intercept

    def known_share(self, found: Grams) -> float:
        """The share of a prompt's words and pairs that training saw."""
        if not len(found.keys):
            return 0.0
        at = np.searchsorted(self.keys, found.keys)
        at[at == len(self.keys)] = 0
        return float(np.count_nonzero(self.keys[at] == found.keys)) / len(found.keys)


@dataclass(frozen=True, eq=False)
class LogitBlock:
    """Two logistic regressions: P(strong model right) - P(weak model right)."""

    strong: Vector
    weak: Vector
    strong_intercept: float
    weak_intercept: float

    def gain(self, dense: Vector) -> float:
        return sigmoid(float(dense @ self.strong) + self.strong_intercept) - sigmoid(
            float(dense @ self.weak) + self.weak_intercept
        )


@dataclass(frozen=True, eq=False)
class TreeBlock:
    """Boosted trees side by side, one row a tree; a leaf's children are the leaf itself."""

    feature: NDArray[np.int16]
    threshold: NDArray[np.float64]
    left: NDArray[np.int16]
    right: NDArray[np.int16]
    value: NDArray[np.float64]
    depth: int
    intercept: float

    @cached_property
    def _flat(self) -> "_FlatTrees":
        return _FlatTrees.of(self)

    def gain(self, dense: Vector) -> float:
        flat = self._flat
        node, feature, threshold = flat.roots, flat.root_feature, flat.root_threshold
        for level in range(self.depth):
            if level:
                feature, threshold = flat.feature.take(node), flat.threshold.take(node)
            node = flat.children.take(node + (dense.take(feature) > threshold))
        return float(flat.value.take(node).sum()) + self.intercept


class _FlatTrees(NamedTuple):
    """The nodes of all trees in one row, each of them twice: where a node is, and right after it,
    `children` has the place of its left and its right child."""

    roots: NDArray[np.intp]
    root_feature: NDArray[np.intp]
    root_threshold: NDArray[np.float64]
    feature: NDArray[np.intp]
    threshold: NDArray[np.float64]
    children: NDArray[np.intp]
    value: NDArray[np.float64]

    @classmethod
    def of(cls, block: TreeBlock) -> "_FlatTrees":
        trees, nodes = block.feature.shape
        first = np.arange(trees, dtype=np.intp) * nodes
        children = np.stack((block.left, block.right), axis=2) + first[:, None, None]
        return cls(
            2 * first,
            block.feature[:, 0].astype(np.intp),
            block.threshold[:, 0].copy(),
            block.feature.ravel().astype(np.intp).repeat(2),
            block.threshold.ravel().repeat(2),
            2 * children.ravel().astype(np.intp),
            block.value.ravel().repeat(2),
        )


class HeadInputs(NamedTuple):
    """The input of a head: one prompt."""

    grams: Grams
    structure: Vector
    embedding: Vector


class Parts(NamedTuple):
    """The three estimates of the gain; the mean is what counts."""

    words: float
    logit: float
    trees: float

    @property
    def mean(self) -> float:
        return (self.words + self.logit + self.trees) / 3


@dataclass(frozen=True, eq=False)
class Head:
    dense: DenseInput
    words: WordBlock
    logit: LogitBlock
    trees: TreeBlock

    def parts(self, seen: HeadInputs) -> Parts:
        dense = self.dense(seen.structure, seen.embedding)
        return Parts(self.words.gain(seen.grams), self.logit.gain(dense), self.trees.gain(dense))


@dataclass(frozen=True, eq=False)
class Gate:
    """How much an open prompt looks like an arithmetic word problem, from 0 to 1."""

    weights: Vector
    intercept: float

    def share(self, embedding: Vector) -> float:
        return sigmoid(float(embedding @ self.weights) + self.intercept)


@dataclass(frozen=True, eq=False)
class LocalModel:
    """A head for prompts with options, one for word problems, one for all other open prompts.

    With a ``prior``, the gain of open prompts is moved and freed from length (see ``OpenPrior``).
    """

    choices: Head
    arithmetic: Head
    open: Head
    gate: Gate
    prior: OpenPrior | None = None

    def parts(self, seen: HeadInputs, *, has_options: bool) -> Parts:
        if has_options:
            return self.choices.parts(seen)
        share = self.gate.share(seen.embedding)
        pairs = zip(self.arithmetic.parts(seen), self.open.parts(seen), strict=True)
        return Parts(*(share * problem + (1 - share) * other for problem, other in pairs))

    def gain(self, seen: HeadInputs, *, has_options: bool) -> float:
        """The expected gain of the strong model on this prompt, from about -1 to 1."""
        if has_options or self.prior is None:
            return self.parts(seen, has_options=has_options).mean
        share = self.gate.share(seen.embedding)
        exam = self.open.parts(seen).mean
        known = min(1.0, self.open.words.known_share(seen.grams) / _FAMILIAR)
        other = self.prior.gain(exam, float(seen.structure[LOG_LENGTH]), seen.embedding, known)
        problem = self.arithmetic.parts(seen).mean if share > _LEAST_SHARE else other
        return share * problem + (1 - share) * other


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else 1 - 1 / (1 + math.exp(x))
