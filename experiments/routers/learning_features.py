"""Features of a prompt for the learned router: vectors that scoring computes anyway.

The structure numbers and the embedding are standardized as the shipped router's head for open
prompts does it; words and word pairs are hashed into a fixed number of signed columns (Weinberger
and others, "Feature hashing for large scale multitask learning", 2009). So no state depends on the
traffic, and a checkpoint holds no text.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.learning.prompt_kernel import Matrix, PromptVectors, Rows
from experiments.routers.domain_prompts import load_sources
from experiments.routers.features import Features, Grams, featurise
from experiments.routers.heads import HeadInputs
from experiments.routers.local import LocalRouter, inputs_of

WORD_COLUMNS = 2_048

_FARTHEST = 3.0
_SIGN_FACTOR = np.uint32(2_654_435_761)
_SIGN_BIT = np.uint32(20)
_COLD_PROMPTS = 300

# The shipped router's scores on the prompts it was measured on: the logit's middle and spread.
_MIDDLE, _SPREAD = 1.1, 0.9
_CLOSEST_TO_CERTAIN = 1e-4


class LearningFeatures:
    """Turns prompts into rows of the kernel, and scores into the gain model's shipped part."""

    def __init__(self, router: LocalRouter) -> None:
        self._router = router
        self._dense = router.model.open.dense

    def vectors(self, prompts: Sequence[HeadInputs], domains: Rows | None = None) -> PromptVectors:
        """`prompts` in order; `domains` holds a number for each, the same everywhere if None."""
        count = len(prompts)
        words = np.zeros((count, WORD_COLUMNS), dtype=np.float32)
        for row, seen in zip(words, prompts, strict=True):
            _hash_words(seen.grams, row)
        dense = self._dense
        structure = np.stack([seen.structure for seen in prompts])
        size = structure.shape[1]
        standard = (structure - dense.mean[:size]) / dense.scale[:size]
        embedding = np.stack([seen.embedding for seen in prompts]) - dense.center
        return PromptVectors(
            _unit(words),
            _unit(embedding),
            np.asarray(np.clip(standard, -_FARTHEST, _FARTHEST) / np.sqrt(size), dtype=np.float32),
            np.zeros(count, dtype=np.intp) if domains is None else domains,
        )

    def inputs(self, features: Features) -> HeadInputs:
        return inputs_of(features, self._router.embedding)


def standard_score(scores: NDArray[np.float64]) -> Matrix:
    """The shipped router's win rates as about standard normal numbers, from -3 to 3."""
    inside = np.clip(scores, _CLOSEST_TO_CERTAIN, 1 - _CLOSEST_TO_CERTAIN)
    logit = np.log(inside / (1 - inside))
    standard = np.clip((logit - _MIDDLE) / _SPREAD, -_FARTHEST, _FARTHEST)
    return np.asarray(standard, dtype=np.float32)


def shipped_quantiles(score: Callable[[Features], float]) -> NDArray[np.float64]:
    """Scores of shipped prompts of all domains, sorted: where thresholds start."""
    prompts = [prompt for source in load_sources() for prompt in (*source.seed, *source.prompts)]
    step = max(1, len(prompts) // _COLD_PROMPTS)
    return np.sort([score(featurise(prompt)) for prompt in prompts[::step]])


def _hash_words(grams: Grams, row: Matrix) -> None:
    """Add the dampened counts to their columns, half of them with a minus sign."""
    signs = 1 - 2.0 * ((grams.keys * _SIGN_FACTOR) >> _SIGN_BIT & np.uint32(1))
    np.add.at(row, grams.keys % np.uint32(WORD_COLUMNS), (1 + np.log(grams.counts)) * signs)


def _unit(rows: Matrix) -> Matrix:
    lengths = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    return np.asarray(rows / np.maximum(lengths, 1e-6), dtype=np.float32)
