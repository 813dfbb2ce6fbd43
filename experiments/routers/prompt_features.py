"""Structure of a prompt as numbers: lengths, numbers, negation, rarity of words, kind of options.

These describe how hard a question is rather than its subject, so they apply to subjects that were
not in the training data.
"""

import functools
import itertools
import re
import string
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from math import log, log1p

import numpy as np
from numpy.typing import NDArray

from experiments.routers.embedding import StaticEmbedding, Vector, default_embedding
from experiments.routers.features import Features

LOG_LENGTH = 0  # the place of log(1 + characters of the question)

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_DIGITS = str.maketrans("", "", string.digits)
_CAPITALS = str.maketrans("", "", string.ascii_uppercase)
_SIGNS = str.maketrans("", "", string.punctuation)
_CAPITALISED = re.compile(r"(?<=[a-z,] )[A-Z]")
_YEAR = re.compile(r"\b(?:1[0-9]|20)\d\d\b")
_FORMULA = re.compile(r"\b[A-Z][a-z]?\d")
_SENTENCE_END = re.compile(r"[.?!]\s")
_OPTION_LETTERS = frozenset("abcde")
_ROMAN = frozenset(("i", "ii", "iii", "iv"))
_NEGATIONS = frozenset(
    (
        *("not", "except", "least", "false", "incorrect", "never", "cannot"),
        *("neither", "nor", "without", "unlikely", "no"),
    )
)
_MODALS = frozenset(("should", "would", "could", "may", "might", "must", "can", "will"))
_COMPARISONS = frozenset(
    (
        *("more", "less", "greater", "higher", "lower", "larger", "smaller", "than"),
        *("increase", "decrease"),
    )
)
_SMALL_WORDS = frozenset(("the", "a", "of", "to", "in", "and"))
_LONG_WORD = 9
_COUNTED_IN_QUESTION = (
    *("what", "which", "why", "how", "who", "when", "where", "if", "suppose", "find"),
    *("calculate", "compute", "statement", "following", "best", "most", "true", "according"),
    *("passage", "many", "much", "each", "per", "percent", "total", "first", "than", "all"),
    *("none", "both", "above", "i", "he", "she", "my", "$", "%", "=", "^", "\\", "/", "_", "|"),
    *("(", "<", '"', "'", ":", ";", ".", ",", "?"),
)
_COUNTED_IN_OPTIONS = ("true", "false", "wrong", "only", "both", "none", "all")
_PLACE_IN_QUESTION = {word: place for place, word in enumerate(_COUNTED_IN_QUESTION)}
_PLACE_IN_OPTIONS = {word: place for place, word in enumerate(_COUNTED_IN_OPTIONS)}
_MOST_OF_ONE_WORD = 3


def structure(features: Features, embedding: StaticEmbedding) -> Vector:
    """One row of about a hundred finite numbers; 0 where a prompt lacks the part measured."""
    question, options = Counter(features.question), Counter(features.options)
    values = (
        *_question_shape(features, question),
        *(_option_shape(features, options) if features.options_text else _without_options()),
        *_wording(features, question, options),
        *_rarity(features.tokens, embedding),
        *_overlap(question, options),
        *_closeness(features, embedding),
        *_counts(question, _PLACE_IN_QUESTION),
        *_counts(options, _PLACE_IN_OPTIONS),
    )
    return np.frombuffer(array("f", values), dtype=np.float32)


def _question_shape(features: Features, words: Counter[str]) -> tuple[float, ...]:
    text, tokens = features.question_text, features.question
    numbers = _NUMBER.findall(text)
    size, length = 1 + len(tokens), 1 + len(text)
    stripped = text.rstrip()
    return (
        log(length),
        log(size),
        log1p(len(numbers)),
        len(numbers) / size,
        max(map(len, numbers), default=0),
        sum("." in number for number in numbers),
        sum(_is_above_100(number) for number in numbers),
        _share(text, _CAPITALS),
        _share(text, _SIGNS),
        _sum(words, _NEGATIONS),
        min(20, text.count("\n")),
        min(5, text.count("__")),
        stripped.endswith("?"),
        stripped.endswith("."),
        stripped.endswith(":"),
        sum(map(len, tokens)) / size,
        min(20, words["."] + words["?"]),
    )


def _counts(words: Mapping[str, int], places: Mapping[str, int]) -> list[int]:
    """How often each word of `places` occurs, at most three times, in their order."""
    counts = [0] * len(places)
    for word in words.keys() & places.keys():
        counts[places[word]] = min(_MOST_OF_ONE_WORD, words[word])
    return counts


def _sum(words: Mapping[str, int], counted: frozenset[str]) -> int:
    found = counted & words.keys()
    return sum(map(words.__getitem__, found)) if found else 0


@functools.cache
def _without_options() -> tuple[float, ...]:
    """The numbers of an open prompt, the same for all."""
    empty = Features("", "", "", default_embedding())
    return _option_shape(empty, Counter())


def _option_shape(features: Features, words: Counter[str]) -> tuple[float, ...]:
    text, tokens = features.options_text, features.options
    lengths = [len(line) for line in text.split("\n") if line.strip()] or [0]
    mean = sum(lengths) / len(lengths)
    spread = (sum((length - mean) ** 2 for length in lengths) / len(lengths)) ** 0.5
    numbers = _NUMBER.findall(text)
    size = 1 + len(tokens)
    return (
        log(size),
        min(20, len(lengths)),
        log1p(mean),
        log1p(max(lengths)),
        log1p(min(lengths)),
        spread / (1 + mean),
        log1p(len(numbers)),
        len(numbers) / size,
        sum("." in number for number in numbers),
        _share(text, _DIGITS),
        _share(text, _CAPITALS),
        _share(text, _SIGNS),
        len(set(lengths)) / len(lengths),
        _sum(words, _NEGATIONS),
        _sum(words, _ROMAN),
        sum(map(len, tokens)) / size,
        words[","] / len(lengths),
    )


def _wording(
    features: Features, question: Counter[str], options: Counter[str]
) -> tuple[float, ...]:
    """Names, years, formulas, sentences and kinds of words."""
    text = features.question_text
    size = 1 + len(features.question)
    names = len(_CAPITALISED.findall(text))
    sentences = _SENTENCE_END.split(text.rstrip())
    lines = [line.split() for line in features.options_text.split("\n") if line.strip()]
    first_words = {line[1] for line in lines if len(line) > 1}
    return (
        names / size,
        log1p(names),
        min(5, len(_YEAR.findall(text))),
        min(5, len(_FORMULA.findall(features.text))),
        log(len(sentences)),
        log1p(len(sentences[-1])),
        log1p(len(sentences[0])),
        '"' in text or "\u201c" in text,
        _sum(question, _MODALS) / size,
        _sum(question, _COMPARISONS) + _sum(options, _COMPARISONS),
        _sum(question, _SMALL_WORDS) / size,
        sum(len(word) >= _LONG_WORD for word in features.question) / size,
        sum(len(word) >= _LONG_WORD for word in features.options) / (1 + len(features.options)),
        len(first_words) / (1 + len(lines)),
        max(map(len, lines), default=0) <= 2,
    )


def _rarity(tokens: Sequence[str], embedding: StaticEmbedding) -> tuple[float, ...]:
    """Word pieces are numbered from frequent to rare; rare words are split into several."""
    pieces = [embedding.ids(word) for word in tokens if word.isalpha()]
    if not pieces:
        return 0.0, 0.0, 0.0, 0.0
    whole = sorted(ids[0] for ids in pieces if len(ids) == 1) or [0]
    size = len(embedding.pieces)
    return (
        1 - len(whole) / len(pieces),
        sum(whole) / len(whole) / size,
        whole[(9 * (len(whole) - 1)) // 10] / size,
        whole[-1] / size,
    )


def _overlap(question: Counter[str], options: Counter[str]) -> tuple[float, ...]:
    return (
        len(question.keys() & options.keys()) / (1 + len(options)),
        len(options) / (1 + options.total()),
        len(question) / (1 + question.total()),
    )


def _closeness(features: Features, embedding: StaticEmbedding) -> tuple[float, ...]:
    """Cosines between question and options and among the options: are the options alike?"""
    single = _single_options(features.options)
    if len(single) < 2:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    options = np.stack([embedding.embed(option) for option in single])
    question = embedding.embed(features.question)
    to_question = options @ question
    alike = (options @ options.T)[_pairs_of(len(single))]
    return (
        float(question @ embedding.embed(features.options)),
        float(to_question.mean()),
        float(alike.mean()),
        float(alike.max()),
        float(alike.min()),
    )


@functools.cache
def _pairs_of(count: int) -> tuple[NDArray[np.intp], ...]:
    """The places above the diagonal of a square matrix."""
    return np.triu_indices(count, 1)


def _single_options(tokens: Sequence[str]) -> list[Sequence[str]]:
    """The tokens of each option, cut at "a .", "b ." and so on; at most five."""
    starts = [
        at
        for at, (letter, mark) in enumerate(itertools.pairwise(tokens))
        if mark == "." and letter in _OPTION_LETTERS
    ][:5]
    ends = [*starts[1:], len(tokens)][: len(starts)]
    return [tokens[start + 2 : end] for start, end in zip(starts, ends, strict=True)]


def _share(text: str, without: dict[int, int | None]) -> float:
    return (len(text) - len(text.translate(without))) / (1 + len(text))


def _is_above_100(number: str) -> bool:
    return len(number.partition(".")[0].replace(",", "").lstrip("0")) > 2
