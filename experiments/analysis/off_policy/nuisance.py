"""Models for off-policy estimates: expected outcomes, and the probability of a rating.

Both are small regressions on domain, score (its rank, and a step for each bin) and prompt length,
and on a second score if the candidate uses another router. There is one for each side of a pair,
fitted on counts in cells, so that a million rows take little more than counting. They are
cross-fitted: the prediction for a unit is fitted without that unit. A wrong outcome model makes
intervals wider, but not biased; a wrong rating model biases the estimate, which an audit of an
experiment's decisions avoids.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SIDES = 3
FOLDS = 5
SCORE_BINS = 20
LENGTH_BINS = 4
FURTHER_BINS = 10
LEAST_SHARE_OF_RATE = 0.2
MOST_ERRORS = 1.0
_RIDGE = 1.0
_TRENDS, _TREND_RIDGE = 4, 0.1
"""Of who rates, level, slope, curve and length (the first columns) are held back less: drawn to the
share of a whole side, they would bend the weights of the few requests that were explored."""
_STEPS = 25
_STILL = 1e-8
_SAMPLE = 100_000


@dataclass(frozen=True, eq=False)
class Cells:
    """Each row's cell and fold, and the features of each cell."""

    cell: Ints
    fold: Ints
    features: Floats

    def counts(self, side: Ints, rows: NDArray[np.bool_], values: Floats | None = None) -> Floats:
        """Rows (or the sum of their values) by fold, side and cell."""
        count = len(self.features)
        key = (self.fold[rows] * SIDES + side[rows]) * count + self.cell[rows]
        weights = None if values is None else values[rows]
        added = np.bincount(key, weights, FOLDS * SIDES * count)
        return added.astype(np.float64).reshape(FOLDS, SIDES, count)

    def spread(self, predicted: Floats) -> Floats:
        """A prediction for each fold, side and cell, as one row each and a column for each side."""
        return predicted[self.fold, :, self.cell]


def cells_of(
    units: Ints, domains: Ints, scores: Floats, tokens: Floats, further: Floats | None = None
) -> Cells:
    """Cells of domain, score (missing is one of its own), length, and a further score if there is
    one. Folds hold whole units."""
    domain_count = int(domains.max()) + 1 if len(domains) else 1
    score_bin, length_bin = _binned(scores, SCORE_BINS), _binned(tokens, LENGTH_BINS)
    further_bins = 0 if further is None else FURTHER_BINS
    further_bin = np.zeros_like(length_bin) if further is None else _binned(further, FURTHER_BINS)
    shape = (domain_count, SCORE_BINS + 1, LENGTH_BINS + 1, further_bins + 1)
    places = (domains, score_bin, length_bin, further_bin)
    cell = np.ravel_multi_index(places, shape).astype(np.int64)
    domain, score, length, other = (axis.ravel() for axis in np.indices(shape))
    rank = np.where(score == SCORE_BINS, 0.0, score / (SCORE_BINS - 1) - 0.5)
    columns = [
        np.ones(len(rank)),
        rank,
        rank * rank,
        length / LENGTH_BINS,
        *(score == k for k in range(SCORE_BINS + 1)),
        *(domain == k for k in range(1, domain_count)),
        *(other == k for k in range(1, further_bins + 1)),
    ]
    return Cells(cell, units % FOLDS, np.stack(columns, axis=1).astype(np.float64))


def expected_outcomes(cells: Cells, side: Ints, values: Floats, seen: NDArray[np.bool_]) -> Floats:
    """What each row's outcome would be on each side, by ridge regression towards the mean.

    Never outside the range of what was seen.
    """
    counts, sums = cells.counts(side, seen), cells.counts(side, seen, values)
    low, high = (values[seen].min(), values[seen].max()) if seen.any() else (0.0, 0.0)
    predicted = np.empty_like(counts)
    for fold in range(FOLDS):
        n, total = counts.sum(axis=0) - counts[fold], sums.sum(axis=0) - sums[fold]
        overall = total.sum() / max(n.sum(), 1.0)
        for a in range(SIDES):
            mean = (total[a].sum() + overall) / (n[a].sum() + 1.0)
            centred = total[a] - mean * n[a]
            slope = _solve(cells.features, n[a], centred)
            predicted[fold, a] = mean + cells.features @ slope
    return cells.spread(np.clip(predicted, low, high))


def rating_odds(
    cells: Cells, side: Ints, seen: NDArray[np.bool_]
) -> tuple[Floats, NDArray[np.bool_]]:
    """P(rated) of each row on the side it went to, and where it was clipped."""
    found = rating_rates(cells, side, seen)
    own = np.arange(len(side)), side
    return found.rate[own], found.clipped[own]


class Rates(NamedTuple):
    """P(rated) of each row on every side, had it gone there; what it hardly exceeds, given how few
    tell; and where it was clipped."""

    rate: Floats
    most: Floats
    clipped: NDArray[np.bool_]


def rating_rates(
    cells: Cells,
    side: Ints,
    seen: NDArray[np.bool_],
    rows: NDArray[np.bool_] | None = None,
) -> Rates:
    """Fitted on `rows`, or all, by logistic regression; never below a fifth of the share rated on
    that side. `most` is MOST_ERRORS standard errors above it, on the scale of the logit."""
    counts = cells.counts(side, np.ones(len(side), bool) if rows is None else rows)
    rated = cells.counts(side, seen)
    predicted, most, least = np.empty_like(counts), np.empty_like(counts), np.empty(SIDES)
    for a in range(SIDES):
        share = (rated[:, a].sum() + 1) / (counts[:, a].sum() + 2)
        least[a] = LEAST_SHARE_OF_RATE * share
        for fold in range(FOLDS):
            n = counts[:, a].sum(axis=0) - counts[fold, a]
            y = rated[:, a].sum(axis=0) - rated[fold, a]
            logit, error = _logistic(cells.features, n, y, share)
            predicted[fold, a] = expit(logit)
            most[fold, a] = expit(logit + MOST_ERRORS * error)
    rate = cells.spread(predicted)
    clipped = rate < least
    return Rates(np.where(clipped, least, rate), np.maximum(cells.spread(most), least), clipped)


def _binned(values: Floats, bins: int) -> Ints:
    """Quantile bins; what is not finite is the last bin of all."""
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(values), bins)
    sample = values[known]
    sample = sample[:: max(1, len(sample) // _SAMPLE)]
    ends = np.quantile(sample, np.arange(1, bins) / bins)
    place = np.searchsorted(ends, values, side="right")
    return np.where(known, place, bins).astype(np.int64)


def _solve(features: Floats, weights: Floats, targets: Floats) -> Floats:
    used = weights > 0
    own = features[used]
    normal = (own * weights[used, None]).T @ own + _RIDGE * np.eye(own.shape[1])
    return np.asarray(np.linalg.solve(normal, own.T @ targets[used]), np.float64)


def _logistic(features: Floats, n: Floats, y: Floats, share: float) -> tuple[Floats, Floats]:
    """The logit of each cell and its standard error.

    Newton's steps from the overall share, with a ridge towards it.

    A step that makes the fit worse is halved until it does not: where nearly all of a side are
    rated, whole steps overshoot and never come back.
    """
    start = float(np.log(share / (1 - share)))
    used, slope = n > 0, np.zeros(features.shape[1])
    own, trials, hits = features[used], n[used], y[used]
    ridge = np.full(len(slope), _RIDGE)
    ridge[:_TRENDS] = _TREND_RIDGE

    def fit(slope: Floats) -> float:
        logit = start + own @ slope
        likelihood = hits @ logit - trials @ np.logaddexp(0.0, logit)
        return float(likelihood - slope @ (ridge * slope) / 2)

    for _ in range(_STEPS if len(own) else 0):
        p = expit(start + own @ slope)
        weights = trials * p * (1 - p)
        normal = (own * weights[:, None]).T @ own + np.diag(ridge)
        step = np.linalg.solve(normal, own.T @ (hits - trials * p) - ridge * slope)
        while np.abs(step).max() > _STILL and fit(slope + step) < fit(slope):
            step /= 2
        slope += step
        if np.abs(step).max() <= _STILL:
            break
    p = expit(start + own @ slope)
    precision = (own * (trials * p * (1 - p))[:, None]).T @ own + np.diag(ridge)
    spread = np.linalg.solve(precision, features.T)
    error = np.sqrt(np.maximum((features.T * spread).sum(axis=0), 0.0))
    return np.asarray(start + features @ slope), np.asarray(error)
