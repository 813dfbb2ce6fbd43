"""Training of `local_mf`: the same rows give the same weights, whatever else the process did."""

import numpy as np
import pytest

from experiments.routers.mf_model import MFWeights
from experiments.routers.training.mf import fit_mf

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow


def fitted(start: int) -> MFWeights:
    """Weights of 300 prompts whose embeddings start `start` bytes after a multiple of 64."""
    rows, width = 300, 256
    draw = np.random.default_rng(1)
    memory = np.zeros(rows * width * 4 + 128, dtype=np.uint8)
    first = -memory.ctypes.data % 64 + start
    embedding = memory[first : first + rows * width * 4].view(np.float32).reshape(rows, width)
    embedding[:] = draw.normal(size=(rows, width))
    return fit_mf(embedding, draw.random(rows), draw.random(rows), seed=0)


def test_threads_and_memory_do_not_change_the_weights() -> None:
    before = torch.get_num_threads()
    try:
        weights = []
        for threads, start in ((1, 0), (4, 16), (3, 36)):
            torch.set_num_threads(threads)
            weights.append(fitted(start))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)

    for other in weights[1:]:
        assert other.text_projection.tobytes() == weights[0].text_projection.tobytes()
        assert other.models.tobytes() == weights[0].models.tobytes()
        assert other.classifier.tobytes() == weights[0].classifier.tobytes()
