"""Training data of a router: prompts, known qualities of the models' answers, and weights."""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.off_policy.ipw import weigh
from experiments.routers.embedding import Vector, default_embedding
from experiments.routers.features import featurise
from experiments.routers.outcomes import Outcomes

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """One row a prompt. `quality` has a column for each of `models`, the strong one first and the
    weak one last; NaN where that model's answer is not known. `propensity` is the probability with
    which the known one was chosen, 1 where all are known.

    A prompt that was not stored is "", and its embedding is in `kept_embeddings`.
    """

    prompts: tuple[str, ...]
    models: tuple[str, ...]
    quality: Floats
    propensity: Floats
    domains: tuple[str, ...]
    groups: tuple[str, ...]
    kept_embeddings: dict[int, Vector]

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def complete(self) -> bool:
        return not np.isnan(self.quality).any()

    @cached_property
    def embedding(self) -> Vector:
        known = default_embedding()
        return np.stack(
            [
                featurise(prompt, known).embedding if prompt else self.kept_embeddings[row]
                for row, prompt in enumerate(self.prompts)
            ]
        )

    @cached_property
    def judged(self) -> tuple[Floats, Floats]:
        """Strong and weak as they are measured: pseudo-outcomes where one answer is known.

        Raises ValueError where one of the two never answered.
        """
        strong, weak = self.quality[:, 0], self.quality[:, -1]
        if self.complete:
            return strong, weak
        found = weigh(strong, weak, self.propensity)
        return found.strong, found.weak

    def outcomes(self) -> Outcomes:
        """For the kinds that need the prompt's text and both answers."""
        strong, weak = self.judged
        return Outcomes(self.prompts, strong, weak, self.domains, self.groups)

    def where(self, keep: NDArray[np.bool_]) -> "TrainingSet":
        rows = np.flatnonzero(keep).tolist()
        kept = self.kept_embeddings
        return replace(
            self,
            prompts=tuple(self.prompts[row] for row in rows),
            quality=self.quality[rows],
            propensity=self.propensity[rows],
            domains=tuple(self.domains[row] for row in rows),
            groups=tuple(self.groups[row] for row in rows),
            kept_embeddings={n: kept[row] for n, row in enumerate(rows) if row in kept},
        )

    def sha256(self) -> str:
        """A hash of the content, independent of its source."""
        digest = hashlib.sha256(json.dumps([self.models, self.domains, self.groups]).encode())
        for row, prompt in enumerate(self.prompts):
            digest.update(json.dumps(prompt).encode())
            if row in self.kept_embeddings:
                digest.update(self.kept_embeddings[row].tobytes())
        digest.update(self.quality.tobytes())
        digest.update(self.propensity.tobytes())
        return digest.hexdigest()


def of_outcomes(outcomes: Outcomes, models: tuple[str, str]) -> TrainingSet:
    return TrainingSet(
        prompts=outcomes.prompts,
        models=models,
        quality=np.column_stack((outcomes.strong, outcomes.weak)),
        propensity=np.ones(len(outcomes)),
        domains=outcomes.domains,
        groups=outcomes.groups,
        kept_embeddings={},
    )
