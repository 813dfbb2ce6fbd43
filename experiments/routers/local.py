"""The default router: no key, no network, under a millisecond.

It estimates how much better the strong model would answer (its *gain*) from the prompt's words,
shape and embedding, and maps the gain to a win rate: the probability that the strong model is the
better one on a prompt where the two differ.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from experiments.routers.checkpoints import SHIPPED, CheckpointError, read_checkpoint, read_manifest
from experiments.routers.embedding import StaticEmbedding, default_embedding, require_same_embedding
from experiments.routers.features import Features, featurise, grams
from experiments.routers.heads import HeadInputs, LocalModel, sigmoid
from experiments.routers.model_files import from_arrays
from experiments.routers.prompt_features import structure

KIND = "local"
CHECKPOINT = SHIPPED / KIND
EARLIER = SHIPPED / "earlier"  # versions that routers may be pinned to
OVERALL = "overall"
READS_QUESTION = "reads_question"  # an array of checkpoints that were trained on questions


@dataclass(frozen=True)
class WinRate:
    """The win rate of a gain; fitted on prompts where exactly one of the models was right."""

    slope: float
    offset: float

    def __call__(self, gain: float) -> float:
        return sigmoid(self.slope * gain + self.offset)


@dataclass(frozen=True, eq=False)
class LocalRouter:
    """Shared by threads: nothing in it changes.

    `reads_all`: the whole prompt and not only its question, as checkpoints did before.
    """

    model: LocalModel
    win_rate: WinRate
    embedding: StaticEmbedding
    sha256: str = ""
    reads_all: bool = False
    counts_ties: ClassVar[bool] = False

    @classmethod
    def load(cls, folder: Path = CHECKPOINT) -> "LocalRouter":
        """Read and verify a checkpoint. Raises ``CheckpointError``."""
        checkpoint = read_checkpoint(folder, KIND)
        require_same_embedding(folder, checkpoint.manifest.embedding_sha256)
        embedding = default_embedding()
        try:
            model = from_arrays(checkpoint.arrays)
            slope, offset = checkpoint.arrays["win_rate"].tolist()
            reads_all = READS_QUESTION not in checkpoint.arrays
            win_rate, sha256 = WinRate(slope, offset), checkpoint.manifest.sha256
            router = cls(model, win_rate, embedding, sha256, reads_all)
            router.score(featurise("Does it fit?", embedding))
            router.score(featurise("Does it fit?\nA. yes\nB. no", embedding))
        except (KeyError, ValueError, IndexError) as error:
            raise CheckpointError(
                f"{folder} was written by another version ({error}). Run `manage.py train_router`."
            ) from error
        return router

    def score(self, features: Features) -> float:
        """The strong model's estimated win rate, in [0, 1]."""
        return self.win_rate(self.gain(features))

    def gain(self, features: Features) -> float:
        read = features if self.reads_all else features.asked
        return self.model.gain(inputs_of(read, self.embedding), has_options=bool(read.options))


def inputs_of(features: Features, embedding: StaticEmbedding) -> HeadInputs:
    """What a head sees of the whole prompt."""
    return HeadInputs(grams(features), structure(features, embedding), features.embedding)


def shipped_folder(sha256: str | None) -> Path:
    """The shipped weights with this hash; the newest ones where no shipped weights have it."""
    for folder in sorted(EARLIER.glob(f"{KIND}_*")):
        if sha256 and read_manifest(folder, KIND).sha256 == sha256:
            return folder
    return CHECKPOINT


def is_earlier(sha256: str) -> bool:
    """Whether these are shipped weights that newer ones have replaced."""
    return shipped_folder(sha256) != CHECKPOINT


@functools.cache
def calibrated_thresholds() -> dict[str, float]:
    """Thresholds at which half of a domain's recorded prompts go to the strong model.

    Keys are the domains with recorded prompts, and ``overall``, which serves the others.
    """
    return dict(read_manifest(CHECKPOINT, KIND).thresholds)
