"""Is the learned router better than the shipped one? A choice for serving, by cross-fitting.

At five strong shares, each router sends its highest scores to the strong model. Where they differ,
the learned router wins or loses the prompt's gain. The model expects a gain for each prompt (fitted
without the prompt's unit, then moved by half of what the chosen answer's rating surprised), and the
mean over all prompts is a first estimate of the difference. The pairs, a random sample, estimate
the model's error without bias (augmented inverse propensity weighting, Robins, Rotnitzky and Zhao,
1994), but a few of them do so with a large spread. So that error counts as one draw of a normal
distribution with mean 0 and a small standard deviation: with few pairs the model's expectation
decides, with many the pairs do. That fits a choice, not a claim (`claims.py`).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
SERVE_ABOVE = 0.84
RETURN_BELOW = 0.0
FEWEST_PAIRS = 10

MODEL_ERROR = 0.01  # standard deviation, in quality; chosen by leaving one data set out
OWN_RATING = 0.5

_PRIOR_PAIRS = 10


class Compared(NamedTuple):
    """Learned minus shipped, in quality; `z` is the difference in standard errors."""

    difference: float
    z: float
    pairs: int


def expected_gains(held_out: Floats, residuals: Floats, strong: NDArray[np.bool_]) -> Floats:
    """Expected gains of prompts, with what the rating of their chosen answer adds.

    `residuals` are of the chosen answers (0 without a rating), `strong` says whose answer that is:
    a strong answer better than expected means a higher gain, a weak one a lower gain.
    """
    return held_out + OWN_RATING * np.where(strong, residuals, -residuals)


def compare_routers(
    learned: Floats, shipped: Floats, expected: Floats, pairs: NDArray[np.intp], gains: Floats
) -> Compared | None:
    """None with fewer than ten pairs.

    `learned` and `shipped` are scores of all prompts, `expected` their `expected_gains`; all are
    fitted without the prompt's unit. `pairs` are positions in them, `gains` what the pairs showed.
    """
    if len(pairs) < FEWEST_PAIRS:
        return None
    differs = _shares_differ(learned, shipped)
    centered = expected - expected.mean()
    surprises = gains - gains.mean() - centered[pairs]
    errors = differs[pairs] * surprises
    # With few pairs the spread is uncertain: ten more count, spread as if differing were by chance.
    by_chance = float((differs**2).mean() * surprises.var())
    spread = float(((errors - errors.mean()) ** 2).sum()) + _PRIOR_PAIRS * by_chance
    sampling = spread / (len(pairs) + _PRIOR_PAIRS) / len(pairs)
    trusted = MODEL_ERROR**2 / (MODEL_ERROR**2 + sampling)
    difference = float((differs * centered).mean() + trusted * errors.mean())
    variance = trusted * sampling + float((differs * centered).var()) / len(learned)
    z = difference / math.sqrt(variance) if variance > 0 else 0.0
    return Compared(difference, z, len(pairs))


def serves_next(serving: bool, compared: Compared | None) -> bool:
    """Serve the learned router from z > 0.84 on, and return to the shipped one at z < 0."""
    if compared is None:
        return False
    return compared.z >= RETURN_BELOW if serving else compared.z > SERVE_ABOVE


def _shares_differ(learned: Floats, shipped: Floats) -> Floats:
    """For each prompt: at what part of the shares it moves up to the strong model, minus down."""
    differs = np.zeros(len(learned))
    new, old = _ranks(learned), _ranks(shipped)
    for share in SHARES:
        differs += (new > 1 - share).astype(np.float64) - (old > 1 - share)
    return differs / len(SHARES)


def _ranks(scores: Floats) -> Floats:
    """From 0 to 1; equal scores have their mean rank."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - counts / 2)[inverse] / len(scores))
