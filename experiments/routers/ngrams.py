"""Words and word pairs of a prompt as 32-bit keys, so that no question's text is stored."""

from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from experiments.routers.features import Features

Keys = NDArray[np.uint32]

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
    question, options = _word_keys(features.question), _word_keys(features.options)
    every = np.concatenate(
        (
            question ^ _QUESTION_WORD,
            _pair_keys(question) ^ _QUESTION_PAIR,
            options ^ _OPTION_WORD,
            _pair_keys(options) ^ _OPTION_PAIR,
        )
    )
    keys, counts = np.unique(every, return_counts=True)
    return Grams(keys, counts.astype(np.float32))


def _word_keys(words: Sequence[str]) -> Keys:
    hashed = (crc32(word.encode("utf-8", "surrogatepass")) for word in words)
    return np.fromiter(hashed, dtype=np.uint32, count=len(words))


def _pair_keys(words: Keys) -> Keys:
    return words[:-1] * _FIRST + words[1:] * _SECOND


def subject_keys(features: Features) -> Keys:
    """The distinct words and pairs of a whole prompt, whose subject is that of all its parts."""
    words = _word_keys(features.tokens)
    return np.unique(np.concatenate((words, _pair_keys(words))))
