"""Ratings of one model a prompt, weighed so that they speak for both models on all prompts.

A rating of a model that was chosen with probability p counts 1 / p, at most ``MOST_WEIGHT``: more
often than it came, because its like were mostly sent elsewhere. Weights are normalised, so that
those of each model sum to the number of prompts (Hájek's estimator).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_WEIGHT = 20.0
NO_OVERLAP = 0.999


class Weighed(NamedTuple):
    """Pseudo-outcomes: their means estimate what both models would have reached.

    `clipped` is the share of ratings whose weight was cut, `effective_strong` and `effective_weak`
    how many equally weighted ratings these are worth, and `without_overlap` the share of prompts
    on which the other model had no chance: of those the log cannot say what it would have done.
    """

    strong: Floats
    weak: Floats
    clipped: float
    effective_strong: float
    effective_weak: float
    without_overlap: float


def weigh(strong: Floats, weak: Floats, propensity: Floats) -> Weighed:
    """`strong` and `weak` are NaN where that model did not answer. Raises ValueError where one of
    them never did."""
    is_strong = ~np.isnan(strong)
    is_weak = ~np.isnan(weak)
    if not is_strong.any() or not is_weak.any():
        missing = "weak" if is_strong.any() else "strong"
        raise ValueError(
            f"No answer of the {missing} model was rated: nothing can be said about it. "
            "Explore: give the domain's policy an exploration rate of 0.02."
        )
    weights = inverse(propensity)
    sides = [_pseudo(*side, weights) for side in ((strong, is_strong), (weak, is_weak))]
    return Weighed(
        strong=sides[0],
        weak=sides[1],
        clipped=float(np.mean(1 / propensity > MOST_WEIGHT)),
        effective_strong=effective(weights[is_strong]),
        effective_weak=effective(weights[is_weak]),
        without_overlap=float(np.mean(propensity > NO_OVERLAP)),
    )


def inverse(propensity: Floats) -> Floats:
    """1 / p, clipped."""
    return np.asarray(np.minimum(1 / propensity, MOST_WEIGHT))


def effective(weights: Floats) -> float:
    """Kish's effective sample size."""
    return float(weights.sum() ** 2 / (weights @ weights)) if len(weights) else 0.0


def _pseudo(values: Floats, known: NDArray[np.bool_], weights: Floats) -> Floats:
    used = np.where(known, weights, 0.0)
    return np.asarray(np.where(known, values, 0.0) * used * len(values) / used.sum())
