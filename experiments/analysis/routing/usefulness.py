"""Is a trained router of any use? Asked on rows that it was not trained on.

A router is measured by its mean quality over all strong shares, compared with random routing at the
same shares. Unlike APGR this is defined without a quality gap between the models.
"""

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.routing.curves import Curves, Prompts, resampled

CONSTANT = "constant"
NO_BETTER_THAN_RANDOM = "no_better_than_random"

_LEVEL = 0.05
_RESAMPLES = 1_000

Floats = NDArray[np.float64]


def shortcoming(
    scores: Floats, strong: Floats, weak: Floats, folds: NDArray[np.int64], *, seed: int
) -> str:
    """`constant`, `no_better_than_random`, or "" for a router that may be offered.

    `scores` of a fold are by the router that did not see it. A router is no better than random if
    the one-sided 95 % bound of its advantage is not above 0. Scores that are not finite count as
    not held out.
    """
    seen = np.isfinite(scores)
    held_out, of_fold = scores[seen], folds[seen]
    if all(np.ptp(held_out[of_fold == fold]) == 0 for fold in set(of_fold.tolist())):
        return CONSTANT
    prompts, _ = Prompts.ordered(held_out, strong[seen], weak[seen])
    drawn = advantage(resampled(prompts, seed=seed, resamples=_RESAMPLES))
    return "" if float(np.quantile(drawn, _LEVEL)) > 0 else NO_BETTER_THAN_RANDOM


def advantage(curves: Curves) -> Floats:
    """Mean quality over all shares, minus that of random routing, of each curve."""
    random = (curves.quality[:, 0] + curves.quality[:, -1]) / 2
    return np.asarray(curves.area(curves.quality) - random)
