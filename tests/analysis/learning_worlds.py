"""Made-up traffic with a known gain: tasks whose prompts look alike."""

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.learning.gain_model import GainModel
from experiments.analysis.learning.prompt_kernel import PromptKernel, PromptVectors
from experiments.analysis.learning.replay import RecordedTraffic

TASKS = 6


def unit_rows(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def made_up_traffic(
    rng: np.random.Generator, count: int = 400, gain: float = 0.8, shipped_knows: float = 0.0
) -> RecordedTraffic:
    """In half of the tasks the strong model wins with probability `gain`, else it never does."""
    tasks = rng.integers(TASKS, size=count)
    centers = rng.normal(size=(TASKS, 12))
    noisy = centers[tasks] + rng.normal(scale=0.3, size=(count, 12))
    needs_strong = (tasks % 2 == 0) & (rng.random(count) < gain)
    weak = ((rng.random(count) < 0.6) & ~needs_strong).astype(np.float64)
    strong = np.where(needs_strong, 1.0, weak)
    standard = shipped_knows * (1.0 - 2 * (tasks % 2)) + rng.normal(size=count)
    vectors = PromptVectors(
        unit_rows(noisy),
        unit_rows(noisy),
        np.asarray(noisy / 4, dtype=np.float32),
        np.zeros(count, dtype=np.intp),
    )
    model = GainModel(PromptKernel(vectors), standard.astype(np.float32), np.arange(count))
    shipped = 1 / (1 + np.exp(-standard))
    return RecordedTraffic(
        model, shipped, strong, weak, np.zeros(count, dtype=np.intp), np.linspace(0.1, 0.9, 50)
    )
