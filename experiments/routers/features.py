"""The features of a prompt for the domain detector and the local routers, computed once."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from experiments.routers.embedding import StaticEmbedding, Vector, default_embedding
from experiments.routers.user_question import question_of

HEAD_CHARACTERS = 6_000
TAIL_CHARACTERS = 2_000

_CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+|[^\w\s\x00-\x1f\x7f-\x9f\ufffd]|_")


def visible_part(text: str) -> str:
    """The part of a prompt that is read: its first 6,000 and its last 2,000 characters.

    Long prompts have their question at the end and their kind at the beginning. The cap bounds the
    time for a 100,000-character prompt.
    """
    if len(text) <= HEAD_CHARACTERS + TAIL_CHARACTERS:
        return text
    return f"{text[:HEAD_CHARACTERS]}\n{text[-TAIL_CHARACTERS:]}"


def tokenise(text: str) -> tuple[str, ...]:
    """Lower-cased words, and every punctuation mark or symbol as a token of its own."""
    lowered = text.lower()
    if not lowered.isascii():
        decomposed = unicodedata.normalize("NFD", lowered)
        lowered = "".join(c for c in decomposed if unicodedata.category(c) != "Mn")
    return tuple(_TOKEN.findall(lowered))


Keys = NDArray[np.uint32]
Found = TypeVar("Found")

# A multiple-choice prompt: its options start where a line starts with "A." and another with "B.".
_OPTION_A = re.compile(r"^[ \t]{0,8}[Aa][.):]\s", re.MULTILINE)
_OPTION_B = re.compile(r"^[ \t]{0,8}[Bb][.):]\s", re.MULTILINE)
_ANSWER_CUE = "answer:"


@dataclass(frozen=True, eq=False)
class Features:
    """One prompt, analyzed once; what no consumer asks for is not computed.

    ``text`` is the part that was read (see ``visible_part``), ``question_text`` and
    ``options_text`` the same split where the options of a multiple-choice prompt start
    (``options_text`` is empty for any other prompt), without a closing "Answer:".
    """

    text: str
    question_text: str
    options_text: str
    source: StaticEmbedding = field(repr=False)
    _found: dict[object, Any] = field(default_factory=dict, init=False, repr=False)

    def remember(self, key: object, find: Callable[[], Found]) -> Found:
        """The result of `find`, computed once for each `key`, such as a router."""
        if key not in self._found:
            self._found[key] = find()
        found: Found = self._found[key]
        return found

    @cached_property
    def asked(self) -> "Features":
        """The question alone: without documents, examples and courtesy around it."""
        question = question_of(self.question_text, self.options_text)
        return self if question == self.text else featurise(question, self.source)

    @cached_property
    def question(self) -> tuple[str, ...]:
        """All words and punctuation marks before the options, in order."""
        return tokenise(self.question_text)

    @cached_property
    def options(self) -> tuple[str, ...]:
        return tokenise(self.options_text) if self.options_text else ()

    @cached_property
    def embedding(self) -> Vector:
        """The unit-length vector of all tokens; zeros when no token is known."""
        return self.source.embed(self.tokens)

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        return self.question + self.options

    @cached_property
    def keys(self) -> Keys:
        """A 32-bit hash of each token, in order."""
        return word_keys(self.tokens)


def word_keys(words: Sequence[str]) -> Keys:
    """A 32-bit hash of each word, in order."""
    hashed = [crc32(word.encode("utf-8", "surrogatepass")) for word in words]
    return np.array(hashed, dtype=np.uint32)


def featurise(text: str, embedding: StaticEmbedding | None = None) -> Features:
    """Prepare a prompt. Any string works, also an empty one or 100,000 characters.

    Only the first 6,000 and the last 2,000 characters are read, which bounds the time.
    A closing "Answer:" is not part of the question and is left out.
    """
    seen = visible_part(text)
    body = _without_answer_cue(seen)
    options_at = _options_start(body)
    return Features(seen, body[:options_at], body[options_at:], embedding or default_embedding())


def stored_embeddings(features: Features) -> dict[str, list[float]]:
    """The embedding of a prompt and, where it differs, that of its question: numbers with four
    digits, enough for routers that use nothing else to score the prompt again."""
    stored = {"embedding": _four_digits(features.embedding)}
    if features.asked is not features:
        stored[_QUESTION_EMBEDDING] = _four_digits(features.asked.embedding)
    return stored


def from_embeddings(stored: Mapping[str, Any]) -> Features:
    """A prompt with only what `stored_embeddings` kept. Raises ``ValueError`` for other values."""
    features = _only_embedded(stored["embedding"])
    question = stored.get(_QUESTION_EMBEDDING)
    features.__dict__["asked"] = _only_embedded(question) if question is not None else features
    return features


_QUESTION_EMBEDDING = "question_embedding"


def _four_digits(embedding: Vector) -> list[float]:
    return [round(float(x), 4) for x in embedding]


def _only_embedded(embedding: Any) -> Features:
    features = Features("", "", "", default_embedding())
    features.__dict__["embedding"] = np.array(embedding, dtype=np.float32)
    return features


def _without_answer_cue(text: str) -> str:
    body = text.rstrip()
    if body.lower().endswith(_ANSWER_CUE):
        return body[: -len(_ANSWER_CUE)].rstrip()
    return body


def _options_start(body: str) -> int:
    """Where the last line "A. …" begins that has a line "B. …" after it; else the end."""
    if "\n" not in body:  # options A and B are on two lines
        return len(body)
    last_b = max((found.start() for found in _OPTION_B.finditer(body)), default=-1)
    starts = (found.start() for found in _OPTION_A.finditer(body))
    return max((start for start in starts if start < last_b), default=len(body))


_QUESTION_WORD, _QUESTION_PAIR, _OPTION_WORD, _OPTION_PAIR = (
    np.uint32(salt) for salt in (0x00000000, 0x5BD1E995, 0x27D4EB2F, 0x165667B1)
)
_FIRST, _SECOND = np.uint32(0x9E3779B1), np.uint32(0x85EBCA77)


class Grams(NamedTuple):
    """The distinct words and pairs of a prompt: sorted keys and their counts."""

    keys: Keys
    counts: NDArray[np.float32]


def grams(features: Features) -> Grams:
    """Words and pairs of neighbours; those of the question and of the options have other keys."""
    at = len(features.question)
    question, options = features.keys[:at], features.keys[at:]
    parts = [question ^ _QUESTION_WORD, _pair_keys(question) ^ _QUESTION_PAIR]
    if len(options):
        parts += options ^ _OPTION_WORD, _pair_keys(options) ^ _OPTION_PAIR
    every = np.concatenate(parts)
    every.sort()
    starts = _is_first(every).nonzero()[0]
    counts = np.empty(len(starts), dtype=np.float32)
    np.subtract(starts[1:], starts[:-1], out=counts[:-1], casting="unsafe")
    counts[-1:] = len(every) - starts[-1:]
    return Grams(every[starts], counts)


def _is_first(ordered: Keys) -> NDArray[np.bool_]:
    """Whether each of these sorted keys differs from the one before it."""
    first = np.empty(len(ordered), dtype=np.bool_)
    first[:1] = True
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
