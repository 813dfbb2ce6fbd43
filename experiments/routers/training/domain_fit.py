"""Fits the domain detector's head: softmax regression on words, word pairs and embedding, and two
naive Bayes models of the words, whose weights are added.

Regression gives rare words little weight, naive Bayes gives them more; its complement version,
which counts the words of the other domains, works for domains with few prompts. All three are
linear in the same numbers, so together they are as fast as one.
"""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from experiments.analysis.softmax import LinearFit, softmax_regression
from experiments.core.selection import GENERAL
from experiments.routers.domain_head import DomainHead, Matrix, Vocabulary
from experiments.routers.embedding import Vector
from experiments.routers.training.domain_rows import Positions, Rows

_WORDS_SCALE, _EMBEDDING_SCALE = 3.0, 5.0
_PENALTY = 1 / 3
_ITERATIONS = 60
_LEAST_PROMPTS = 2
_BAYES_SHARE, _BAYES_SMOOTHING = 0.1, 0.02
_COMPLEMENT_SHARE, _COMPLEMENT_SMOOTHING = 7.0, 0.005
# In doubt a prompt is general. More of it finds more general prompts and fewer of all others.
_GENERAL_START = 0.8


def fit_head(rows: Rows, train: Positions) -> DomainHead:
    """``temperature`` is 1: calibration needs rows that were not trained on."""
    vocabulary, places = _vocabulary(rows, train)
    words = word_values(rows, vocabulary, places)[train]
    embedding = sp.csr_matrix(rows.embedding[train] * _EMBEDDING_SCALE)
    inputs = sp.hstack([words * _WORDS_SCALE, embedding]).tocsr().astype(np.float32)
    linear = _regression(inputs, rows, train)
    size = len(vocabulary.keys)
    by_words = linear.weights[:size] * _WORDS_SCALE + _naive_bayes(words, rows, train)
    return DomainHead(
        names=rows.names,
        vocabulary=vocabulary,
        words=by_words.astype(np.float16),
        meaning=linear.weights[size:] * np.float32(_EMBEDDING_SCALE),
        offset=linear.offset + np.float32(_GENERAL_START) * _is_general(rows.names),
        temperature=1.0,
    )


def batch_logits(head: DomainHead, rows: Rows, at: Positions) -> Matrix:
    """``head.logits`` of many rows at once."""
    places = np.searchsorted(rows.keys, head.vocabulary.keys)
    words = word_values(rows, head.vocabulary, places)[at]
    embedding = rows.embedding[at]
    total = words @ head.words.astype(np.float32) + embedding @ head.meaning
    return np.asarray((total + head.offset) / head.temperature)


def word_values(rows: Rows, vocabulary: Vocabulary, places: Positions) -> sp.csr_matrix:
    """Rarity of each known word and pair found, every row at unit length."""
    values = (rows.found[:, places] @ sp.diags(vocabulary.rarity)).tocsr()
    lengths = np.sqrt(np.asarray(values.multiply(values).sum(axis=1)).ravel())
    lengths[lengths == 0] = 1
    return (sp.diags((1 / lengths).astype(np.float32)) @ values).tocsr().astype(np.float32)


def _vocabulary(rows: Rows, train: Positions) -> tuple[Vocabulary, Positions]:
    """Words and pairs of at least two training prompts; their text is not kept."""
    prompts = np.asarray(rows.found[train].sum(axis=0)).ravel()
    places = np.flatnonzero(prompts >= _LEAST_PROMPTS)
    rarity = np.log((1 + len(train)) / (1 + prompts[places])) + 1
    rounded = rarity.astype(np.float16).astype(np.float32)
    return Vocabulary(rows.keys[places], rounded), places


def _is_general(names: Sequence[str]) -> Vector:
    return np.array([name == GENERAL for name in names], dtype=np.float32)


def _naive_bayes(words: sp.csr_matrix, rows: Rows, train: Positions) -> Matrix:
    """Multinomial and complement naive Bayes (Rennie et al., 2003) on weighted words, as weights.

    Each row of either is centred over the domains, which changes no decision.
    """
    members = np.eye(len(rows.names), dtype=np.float32)[rows.label[train]]
    counts = words.T @ (members * rows.weight[train, None])
    inside = _log_shares(counts + _BAYES_SMOOTHING)
    others = counts.sum(axis=1, keepdims=True) - counts
    outside = -_log_shares(others + _COMPLEMENT_SMOOTHING)
    outside /= np.abs(outside).mean(axis=0)
    both = _BAYES_SHARE * inside + _COMPLEMENT_SHARE * outside
    return np.asarray(both - both.mean(axis=1, keepdims=True), dtype=np.float32)


def _log_shares(counts: Matrix) -> Matrix:
    return np.asarray(np.log(counts / counts.sum(axis=0)))


def _regression(inputs: sp.csr_matrix, rows: Rows, train: Positions) -> LinearFit:
    classes = len(rows.names)
    return softmax_regression(
        inputs,
        np.eye(classes, dtype=np.float32)[rows.label[train]],
        np.zeros((len(train), classes), dtype=np.float32),
        rows.weight[train],
        columns=np.arange(classes),
        penalty=_PENALTY,
        iterations=_ITERATIONS,
    )
