"""Recorded prompts, featurised once, as columns for training and measurement."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from experiments.routers.embedding import StaticEmbedding, Vector
from experiments.routers.features import Features, Keys, featurise
from experiments.routers.heads import HeadInputs
from experiments.routers.local import inputs_of
from experiments.routers.outcomes import Outcomes, read_outcomes

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

# Hand-written open prompts, easy and hard, with assumed outcomes. Recorded prompts are exam
# questions and cannot show that "thanks, bye" needs no strong model.
ASSUMED = Path(__file__).parent / "open_prompts.csv"
ASSUMED_TIMES = 10


@dataclass(frozen=True, eq=False)
class Examples:
    """Row ``i`` of every column is prompt ``i``. ``counts`` has one column for each of ``keys``."""

    inputs: tuple[HeadInputs, ...]
    keys: Keys
    counts: sp.csr_matrix
    structure: Vector
    embedding: Vector
    strong: Floats
    weak: Floats
    has_options: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The prompts as recorded, and as open prompts.

    Row ``i`` of ``open`` is prompt ``i`` without its options. The rows after the recorded ones are
    the assumed prompts, several times each.
    """

    full: Examples
    open: Examples

    @property
    def assumed(self) -> Rows:
        return np.arange(len(self.full), len(self.open))


def prepare(outcomes: Outcomes, embedding: StaticEmbedding) -> TrainingData:
    """Featurise everything once."""
    recorded = [featurise(prompt, embedding).asked for prompt in outcomes.prompts]
    stems = [featurise(features.question_text, embedding) for features in recorded]
    assumed = read_outcomes(ASSUMED)
    guessed = [featurise(prompt, embedding).asked for prompt in assumed.prompts] * ASSUMED_TIMES
    return TrainingData(
        full=_examples(recorded, embedding, outcomes.strong, outcomes.weak),
        open=_examples(
            stems + guessed,
            embedding,
            np.concatenate((outcomes.strong, np.tile(assumed.strong, ASSUMED_TIMES))),
            np.concatenate((outcomes.weak, np.tile(assumed.weak, ASSUMED_TIMES))),
        ),
    )


def _examples(
    prompts: list[Features], embedding: StaticEmbedding, strong: Floats, weak: Floats
) -> Examples:
    inputs = [inputs_of(features, embedding) for features in prompts]
    keys, counts = _count_matrix(inputs)
    return Examples(
        inputs=tuple(inputs),
        keys=keys,
        counts=counts,
        structure=np.stack([seen.structure for seen in inputs]),
        embedding=np.stack([seen.embedding for seen in inputs]),
        strong=strong,
        weak=weak,
        has_options=np.array([bool(features.options) for features in prompts]),
    )


def _count_matrix(inputs: Iterable[HeadInputs]) -> tuple[Keys, sp.csr_matrix]:
    rows = [seen.grams for seen in inputs]
    keys, columns = np.unique(np.concatenate([row.keys for row in rows]), return_inverse=True)
    ends = np.concatenate(([0], np.cumsum([len(row.keys) for row in rows])))
    values = np.concatenate([row.counts for row in rows])
    return keys, sp.csr_matrix((values, columns, ends), shape=(len(rows), len(keys)))
