"""LiteLLM's complexity heuristic as a baseline: keywords and lengths, no training, no network."""

import math
import os
from collections.abc import Callable

NAME = "complexity"
Score = Callable[[str], float]


def complexity_score() -> Score | None:
    """A prompt's complexity in [0, 1]; None where the installed LiteLLM has no such scorer."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        from litellm.router_strategy.complexity_router.complexity_router import (  # noqa: PLC0415
            ComplexityRouter,
        )

        router = ComplexityRouter(NAME, ctx=None, derive_savings_baseline=False)
        router.classify("Hello")
    except (ImportError, AttributeError, TypeError, ValueError):
        return None

    def score(prompt: str) -> float:
        return 1 / (1 + math.exp(-float(router.classify(prompt)[1])))

    return score
