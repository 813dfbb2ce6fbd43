"""Mean ratings from sums and squares, with intervals that stay honest when few were rated."""

from math import sqrt
from typing import NamedTuple

Z95 = 1.959963984540054


class Ratings(NamedTuple):
    """Ratings in [0, 1] added up: their sum, the sum of their squares, and how many."""

    total: float
    squares: float
    rated: int


class Estimate(NamedTuple):
    """A mean, or a difference of means, with its 95 % interval."""

    value: float
    low: float
    high: float


def mean_rating(ratings: Ratings) -> Estimate | None:
    """The mean with its interval inside [0, 1]; None where nothing was rated."""
    if not ratings.rated:
        return None
    mean = ratings.total / ratings.rated
    half = Z95 * sqrt(_variance(ratings) / ratings.rated)
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half))


def difference(left: Ratings, right: Ratings) -> Estimate | None:
    """Mean of `left` minus mean of `right`; None where one of them has no rating."""
    if not left.rated or not right.rated:
        return None
    value = left.total / left.rated - right.total / right.rated
    half = Z95 * sqrt(_variance(left) / left.rated + _variance(right) / right.rated)
    return Estimate(value, value - half, value + half)


def _variance(ratings: Ratings) -> float:
    """With one more rating at 0 and one at 1, so that ten equal ratings are not certainty."""
    n = ratings.rated + 2
    mean = (ratings.total + 1) / n
    return max(0.0, (ratings.squares + 1) / n - mean * mean)
