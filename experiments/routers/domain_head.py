"""The learned domain detector: plain arrays, and plain NumPy to apply them.

Each domain gets one number (a logit): a weighted sum of the prompt's words and word pairs, rare
ones counting more, at unit length, and of its embedding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.routers.embedding import Vector
from experiments.routers.features import Features, Keys, subject_keys

Matrix = NDArray[np.float32]


class SeenPrompt(NamedTuple):
    """A prompt as input of the head: positions of its known words, their values at unit length."""

    at: NDArray[np.intp]
    values: Vector
    embedding: Vector


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Sorted keys of the words and pairs seen in training, and how rare each is."""

    keys: Keys
    rarity: Vector

    def look_up(self, features: Features) -> SeenPrompt:
        return self.look_up_keys(subject_keys(features), features.embedding)

    def look_up_keys(self, wanted: Keys, embedding: Vector) -> SeenPrompt:
        """`wanted` are distinct keys. Unknown ones are left out."""
        at = self._places(wanted)
        at = at[self.keys[at] == wanted]
        values = self.rarity[at]
        length = float(np.sqrt(values @ values))
        return SeenPrompt(at, values / length if length else values, embedding)

    def holds(self, wanted: Keys) -> NDArray[np.bool_]:
        """Whether each of these keys is known."""
        return np.asarray(self.keys[self._places(wanted)] == wanted)

    def _places(self, wanted: Keys) -> NDArray[np.intp]:
        """The position of each key, if it is known."""
        at = self.keys.searchsorted(wanted)
        at[at == len(self.keys)] = 0
        return at


@dataclass(frozen=True, eq=False)
class DomainHead:
    """``names`` are the columns of every matrix. Shared by threads: nothing in it changes."""

    names: tuple[str, ...]
    vocabulary: Vocabulary
    words: NDArray[np.float16]
    meaning: Matrix
    offset: Vector
    temperature: float

    def look_up(self, features: Features) -> SeenPrompt:
        return self.vocabulary.look_up(features)

    def logits(self, seen: SeenPrompt) -> Vector:
        """One number per domain; their softmax is calibrated on held-out prompts."""
        by_words = seen.values @ self.words[seen.at].astype(np.float32)
        total = by_words + seen.embedding @ self.meaning + self.offset
        return np.asarray(total / self.temperature, dtype=np.float32)


def to_arrays(head: DomainHead) -> dict[str, NDArray[Any]]:
    names = np.frombuffer("\n".join(head.names).encode(), dtype=np.uint8)
    return {
        "names": names,
        "keys": head.vocabulary.keys,
        "rarity": head.vocabulary.rarity.astype(np.float16),
        "words": head.words,
        "meaning": head.meaning,
        "offset": head.offset,
        "temperature": np.array([head.temperature], dtype=np.float32),
    }


def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> DomainHead:
    """Raises ``KeyError`` when an array is missing."""
    return DomainHead(
        names=tuple(arrays["names"].tobytes().decode().split("\n")),
        vocabulary=Vocabulary(arrays["keys"], arrays["rarity"].astype(np.float32)),
        words=arrays["words"],
        meaning=arrays["meaning"],
        offset=arrays["offset"],
        temperature=float(arrays["temperature"][0]),
    )
