"""What the domain detector and the local routers see of a prompt, computed once and shared."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from experiments.routers.embedding import StaticEmbedding, Vector, default_embedding
from experiments.routers.tokens import tokenise, visible_part

Keys = NDArray[np.uint32]
Found = TypeVar("Found")

# A multiple-choice prompt: its options start where a line starts with "A." and another with "B.".
_OPTION_A = re.compile(r"^[ \t]{0,8}[Aa][.):]\s", re.MULTILINE)
_OPTION_B = re.compile(r"^[ \t]{0,8}[Bb][.):]\s", re.MULTILINE)
_ANSWER_CUE = "answer:"


@dataclass(frozen=True, eq=False)
class Features:
    """One prompt, looked at once.

    ``text`` is the part that was looked at (see ``tokens.visible_part``), ``tokens`` all its words
    and punctuation marks in order, ``question`` and ``options`` the same tokens split where the
    options of a multiple-choice prompt start (``options`` is empty for any other prompt), and
    ``embedding`` the unit-length vector of all tokens (zeros when no token is known).
    """

    text: str
    question_text: str
    options_text: str
    question: tuple[str, ...]
    options: tuple[str, ...]
    embedding: Vector

    _found: dict[object, Any] = field(default_factory=dict, init=False, repr=False)

    def remember(self, key: object, find: Callable[[], Found]) -> Found:
        """What `find` returns; found once for each `key`, such as a router."""
        if key not in self._found:
            self._found[key] = find()
        found: Found = self._found[key]
        return found

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        return self.question + self.options

    @cached_property
    def keys(self) -> Keys:
        """A 32-bit hash of each token, in order."""
        hashed = [crc32(word.encode("utf-8", "surrogatepass")) for word in self.tokens]
        return np.array(hashed, dtype=np.uint32)


def featurise(text: str, embedding: StaticEmbedding | None = None) -> Features:
    """Tokenise and embed a prompt. Any string works, also an empty one or 100,000 characters.

    Only the first 6,000 and the last 2,000 characters are looked at, which bounds the time.
    A closing "Answer:" is not part of the question and is left out.
    """
    seen = visible_part(text)
    body = _without_answer_cue(seen)
    options_at = _options_start(body)
    question_text, options_text = body[:options_at], body[options_at:]
    question, options = tokenise(question_text), tokenise(options_text)
    vector = (embedding or default_embedding()).embed(question + options)
    return Features(seen, question_text, options_text, question, options, vector)


def only_embedded(embedding: Vector) -> Features:
    """A prompt of which nothing but the embedding is kept: enough for routers that use no more."""
    return Features("", "", "", (), (), embedding)


def _without_answer_cue(text: str) -> str:
    body = text.rstrip()
    if body.lower().endswith(_ANSWER_CUE):
        return body[: -len(_ANSWER_CUE)].rstrip()
    return body


def _options_start(body: str) -> int:
    """Where the last line "A. …" begins that has a line "B. …" after it; else the end."""
    last_b = max((found.start() for found in _OPTION_B.finditer(body)), default=-1)
    starts = (found.start() for found in _OPTION_A.finditer(body))
    return max((start for start in starts if start < last_b), default=len(body))
