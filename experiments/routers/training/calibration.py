"""From gains to win rates, and thresholds for a strong share. Both from held-out gains only."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from experiments.analysis.routing.measures import threshold_for_share
from experiments.routers.local import OVERALL, WinRate

Floats = NDArray[np.float64]

_WEAKLY = 1e6
_LEAST_PROMPTS = 50


def fit_win_rate(gains: Floats, strong: Floats, weak: Floats) -> WinRate:
    """Logistic regression of "the strong model was better" where the two models differ."""
    differ = strong != weak
    stronger = strong > weak
    if len(set(stronger[differ].tolist())) < 2:
        return WinRate(slope=1.0, offset=0.0)
    model = LogisticRegression(C=_WEAKLY, max_iter=500)
    model.fit(gains[differ, None], stronger[differ])
    return WinRate(max(0.0, float(model.coef_[0, 0])), float(model.intercept_[0]))


def domain_thresholds(scores: Floats, domains: Sequence[str], share: float) -> dict[str, float]:
    """The threshold for this strong share, overall and of each domain with 50 prompts or more."""
    names = np.array(domains)
    thresholds = {OVERALL: scores}
    for name in sorted(set(domains) - {""}):
        if np.count_nonzero(names == name) >= _LEAST_PROMPTS:
            thresholds[name] = scores[names == name]
    cuts = {name: threshold_for_share(of, share).threshold for name, of in thresholds.items()}
    return {name: round(cut, 6) for name, cut in cuts.items() if cut is not None}
