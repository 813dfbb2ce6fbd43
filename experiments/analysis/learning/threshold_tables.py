"""Threshold tables: the threshold that keeps a strong share while scores change.

A table is the quantile of recent scores at the wanted share; newer scores weigh more. Prompts whose
score equals the threshold are drawn by a number in [0, 1), so a router that gives every prompt the
same score routes at random with the wanted share. What was realized so far corrects the share that
the next table aims at.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOVED_EVERY = 50
RECENT_SCORES = 200
ENOUGH_SCORES = 50
MOST_OF_ONE_UNIT = 0.01

HORIZON = 100
_LEAST_HORIZON = 50
_HALF_LIFE = 50

# Two samples of scores of these sizes from one distribution are this far apart in one of a million
# comparisons (Kolmogorov and Smirnov: 2 exp(-2 d^2 nm / (n + m))).
_NEWEST, _BEFORE = 100, 200
_JUMP = 0.35


@dataclass(frozen=True)
class ShareTable:
    """Scores above `threshold` go to the strong model; of equal ones the share `tie_share` does.

    `wanted` is the corrected share that the table aims at, `scores` how many scores it is from.
    What a `cold` table decided is not made up later: its scores are not of this traffic.
    """

    number: int
    threshold: float
    tie_share: float
    wanted: float
    scores: int
    cold: bool = False

    def strong(self, scores: Floats, ties: Floats) -> NDArray[np.bool_]:
        """Who gets the strong model. `ties`: uniform numbers in [0, 1), one for each score."""
        at_threshold = (scores == self.threshold) & (ties < self.tie_share)
        return np.asarray((scores > self.threshold) | at_threshold)

    def propensity(self, score: float) -> float:
        """The probability that this score goes to the strong model."""
        if score == self.threshold:
            return self.tie_share
        return float(score > self.threshold)


def table_for_share(
    scores: Floats, share: float, number: int = 0, weights: Floats | None = None
) -> ShareTable:
    """The table at which exactly `share` of these scores goes to the strong model, on average.

    With `weights`, the share of their sum. Raises ``ValueError`` without scores, for scores that
    are not finite, and for a share outside [0, 1].
    """
    if not len(scores) or not np.isfinite(scores).all():
        raise ValueError("A threshold table needs at least one score, and finite ones.")
    if not 0 <= share <= 1:
        raise ValueError(f"The share is {share}; it must lie between 0 and 1.")
    if share in (0, 1):
        return ShareTable(number, np.inf if share == 0 else -np.inf, 0.0, share, len(scores))
    weight = np.ones(len(scores)) if weights is None else weights
    order = np.argsort(-scores, kind="stable")
    wanted = share * weight.sum()
    at = min(int(np.searchsorted(np.cumsum(weight[order]), wanted)), len(scores) - 1)
    threshold = float(scores[order[at]])
    above = weight[scores > threshold].sum()
    tie_share = (wanted - above) / weight[scores == threshold].sum()
    return ShareTable(number, threshold, float(min(1.0, tie_share)), share, len(scores))


def recency_weights(count: int) -> Floats:
    """Weights of scores, oldest first: half as much 50 decisions earlier, for scores that drift."""
    return np.asarray(0.5 ** (np.arange(count)[::-1] / _HALF_LIFE))


def corrected_share(share: float, decided: int, strong: float, horizon: int = HORIZON) -> float:
    """What the next table aims at, so that the realized share returns to `share`.

    The difference is made up over the next `horizon` decisions; at most as many are made up.
    """
    behind = min(horizon, max(-horizon, share * decided - strong))
    return min(1.0, max(0.0, share + behind / horizon))


def horizon_of(between_moves: int) -> int:
    """The horizon for tables that move after so many decisions.

    A table counts until the one after it is read everywhere, one to two moves later. Making up
    differences much faster than that would overshoot.
    """
    return max(_LEAST_HORIZON, 2 * between_moves)


def recent_rows(units: Sequence[int] | NDArray[np.intp]) -> NDArray[np.intp]:
    """Which of these decisions count, oldest first: the newest 200, at most 1 % from one unit.

    `units` holds one number for each decision. A unit has at least one score.
    """
    return _newest_rows(units, RECENT_SCORES, max(1, int(MOST_OF_ONE_UNIT * RECENT_SCORES)))


def fair_rows(units: Sequence[int] | NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """The newest `count` decisions, at most 1 % from one unit. Where there are fewer than a hundred
    units, none has more than an equal share of them."""
    distinct = len(set(map(int, units)))
    if not distinct:
        return np.array([], dtype=np.intp)
    return _newest_rows(units, count, max(int(MOST_OF_ONE_UNIT * count), -(-count // distinct)))


def _newest_rows(
    units: Sequence[int] | NDArray[np.intp], count: int, most: int
) -> NDArray[np.intp]:
    used: dict[int, int] = {}
    kept: list[int] = []
    for at in range(len(units) - 1, -1, -1):
        unit = int(units[at])
        if used.get(unit, 0) < most:
            used[unit] = used.get(unit, 0) + 1
            kept.append(at)
            if len(kept) == count:
                break
    return np.array(kept[::-1], dtype=np.intp)


def jump_of(scores: Floats) -> float | None:
    """How far the newest 100 scores are from the 200 before them, if that is no coincidence.

    `scores`, oldest first. The distance is the largest difference between the two distribution
    functions, in [0, 1].
    """
    if len(scores) < _NEWEST + _BEFORE:
        return None
    newest = np.sort(scores[-_NEWEST:])
    before = np.sort(scores[-_NEWEST - _BEFORE : -_NEWEST])
    at = np.concatenate((newest, before))
    below = np.searchsorted(newest, at, "right") / _NEWEST
    distance = float(np.abs(below - np.searchsorted(before, at, "right") / _BEFORE).max())
    return distance if distance >= _JUMP else None


@dataclass
class ShareKeeper:
    """The tables of one policy: one series for each domain, each with its realized share.

    `cold` are the shipped quantiles, for the time before there are 50 scores of any domain.
    """

    share: float
    cold: Floats
    decided: dict[int, int] = field(default_factory=dict)
    strong: dict[int, int] = field(default_factory=dict)
    moves: int = 0

    def table(self, domain: int, own: Floats, everyone: Floats) -> ShareTable:
        """The next table of a domain, from its own recent scores or, below 50, those of all."""
        scores = own if len(own) >= ENOUGH_SCORES else everyone
        cold = len(scores) < ENOUGH_SCORES
        self.moves += 1
        wanted = corrected_share(
            self.share, self.decided.get(domain, 0), self.strong.get(domain, 0)
        )
        if cold:
            return replace(table_for_share(self.cold, wanted, self.moves), cold=True)
        return table_for_share(scores, wanted, self.moves, recency_weights(len(scores)))

    def add(self, domain: int, table: ShareTable, strong: NDArray[np.bool_]) -> None:
        """Count decisions that were made with this table."""
        if not table.cold:
            self.decided[domain] = self.decided.get(domain, 0) + len(strong)
            self.strong[domain] = self.strong.get(domain, 0) + int(strong.sum())
