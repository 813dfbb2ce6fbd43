"""LiteLLM's complexity heuristic as a router: keywords and lengths, no training, no network.

Its rules come with the installed LiteLLM. Importing them takes seconds, so they load when the first
router of this kind does.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from experiments.routers.errors import RouterConfigurationError
from experiments.routers.features import Features
from experiments.routers.heads import sigmoid

KIND = "complexity"
LONGEST = 2_000  # characters; the heuristic is linear in them
# Prompts that use each of its rules; its scores of them are part of its identity.
_PROBES = (
    "Hello",
    "What is a cat?",
    "Fix this function: def add(a, b): return a - b",
    "Think step by step and compare and contrast both proofs.",
    "Design a distributed architecture with low latency and high throughput.",
    "First read it, then write a summary. Why? How? When? Who?",
    "word " * 500,
)


@dataclass(frozen=True, eq=False)
class ComplexityRouter:
    """Shared by threads. The score orders prompts; it is no probability."""

    complexity: Callable[[str], float]
    sha256: str
    counts_ties: ClassVar[bool] = False

    @classmethod
    def load(cls) -> "ComplexityRouter":
        """Raises RouterConfigurationError if the installed LiteLLM has no such rules."""
        complexity = _complexity()
        said = json.dumps([round(complexity(prompt), 9) for prompt in _PROBES])
        return cls(complexity, hashlib.sha256(f"{KIND} {said}".encode()).hexdigest())

    def score(self, features: Features) -> float:
        """The heuristic's weighted sum through a logistic curve, in [0, 1]."""
        return sigmoid(self.complexity(features.asked.text[:LONGEST]))


@cache
def _complexity() -> Callable[[str], float]:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        from litellm.router_strategy.complexity_router import complexity_router  # noqa: PLC0415

        rules = _with_quick_look(complexity_router.ComplexityRouter)(
            KIND, ctx=None, derive_savings_baseline=False
        )
        rules.classify("Hello")
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise RouterConfigurationError(
            f"The installed LiteLLM has no complexity router ({type(error).__name__}). Install the "
            "version in requirements-core.txt."
        ) from error
    return lambda prompt: float(rules.classify(prompt)[1])


def _with_quick_look(rules: type) -> Any:
    """The same rules. A regular expression runs only for keywords that occur at all, which is ten
    times as fast."""

    class QuickRules(rules):  # type: ignore[misc]
        def _keyword_matches(self, text: str, keyword: str) -> bool:
            return keyword.lower() in text and bool(super()._keyword_matches(text, keyword))

    return QuickRules
