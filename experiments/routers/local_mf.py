"""RouteLLM's matrix-factorisation router on the local embedding: no key, no network."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from experiments.routers.checkpoints import SHIPPED, CheckpointError, read_checkpoint
from experiments.routers.embedding import Vector, require_same_embedding
from experiments.routers.features import Features
from experiments.routers.heads import sigmoid
from experiments.routers.mf_model import MFWeights

KIND = "local_mf"
CHECKPOINT = SHIPPED / KIND


@dataclass(frozen=True, eq=False)
class LocalMFRouter:
    """Shared by threads: nothing in it changes."""

    direction: Vector
    sha256: str = ""
    counts_ties: ClassVar[bool] = True

    @classmethod
    def load(cls, folder: Path = CHECKPOINT) -> "LocalMFRouter":
        """Read and verify a checkpoint. Raises ``CheckpointError``."""
        checkpoint = read_checkpoint(folder, KIND)
        require_same_embedding(folder, checkpoint.manifest.embedding_sha256)
        arrays = checkpoint.arrays
        try:
            strong, weak = arrays["pair"].tolist()
            weights = MFWeights(
                models=arrays["P.weight"],
                text_projection=arrays["text_proj.0.weight"],
                classifier=arrays["classifier.0.weight"],
                strong=strong,
                weak=weak,
            )
        except KeyError as error:
            raise CheckpointError(
                f"{folder} lacks {error}: it was written by another version. "
                "Run `manage.py train_router`."
            ) from error
        return cls(weights.direction(), checkpoint.manifest.sha256)

    def score(self, features: Features) -> float:
        """The strong model's estimated win rate, a tie counting half, in [0, 1]."""
        return sigmoid(float(features.asked.embedding @ self.direction))
