"""Training RouteLLM's own ``MFModel`` on the local embedding instead of OpenAI's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.routers.embedding import Vector
from experiments.routers.mf_model import MFWeights
from experiments.routers.routellm_setup import import_environment, require_routellm

Floats = NDArray[np.float64]

STRONG_ID, WEAK_ID = "gpt-4-1106-preview", "mixtral-8x7b-instruct-v0.1"

_WIDTH = 64
_STEPS = 60
_RATE = 0.02
_DECAY = 1e-3


def fit_mf(
    embedding: Vector, strong: Floats, weak: Floats, seed: int, *, decay: float = _DECAY
) -> MFWeights:
    """Fit the win rate ``(1 + strong - weak) / 2`` by cross-entropy, all rows at every step.

    The two models use the rows of the pair that RouteLLM was published with. The same arguments
    give the same bytes on one machine: PyTorch runs on one thread and on its own memory, because
    the number of threads and the alignment of memory change how sums round.
    """
    require_routellm("Training a router of kind 'local_mf'")
    with import_environment():
        import torch  # noqa: PLC0415 - takes seconds
        from routellm.routers.matrix_factorization.model import (  # noqa: PLC0415
            MODEL_IDS,
            MFModel,
        )

    pair = MODEL_IDS[STRONG_ID], MODEL_IDS[WEAK_ID]
    with torch.random.fork_rng(), _one_thread(torch):
        torch.manual_seed(seed)
        model = MFModel(_WIDTH, len(MODEL_IDS), embedding.shape[1], 1, use_proj=True)
        prompts = torch.tensor(embedding)
        win_rate = torch.tensor(((1 + strong - weak) / 2).astype(np.float32))
        optimiser = torch.optim.Adam(model.parameters(), lr=_RATE, weight_decay=decay)
        for _ in range(_STEPS):
            optimiser.zero_grad()
            logit = _advantage(model, prompts, pair)
            loss: Any = torch.nn.functional.binary_cross_entropy_with_logits(logit, win_rate)
            loss.backward()
            optimiser.step()
    return _weights(model, pair)


@contextmanager
def _one_thread(torch: Any) -> Iterator[None]:
    """`threadpool_limits` cannot reach a PyTorch that is imported later, nor its own MKL."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _advantage(model: Any, prompts: Any, pair: tuple[int, int]) -> Any:
    """``MFModel.forward`` for many prompts whose embeddings are at hand."""
    rows = model.P.weight[list(pair)]
    strong, weak = rows / rows.norm(dim=1, keepdim=True)
    return model.classifier((strong - weak) * model.text_proj(prompts)).squeeze(1)


def _weights(model: Any, pair: tuple[int, int]) -> MFWeights:
    state = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    return MFWeights(
        models=state["P.weight"],
        text_projection=state["text_proj.0.weight"],
        classifier=state["classifier.0.weight"],
        strong=pair[0],
        weak=pair[1],
    )
