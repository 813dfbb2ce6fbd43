"""A world where both answers of every request are known, logged by a policy that explores."""

from typing import NamedTuple

import numpy as np

from experiments.analysis.off_policy.estimates import Log, Rows
from experiments.analysis.off_policy.nuisance import Floats


class World(NamedTuple):
    """The log, and what is hidden: the quality and the cost of either side of each request."""

    log: Log
    quality: Floats
    cost: Floats

    def truth(self, to_strong: Rows) -> tuple[float, float]:
        side = to_strong.astype(np.int64)
        rows = np.arange(len(side))
        return float(self.quality[rows, side].mean()), float(self.cost[rows, side].mean())


def world(
    rng: np.random.Generator,
    *,
    units: int = 2000,
    epsilon: float = 0.1,
    rated: float = 0.5,
    threshold: float = 0.5,
    revisions: int = 1,
) -> World:
    """Units ask one to five alike questions; who rates depends on the score and the model."""
    counts = rng.integers(1, 6, units)
    unit = np.repeat(np.arange(units), counts)
    n = len(unit)
    mood = rng.normal(0, 0.8, units)[unit]
    score = 1 / (1 + np.exp(-(rng.normal(0, 1, n) + 0.3 * mood)))
    chance = np.stack([1.8 + mood - 2 * score, 1.8 + mood], axis=1)
    quality = (rng.random((n, 2)) < 1 / (1 + np.exp(-chance))).astype(np.float64)
    tokens = rng.lognormal(5, 0.5, n)
    expected = np.stack([tokens, 10 * tokens], axis=1)
    cost = expected * rng.lognormal(0, 0.3, n)[:, None]
    usual = score >= threshold
    took = (usual ^ (rng.random(n) < epsilon)).astype(np.int64)
    strong = np.where(usual, 1 - epsilon, epsilon)
    rows = np.arange(n)
    rates = rated * np.where(took == 1, 1.0, 0.7) * (0.2 + 1.6 * score)
    rating = np.where(rng.random(n) < rates, quality[rows, took], np.nan)
    log = Log(
        units=unit,
        strata=rows * revisions // n,
        domains=np.zeros(n, np.int64),
        took=took,
        odds=np.stack([1 - strong, strong], axis=1),
        expected=expected,
        cost=cost[rows, took],
        rating=rating,
        score=score,
        tokens=tokens,
    )
    return World(log, quality, cost)
