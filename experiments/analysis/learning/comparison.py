"""Is the learned router better than the shipped one? A choice for serving, by cross-fitting.

At five strong shares, each router sends its highest scores to the strong model. Where they differ,
the learned router wins or loses the prompt's gain. The estimate is the mean over all prompts of
what the model expects there, corrected by the pairs, which are a random sample: it is unbiased
whatever the model expects (augmented inverse propensity weighting, Robins, Rotnitzky and Zhao,
1994). Every expectation leaves out the prompt's own unit.
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

_PRIOR_PAIRS = 10


class Compared(NamedTuple):
    """Learned minus shipped, in quality; `z` is the difference in standard errors."""

    difference: float
    z: float
    pairs: int


def compare_routers(
    learned: Floats, shipped: Floats, pairs: NDArray[np.intp], gains: Floats
) -> Compared | None:
    """None with fewer than ten pairs.

    `learned` and `shipped` are scores of all prompts (`learned` is each prompt's expected gain,
    fitted without its unit); `pairs` are positions in them, `gains` what the pairs showed.
    """
    if len(pairs) < FEWEST_PAIRS:
        return None
    differs = _shares_differ(learned, shipped)
    expected = differs * (learned - learned.mean())
    seen = differs[pairs] * (gains - gains.mean())
    errors = seen - expected[pairs]
    difference = float(expected.mean() + errors.mean())
    # With few pairs the spread is uncertain: ten more count, spread as if differing were by chance.
    by_chance = float((differs**2).mean() * gains.var())
    spread = float(((errors - errors.mean()) ** 2).sum()) + _PRIOR_PAIRS * by_chance
    variance = spread / (len(pairs) + _PRIOR_PAIRS) / len(pairs) + expected.var() / len(learned)
    if variance <= 0:
        return Compared(0.0, 0.0, len(pairs))
    return Compared(difference, difference / math.sqrt(variance), len(pairs))


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
