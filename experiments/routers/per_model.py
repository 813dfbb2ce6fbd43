"""Routers that estimate one quality per model from the embedding: linear, and nearest neighbours.

The expected difference between two models (the *gain*) is mapped to a win rate, as for `local`.
With more than two models, an argument of the router names the pair.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.routers.checkpoints import Checkpoint, CheckpointError, read_checkpoint
from experiments.routers.embedding import Vector, require_same_embedding
from experiments.routers.features import Features
from experiments.routers.local import WinRate

Floats = NDArray[np.float64]

LINEAR, KNN = "linear", "knn"
_PRIOR = 2.0


class Qualities(Protocol):
    """The expected quality of each model's answer: one row per prompt, one column per model."""

    def __call__(self, embedding: Vector) -> Floats: ...


@dataclass(frozen=True, eq=False)
class Linear:
    """One logistic regression per model."""

    weights: Vector
    bias: Vector

    def __call__(self, embedding: Vector) -> Floats:
        logits = embedding @ self.weights.T + self.bias
        return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float64)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        return {"weights": self.weights, "bias": self.bias}


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The weighted mean over the `k` nearest stored prompts, shrunken to the mean of all with the
    weight of two prompts. `weights` are 0 where a model's answer is not known."""

    embedding: Vector
    quality: Vector
    weights: Vector
    k: int

    def __call__(self, embedding: Vector) -> Floats:
        rows = np.atleast_2d(embedding)
        found = np.vstack([self._of(row) for row in rows])
        return found if embedding.ndim == 2 else found[0]

    def _of(self, row: Vector) -> Floats:
        likeness = self.embedding @ row
        k = min(self.k, len(likeness))
        nearest = np.argpartition(-likeness, k - 1)[:k]
        weights = self.weights[nearest]
        total = (weights * self.quality[nearest]).sum(axis=0)
        mean = self._means
        return np.asarray(
            (total + _PRIOR * mean) / (weights.sum(axis=0) + _PRIOR), dtype=np.float64
        )

    @cached_property
    def _means(self) -> Floats:
        sums = (self.weights * self.quality).sum(axis=0)
        return np.asarray(sums / np.maximum(self.weights.sum(axis=0), 1e-9), dtype=np.float64)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        return {
            "embedding": self.embedding,
            "quality": self.quality,
            "weights": self.weights,
            "k": np.array([self.k], dtype=np.float32),
        }


@dataclass(frozen=True, eq=False)
class PerModelRouter:
    """Shared by threads: nothing in it changes. `strong` and `weak` number the pair's models."""

    qualities: Qualities
    models: tuple[str, ...]
    strong: int
    weak: int
    win_rate: WinRate
    sha256: str = ""
    counts_ties: ClassVar[bool] = False

    @classmethod
    def load(cls, folder: Path, kind: str, pair: Sequence[str] = ()) -> "PerModelRouter":
        """Read and verify a checkpoint. Without `pair` it scores the one it was trained for.

        Raises ``CheckpointError``.
        """
        checkpoint = read_checkpoint(folder, kind)
        require_same_embedding(folder, checkpoint.manifest.embedding_sha256)
        models = tuple(map(str, _listed(checkpoint.manifest.data.get("models"))))
        strong, weak = _places(folder, models, pair)
        try:
            slope, offset = checkpoint.arrays["win_rate"][strong, weak].tolist()
            return cls(
                _qualities(kind, checkpoint),
                models,
                strong,
                weak,
                WinRate(slope, offset),
                checkpoint.manifest.sha256,
            )
        except (KeyError, ValueError, IndexError) as error:
            raise CheckpointError(
                f"{folder} was written by another version ({error}). Run `manage.py train_router`."
            ) from error

    def score(self, features: Features) -> float:
        """The strong model's estimated win rate where one of the two is better, in [0, 1]."""
        quality = self.qualities(features.embedding)
        return self.win_rate(float(quality[self.strong] - quality[self.weak]))


def _qualities(kind: str, checkpoint: Checkpoint) -> Qualities:
    arrays = checkpoint.arrays
    if kind == LINEAR:
        return Linear(arrays["weights"], arrays["bias"])
    k = int(arrays["k"][0])
    return Neighbours(arrays["embedding"], arrays["quality"], arrays["weights"], k)


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _places(folder: Path, models: tuple[str, ...], pair: Sequence[str]) -> tuple[int, int]:
    """A checkpoint names the strong model first and the weak one last."""
    if not pair:
        return 0, len(models) - 1
    if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(models):
        raise CheckpointError(
            f"{folder} knows the models {', '.join(models)}; a pair is two of these, the strong "
            f"one first, not {list(pair)}."
        )
    return models.index(pair[0]), models.index(pair[1])
