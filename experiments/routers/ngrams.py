"""Words and word pairs of a prompt as 32-bit keys, so that no question's text is stored."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.routers.features import Features, Keys

_QUESTION_WORD, _QUESTION_PAIR, _OPTION_WORD, _OPTION_PAIR = (
    np.uint32(salt) for salt in (0x00000000, 0x5BD1E995, 0x27D4EB2F, 0x165667B1)
)
_FIRST, _SECOND = np.uint32(0x9E3779B1), np.uint32(0x85EBCA77)


class Grams(NamedTuple):
    """The distinct words and pairs of a prompt: sorted keys, and how often each occurs."""

    keys: Keys
    counts: NDArray[np.float32]


def grams(features: Features) -> Grams:
    """Words and pairs of neighbours; those of the question and of the options have other keys."""
    question, options = np.split(features.keys, [len(features.question)])
    every = np.concatenate(
        (
            question ^ _QUESTION_WORD,
            _pair_keys(question) ^ _QUESTION_PAIR,
            options ^ _OPTION_WORD,
            _pair_keys(options) ^ _OPTION_PAIR,
        )
    )
    every.sort()
    starts = np.flatnonzero(_is_first(every))
    counts = np.empty(len(starts), dtype=np.float32)
    np.subtract(starts[1:], starts[:-1], out=counts[:-1], casting="unsafe")
    counts[-1:] = len(every) - starts[-1:]
    return Grams(every[starts], counts)


def _is_first(ordered: Keys) -> NDArray[np.bool_]:
    """Whether each of these sorted keys differs from the one before it."""
    first = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return first


def _pair_keys(words: Keys) -> Keys:
    return words[:-1] * _FIRST + words[1:] * _SECOND


def subject_keys(features: Features) -> Keys:
    """The distinct words and pairs of a whole prompt, whose subject is that of all its parts."""
    words = features.keys
    every = np.concatenate((words, _pair_keys(words)))
    every.sort()
    return every[_is_first(every)]
