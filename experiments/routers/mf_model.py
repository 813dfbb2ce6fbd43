"""RouteLLM's matrix factorisation at score time: three arrays, no RouteLLM, no PyTorch."""

from dataclasses import dataclass

import numpy as np

from experiments.routers.embedding import Vector


@dataclass(frozen=True, eq=False)
class MFWeights:
    """The state of RouteLLM's ``MFModel``, under its names, and the two models' row numbers.

    Its logit for a model is ``classifier . (P[model] / |P[model]| * text_proj @ embedding)``.
    """

    models: Vector
    text_projection: Vector
    classifier: Vector
    strong: int
    weak: int

    def direction(self) -> Vector:
        """The vector whose product with an embedding is logit(strong) - logit(weak)."""
        strong, weak = (_unit(self.models[row]) for row in (self.strong, self.weak))
        weighted = self.classifier[0] * (strong - weak)
        return np.asarray(weighted @ self.text_projection, dtype=np.float32)


def _unit(row: Vector) -> Vector:
    return np.asarray(row / max(float(np.linalg.norm(row)), 1e-12), dtype=np.float32)
