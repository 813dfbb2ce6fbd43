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


def mixed_thresholds(
    recorded: Floats,
    recorded_domains: Sequence[str],
    usual: Floats,
    usual_domains: Sequence[str],
    share: float,
) -> dict[str, float]:
    """Thresholds where recorded and usual prompts count half each, overall and in each domain.

    A domain needs 50 prompts of either kind; with one kind only, that decides.
    """
    names = sorted({*recorded_domains, *usual_domains} - {""})
    found = {OVERALL: (recorded, usual)}
    for name in names:
        kinds = ((recorded, recorded_domains), (usual, usual_domains))
        one, other = (scores[np.array(of) == name] for scores, of in kinds)
        if max(len(one), len(other)) >= _LEAST_PROMPTS:
            found[name] = (one, other)
    return {name: round(_middle(*both, share), 6) for name, both in found.items()}


def _middle(one: Floats, other: Floats, share: float) -> float:
    """The score that this share of the weight reaches."""
    enough = [part for part in (one, other) if len(part) >= _LEAST_PROMPTS]
    scores = np.concatenate(enough)
    weights = np.concatenate([np.full(len(part), 1 / len(part)) for part in enough])
    order = np.argsort(-scores)
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(scores[order][int(np.argmax(reached >= share - 1e-12))])
