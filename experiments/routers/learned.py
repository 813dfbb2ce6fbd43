"""The learned router: what the learning loop has fitted on a domain's own traffic, as a checkpoint.

It computes the gain model's sum of kernels (`experiments.analysis.learning.gain_model`): the words
are one vector of weights, the embedding and the structure are compared with those of the labeled
prompts. A checkpoint contains no text.
"""

import base64
import functools
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.learning.gain_model import GainModel, Labels
from experiments.analysis.learning.prompt_kernel import Matrix, PromptVectors
from experiments.routers.checkpoints import CheckpointError, read_checkpoint
from experiments.routers.features import Features, featurise
from experiments.routers.heads import sigmoid
from experiments.routers.learning_features import (
    WORD_COLUMNS,
    LearningFeatures,
    standard_score,
)
from experiments.routers.local import LocalRouter

KIND = "learned"
SHIPPED_SETTING = "shipped"

FEATURES_KEY = "learning"
"""Where the stored features of a decision hold the packed input."""

_HEADER = struct.Struct("<HHHd")
_GAIN_SLOPE = 4.0  # a gain of 0.1 is a score of 0.6
Arrays = Mapping[str, NDArray[Any]]


class PromptInput(NamedTuple):
    """One prompt as the learned router sees it: a row of `PromptVectors`, and the prior score."""

    words: Matrix
    embedding: Matrix
    structure: Matrix
    prior: float


class Shipped(NamedTuple):
    """The shipped router, whose score is the prior, and the features that depend on it."""

    router: LocalRouter
    features: LearningFeatures

    def look(self, features: Features) -> PromptInput:
        """Computed once for each prompt, whatever the number of learned routers."""
        return features.remember(self.router, lambda: self._look(features))

    def _look(self, features: Features) -> PromptInput:
        row = self.features.vectors([self.features.inputs(features)])
        prior = self.router.score(features)
        return PromptInput(row.words[0], row.embedding[0], row.structure[0], prior)


@functools.cache
def shipped_router() -> Shipped:
    router = LocalRouter.load()
    return Shipped(router, LearningFeatures(router))


def score_of_gain(gain: float) -> float:
    """In (0, 1), and in the order of the gains."""
    return sigmoid(_GAIN_SLOPE * gain)


@dataclass(frozen=True, eq=False)
class LearnedRouter:
    """Shared by threads: nothing in it changes."""

    arrays: Arrays
    shipped: Shipped
    sha256: str = ""
    counts_ties: ClassVar[bool] = False

    @classmethod
    def load(cls, folder: Path) -> "LearnedRouter":
        """Read and verify a checkpoint. Raises ``CheckpointError``."""
        checkpoint = read_checkpoint(folder, KIND)
        shipped = shipped_router()
        if checkpoint.manifest.settings.get(SHIPPED_SETTING) != shipped.router.sha256:
            raise CheckpointError(
                f"{folder} was learned with another shipped router. The next round of learning "
                "replaces it; until then, choose the router local."
            )
        # A file's arrays are not aligned, so each product would copy them.
        arrays = {name: values.copy() for name, values in checkpoint.arrays.items()}
        router = cls(arrays, shipped, checkpoint.manifest.sha256)
        try:
            router.score(featurise("Does it fit?"))
        except (KeyError, ValueError, IndexError) as error:
            raise CheckpointError(f"{folder} was written by another version ({error}).") from error
        return router

    def score(self, features: Features) -> float:
        """Half where both models are expected to be equally good, more where the strong one is."""
        return score_of_gain(self.gain(self.shipped.look(features)))

    def gain(self, seen: PromptInput) -> float:
        """How much better the strong model's answer is expected to be."""
        arrays = self.arrays
        cosine = _products(arrays["embedding"], seen.embedding)
        alike = np.exp((cosine - 1) * arrays["embedding_rate"])
        products = _products(arrays["structure"], seen.structure)
        distance = arrays["structure_squares"] - 2 * products
        distance += seen.structure @ seen.structure
        near = np.exp(np.maximum(distance, 0) * -arrays["structure_rate"])
        standard = standard_score(np.array([seen.prior]))[0]
        total = arrays["constant"] + arrays["slope"] * standard
        total = total + arrays["words"] @ seen.words
        return float(total + arrays["embedding_parts"] @ alike + arrays["structure_parts"] @ near)


def _products(rows: Matrix, vector: Matrix) -> Matrix:
    """Each row's product with the vector. BLAS would use several threads, which wait for each other
    for milliseconds on a busy machine."""
    return np.asarray(np.einsum("ij,j->i", rows, vector), dtype=np.float32)


def checkpoint_arrays(
    model: GainModel, labels: Labels, coefficients: Matrix, domain: int
) -> dict[str, NDArray[Any]]:
    """The fitted model for prompts of one domain, which has this number in the model's vectors.

    `coefficients` are those of `GainModel.gains`. Several labels of one prompt become one.
    """
    vectors, prior, shape = model.kernel.vectors, model.prior, model.kernel.shape
    rows, inverse = np.unique(labels.rows, return_inverse=True)
    parts = np.zeros(len(rows), dtype=np.float64)
    np.add.at(parts, inverse, coefficients.astype(np.float64))
    gain = prior.gain * parts
    slopes = float((model.shipped[rows] * parts).sum())
    same = float(gain[vectors.domains[rows] == domain].sum())
    structure = vectors.structure[rows]
    return _as_float32(
        {
            "constant": shape.constant * gain.sum() + shape.domain * same,
            "slope": prior.shipped_slope + prior.shipped_doubt**2 * slopes,
            "words": shape.words * (gain @ vectors.words[rows]),
            "embedding": vectors.embedding[rows],
            "embedding_parts": shape.embedding * gain,
            "embedding_rate": 1 / shape.embedding_scale**2,
            "structure": structure,
            "structure_squares": (structure**2).sum(axis=1),
            "structure_parts": shape.structure * gain,
            "structure_rate": 1 / (2 * shape.structure_scale**2),
        }
    )


def stacked(inputs: list[PromptInput], domains: NDArray[np.intp]) -> PromptVectors:
    """Stored inputs as the rows of the gain model."""
    return PromptVectors(
        np.stack([one.words for one in inputs]),
        np.stack([one.embedding for one in inputs]),
        np.stack([one.structure for one in inputs]),
        domains,
    )


def pack(seen: PromptInput) -> bytes:
    """Of the words only those that occur: their columns and values."""
    columns = np.flatnonzero(seen.words).astype("<u2")
    header = _HEADER.pack(len(columns), len(seen.embedding), len(seen.structure), seen.prior)
    parts = (seen.words[columns], seen.embedding, seen.structure)
    values = np.concatenate(parts).astype("<f4")
    return header + columns.tobytes() + values.tobytes()


def unpack(data: bytes) -> PromptInput:
    words, embedding, structure, prior = _HEADER.unpack_from(data)
    columns = np.frombuffer(data, "<u2", words, _HEADER.size)
    values = np.frombuffer(data, "<f4", offset=_HEADER.size + 2 * words).astype(np.float32)
    row = np.zeros(WORD_COLUMNS, dtype=np.float32)
    row[columns] = values[:words]
    ends = words, words + embedding, words + embedding + structure
    return PromptInput(row, values[ends[0] : ends[1]], values[ends[1] : ends[2]], prior)


def stored_features(features: Features) -> dict[str, str]:
    """What a domain that stores features keeps for learning."""
    shipped = shipped_router()
    packed = base64.b64encode(pack(shipped.look(features))).decode()
    return {"shipped": shipped.router.sha256, "input": packed}


def _as_float32(values: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    return {name: np.asarray(value, dtype=np.float32) for name, value in values.items()}
