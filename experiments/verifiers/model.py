"""The small model that combines what verifiers see into one score of the weak answer.

Two logistic regressions share the features: the probability that the weak model's answer is right,
and the probability that the strong model's would be. What counts for a cascade is the difference:
escalating a wrong answer gains nothing where the strong model would be wrong too.

    score = (1 + P(weak right) - P(strong right)) / 2,  in [0, 1]; low: escalate.

Weights are drawn towards a prior by a ridge penalty. Without a prior verifier, the prior is the
prompt router's log-odds alone, so with few pairs the cascade escalates as that router would.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.softmax import softmax_regression
from experiments.verifiers.features import GROUPS, NAMES

Floats = NDArray[np.float64]

_WEAK_STRENGTH, _STRONG_STRENGTH = 0.05, 0.02
_FREE = 100.0
_ROUTER_WEIGHT = 0.5
_FURTHEST = 4.0
_SMALLEST_SCALE = 1e-6
_ROUTER = NAMES.index("router_log_odds")


@dataclass(frozen=True, eq=False)
class Verifier:
    """Weights of the standardised features, one row for the weak model and one for the strong
    one; `intercepts` has both. Shared by threads: nothing in it changes."""

    mean: Floats
    scale: Floats
    weights: Floats
    intercepts: Floats

    def score(self, features: Floats) -> Floats:
        """In [0, 1] for each row of features: how far the weak answer may be trusted."""
        weak, strong = self.probabilities(features).T
        return np.asarray((1 + weak - strong) / 2)

    def probabilities(self, features: Floats) -> Floats:
        """Of the weak and of the strong model to be right: one row a sample, two columns."""
        logits = self._design(features) @ self.weights.T + self.intercepts
        return np.asarray(1 / (1 + np.exp(-logits)))

    def contributions(self, features: Floats) -> dict[str, float]:
        """What each verifier adds to the log-odds of trusting one answer, compared with the
        average answer of its training; positive: trust."""
        share = self._design(features) * (self.weights[0] - self.weights[1])
        by_name = dict(zip(NAMES, share.tolist(), strict=True))
        return {group: sum(by_name[name] for name in names) for group, names in GROUPS.items()}

    def _design(self, features: Floats) -> Floats:
        standard = (features - self.mean) / self.scale
        return np.asarray(np.clip(standard, -_FURTHEST, _FURTHEST))


def router_prior() -> Verifier:
    """Before any pair: the score falls with the prompt router's score, and nothing else counts."""
    size = len(NAMES)
    weights = np.zeros((2, size))
    weights[:, _ROUTER] = -_ROUTER_WEIGHT, _ROUTER_WEIGHT
    return Verifier(np.zeros(size), np.ones(size), weights, np.zeros(2))


def fit(
    features: Floats,
    weak: Floats,
    strong: Floats,
    *,
    groups: Sequence[str] = tuple(GROUPS),
    prior: Verifier | None = None,
) -> Verifier:
    """From pairs: one row of features each, and how good both models' answers were, in [0, 1].

    `groups` names the verifiers that take part. Raises ValueError for an unknown one, or columns
    of different lengths.
    """
    if unknown := sorted(set(groups) - set(GROUPS)):
        raise ValueError(f"Unknown verifier '{unknown[0]}'. Known verifiers: {', '.join(GROUPS)}.")
    if not len(features) == len(weak) == len(strong):
        raise ValueError("Features and scores must have the same length.")
    start = prior or router_prior()
    if not len(features):
        return start
    scale = features.std(axis=0)
    scale = np.where(scale > _SMALLEST_SCALE, scale, 1.0)
    before = Verifier(features.mean(axis=0), scale, np.zeros((2, len(NAMES))), np.zeros(2))
    design = before._design(features)
    used = np.isin(NAMES, [name for group in groups for name in GROUPS[group]])
    targets = np.where(used, start.weights / start.scale * scale, 0.0)
    found = [
        _logistic(design * used, right, target, strength)
        for right, target, strength in (
            (weak, targets[0], _WEAK_STRENGTH),
            (strong, targets[1], _STRONG_STRENGTH),
        )
    ]
    return Verifier(
        before.mean,
        scale,
        np.stack([weights * used for weights, _ in found]),
        np.array([intercept for _, intercept in found]),
    )


def _logistic(
    design: Floats, right: Floats, target: Floats, strength: float
) -> tuple[Floats, float]:
    """Weights near `target`, and the intercept. A score between 0 and 1 counts as that much right
    and the rest wrong."""
    found = softmax_regression(
        design,
        np.stack([1 - right, right], axis=1),
        np.stack([np.zeros(len(design)), design @ target], axis=1),
        np.ones(len(design)),
        columns=np.array([1]),
        penalty=1 / strength,
        offset_penalty=1 / _FREE,
        iterations=500,
    )
    return target + found.weights[:, 0], float(found.offset[0])
