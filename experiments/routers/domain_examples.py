"""Operators' example prompts and custom domains, without a training run.

The shipped head stays unchanged. One small correction per domain is fitted on top of it, on the
embedding and on the words of the examples, so that the examples are distinguished from the shipped
hand-written prompts of all domains (the background). It takes about a second, is deterministic, and
its size is penalised, so it changes no more than the examples require.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.softmax import softmax_regression
from experiments.core.selection import GENERAL
from experiments.routers.domain_head import Matrix, Vocabulary
from experiments.routers.embedding import Vector
from experiments.routers.features import Features, subject_keys

# Chosen by making domains of held-out subjects, with 5 and 20 examples (docs/domains-detector.md).
_PENALTY = 100.0
_EMBEDDING_SCALE = 5.0
_WORDS_SCALE = 3.0
_ITERATIONS = 60
# A few examples represent many prompts that were left out; many examples need less weight.
_ONE_EXAMPLE_AT_MOST, _ONE_EXAMPLE_AT_LEAST, _ALL_EXAMPLES = 400.0, 2.0, 8000.0


class Logits(Protocol):
    """The shipped heads: one number per domain of `names` for a prompt, in a new array."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def vocabulary(self) -> Vocabulary: ...

    def logits_of(self, features: Features) -> Vector: ...


class LabelledFeatures(NamedTuple):
    features: Features
    domain: str


@dataclass(frozen=True, eq=False)
class Correction:
    """What is added to the log-probabilities of ``names``; known words are the examples' own."""

    names: tuple[str, ...]
    vocabulary: Vocabulary
    weights: Matrix
    offset: Vector

    def __call__(self, features: Features) -> Vector:
        size = features.embedding.shape[0]
        seen = self.vocabulary.look_up(features)
        by_meaning = seen.embedding @ self.weights[:size] * _EMBEDDING_SCALE
        by_words = seen.values @ self.weights[size:][seen.at] * _WORDS_SCALE
        return np.asarray(by_meaning + by_words + self.offset, dtype=np.float32)


def log_probabilities(head: Logits, features: Features, names: Sequence[str]) -> Vector:
    """The head's opinion on ``names``, in order; their probabilities sum to 1.

    The probability of domains that are switched off or deleted goes to ``general``: such a prompt
    belongs to no active domain. A custom domain gets 0, to which the correction's offset is added.
    """
    columns = _columns(head.names, tuple(names))
    logits = head.logits_of(features)
    if columns.lost_to_general is not None:
        logits[columns.general] = _log_sum(logits[columns.lost_to_general])
    kept = logits[columns.kept]
    found = np.zeros(len(names), dtype=np.float32)
    if len(kept):
        found[columns.at] = kept - _log_sum(kept)
    return found


class _Columns(NamedTuple):
    """Where the domains `names` are among the head's. `kept` are the head's columns, `at` their
    places among `names`; `lost_to_general` are the column of `general` and those of domains that
    are not among `names`, None if there are no such domains."""

    kept: NDArray[np.intp]
    at: NDArray[np.intp]
    general: int
    lost_to_general: NDArray[np.intp] | None


@lru_cache(maxsize=64)
def _columns(known: tuple[str, ...], names: tuple[str, ...]) -> _Columns:
    pairs = [(known.index(name), at) for at, name in enumerate(names) if name in known]
    kept, at = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    general = known.index(GENERAL)
    lost = [column for column, name in enumerate(known) if name not in names]
    to_general = np.array([general, *lost]) if lost and GENERAL in names else None
    return _Columns(kept, at, general, to_general)


def fit_correction(
    head: Logits,
    names: Sequence[str],
    examples: Sequence[LabelledFeatures],
    background: Sequence[LabelledFeatures],
) -> Correction:
    """Penalised maximum likelihood, starting from the head's log-probabilities.

    Only domains with examples are corrected: the head knows the others better than the background.
    """
    vocabulary = _words_of(examples, head.vocabulary)
    rows = [*background, *examples]
    inputs = np.array([_inputs(row.features, vocabulary) for row in rows])
    start = np.array([log_probabilities(head, row.features, names) for row in rows], np.float64)
    target = np.eye(len(names))[[_column(row.domain, names) for row in rows]]
    shares = np.concatenate((np.ones(len(background)), _shares(examples)))
    corrected = np.array(sorted({names.index(row.domain) for row in examples}))
    fitted = softmax_regression(
        inputs, target, start, shares, columns=corrected, penalty=_PENALTY, iterations=_ITERATIONS
    )
    weights = np.zeros((inputs.shape[1], len(names)), dtype=np.float32)
    offset = np.zeros(len(names), dtype=np.float32)
    weights[:, corrected], offset[corrected] = fitted
    return Correction(tuple(names), vocabulary, weights, offset)


def _inputs(features: Features, vocabulary: Vocabulary) -> NDArray[np.float64]:
    seen = vocabulary.look_up(features)
    words = np.zeros(len(vocabulary.keys))
    words[seen.at] = seen.values * _WORDS_SCALE
    return np.concatenate((features.embedding * _EMBEDDING_SCALE, words))


def _words_of(examples: Sequence[LabelledFeatures], known: Vocabulary) -> Vocabulary:
    """The examples' words and pairs; one that training never saw is as rare as the rarest."""
    keys = np.unique(np.concatenate([subject_keys(row.features) for row in examples]))
    at = np.searchsorted(known.keys, keys)
    at[at == len(known.keys)] = 0
    rarest = known.rarity.max()
    rarity = np.where(known.keys[at] == keys, known.rarity[at], rarest).astype(np.float32)
    return Vocabulary(keys, rarity)


def _shares(examples: Sequence[LabelledFeatures]) -> NDArray[np.float64]:
    """The weight of each example in background prompts: 320 with five examples, 80 with ten."""
    counts = Counter(row.domain for row in examples)
    each = np.array([_ALL_EXAMPLES / counts[row.domain] ** 2 for row in examples])
    return np.asarray(np.clip(each, _ONE_EXAMPLE_AT_LEAST, _ONE_EXAMPLE_AT_MOST))


def _column(domain: str, names: Sequence[str]) -> int:
    return names.index(domain if domain in names else GENERAL)


def _log_sum(values: Vector) -> float:
    top = float(values.max())
    return top + float(np.log(np.exp(values - top).sum()))
