"""Has a domain's traffic moved away from what its threshold was calibrated on?

Two questions of one day against the days before. Does the share above the threshold lie in its
band: the mean of the days, give or take Student's factor for one more day like them? And have the
scores moved: the same asked of the shares above the three quartiles of the reference, corrected for
being three (Bonferroni)? Requests of a unit are alike and days differ, so a day's share varies more
than counting says; by how much is seen from the days themselves. Each question alarms falsely once
in a thousand looks at most (`FALSE_ALARM`): eight domains looked at daily give a false alarm in
about two months.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from experiments.analysis.off_policy.nuisance import Floats

FALSE_ALARM = 0.001
FEWEST_DAYS = 7
FEWEST_SCORES = 50
LEAST_HALF_WIDTH = 0.02
WITHOUT_HISTORY = 0.10
QUARTILES = (0.25, 0.5, 0.75)


class Band(NamedTuple):
    """Where a day's strong share is expected."""

    low: float
    high: float

    def holds(self, share: float) -> bool:
        return self.low <= share <= self.high


class Shift(NamedTuple):
    """How a day's scores differ from the reference: `distance` is the largest difference of the
    cumulative shares, `p_value` what a day like the others would exceed."""

    p_value: float
    distance: float

    @property
    def is_certain(self) -> bool:
        return self.p_value < FALSE_ALARM


def band(share: float, daily: Floats) -> Band:
    """Around `share`, from the shares of single days; ten points each way where too few are."""
    if len(daily) < FEWEST_DAYS:
        half = WITHOUT_HISTORY
    else:
        n = len(daily)
        factor = float(student.ppf(1 - FALSE_ALARM / 2, n - 1)) * sqrt(1 + 1 / n)
        half = max(LEAST_HALF_WIDTH, factor * float(np.std(daily, ddof=1)))
    return Band(max(0.0, share - half), min(1.0, share + half))


def shift(reference: Floats, recent: Floats) -> Shift | None:
    """Counts by bin: a row for each reference day, and those of the day looked at.

    None where too little is known: fewer than a week of days with fifty scores, or fewer scores
    than that on the day.
    """
    days = reference[reference.sum(axis=1) >= FEWEST_SCORES]
    if len(days) < FEWEST_DAYS or recent.sum() < FEWEST_SCORES:
        return None
    pooled = days.sum(axis=0)
    cuts = _cuts(pooled)
    if not len(cuts):
        return Shift(1.0, 0.0)
    daily, shares = _above(days)[:, cuts], _above(recent[None, :])[0, cuts]
    n = len(daily)
    counted = np.sqrt(shares * (1 - shares) / recent.sum())
    spread = np.maximum(daily.std(axis=0, ddof=1), np.maximum(counted, 1 / recent.sum()))
    ratio = np.abs(shares - daily.mean(axis=0)) / (spread * sqrt(1 + 1 / n))
    p_value = min(1.0, len(cuts) * 2 * float(student.sf(ratio.max(), n - 1)))
    return Shift(p_value, _distance(pooled, recent))


def _cuts(counts: Floats) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Where bins begin that split the scores nearest to quarters, each once."""
    above = _above(counts[None, :])[0]
    inside = np.flatnonzero((above > 0) & (above < 1))
    if not len(inside):
        return inside
    nearest = [inside[np.argmin(np.abs(above[inside] - share))] for share in QUARTILES]
    return np.unique(nearest)


def _above(table: Floats) -> Floats:
    """The share of each row's counts in a bin or beyond it."""
    beyond = np.cumsum(table[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(beyond / table.sum(axis=1, keepdims=True))


def _distance(left: Floats, right: Floats) -> float:
    return float(np.abs(_above(left[None, :]) - _above(right[None, :])).max())
