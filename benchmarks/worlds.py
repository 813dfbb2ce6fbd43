"""Made-up units for the simulations: how they arrive, what they cost, how well they are answered.

Nothing here is easy on the statistics: costs are skewed, units send between 1 and 50 requests,
requests of one unit resemble each other, failures are rare. What is true of each arm is known.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.experiment.summaries import MeanSummary, RatioSummary

Floats = NDArray[np.float64]

COST = 0.001
QUALITY = 0.8
FAILURES = 0.02
MOST_REQUESTS = 50
# Beta(3.2, 0.8): answers of one unit agree about as well as those of one user do.
_LIKENESS = 4.0
_SKEW = 1.2


class Truth(NamedTuple):
    """One arm as it really is: cost per request, share of good answers, share of failing units."""

    cost: float = COST
    quality: float = QUALITY
    failures: float = FAILURES


class Ratios(NamedTuple):
    """A ratio's moments at the end of each day, all runs at once: shape (runs, days)."""

    n: NDArray[np.int64]
    y: Floats
    yy: Floats
    x: Floats
    xx: Floats
    xy: Floats

    def summary(self, run: int, day: int) -> RatioSummary:
        return RatioSummary(
            int(self.n[day]),
            float(self.y[run, day]),
            float(self.yy[run, day]),
            float(self.x[run, day]),
            float(self.xx[run, day]),
            float(self.xy[run, day]),
        )

    def estimates(self) -> tuple[Floats, Floats]:
        """The ratio and its squared standard error (delta method)."""
        ratio = self.y / self.x
        variance = self.yy - 2 * ratio * self.xy + ratio**2 * self.xx
        return ratio, np.maximum(variance, 0) / self.x**2 / self.n


class Arm(NamedTuple):
    """Everything measured in one arm; `failed` counts units, shape (runs, days)."""

    cost: Ratios
    quality: Ratios
    failed: NDArray[np.int64]

    def failures(self, run: int, day: int) -> MeanSummary:
        return MeanSummary.from_successes(int(self.cost.n[day]), int(self.failed[run, day]))


def draw_arm(rng: np.random.Generator, truth: Truth, *, runs: int, days: int, per_day: int) -> Arm:
    """`per_day` new units on each of `days` days, drawn `runs` times."""
    shape = (runs, days, per_day)
    requests = draw_requests(rng, shape)
    skewed = np.exp(rng.normal(-(_SKEW**2) / 2, _SKEW, shape))
    good = draw_good(rng, requests, truth.quality)
    failed = rng.random(shape) < truth.failures
    return Arm(
        cumulated(truth.cost * requests * skewed, requests),
        cumulated(good, requests),
        failed.sum(axis=2).cumsum(axis=1),
    )


def draw_requests(rng: np.random.Generator, shape: Sequence[int]) -> Floats:
    """1 to 50 requests a unit, most of them few."""
    drawn: Floats = np.floor(np.exp(rng.normal(1.2, 1.0, tuple(shape))))
    return np.clip(drawn, 1, MOST_REQUESTS)


def draw_good(rng: np.random.Generator, requests: Floats, quality: float) -> Floats:
    """How many of a unit's requests are answered well."""
    each = rng.beta(_LIKENESS * quality, _LIKENESS * (1 - quality), requests.shape)
    good: Floats = rng.binomial(requests.astype(np.int64), each).astype(np.float64)
    return good


def cumulated(y: Floats, x: Floats) -> Ratios:
    """Means, sample variances and covariance of all units up to each day."""
    n = np.cumsum(np.full(y.shape[1], y.shape[2]))

    def total(values: Floats) -> Floats:
        sums: Floats = values.sum(axis=2).cumsum(axis=1)
        return sums

    y_total, x_total = total(y), total(x)

    def moment(product: Floats, left: Floats, right: Floats) -> Floats:
        value: Floats = (total(product) - left * right / n) / np.maximum(n - 1, 1)
        return value

    return Ratios(
        n,
        y_total / n,
        moment(y * y, y_total, y_total),
        x_total / n,
        moment(x * x, x_total, x_total),
        moment(x * y, y_total, x_total),
    )
