"""Coverage of the intervals on awkward data: skewed costs, rare failures, busy units."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from benchmarks.tables import batches, heading, line, share
from benchmarks.worlds import (
    COST,
    QUALITY,
    Floats,
    Ratios,
    cumulated,
    draw_good,
    draw_requests,
)
from experiments.analysis.experiment import sequential
from experiments.analysis.experiment.health import MINIMUM_SHOWN

DAYS = 60
ALPHA = 0.05

Draw = Callable[[np.random.Generator, tuple[int, int, int], bool], tuple[Floats, Floats]]


class Metric(NamedTuple):
    """`draw(rng, shape, treated)` gives numerator and denominator of each unit."""

    name: str
    truth: float
    draw: Draw
    boolean: bool = False


def _skewed_cost(
    rng: np.random.Generator, shape: tuple[int, int, int], treated: bool
) -> tuple[Floats, Floats]:
    mean = COST * (0.7 if treated else 1.0)
    return mean * np.exp(rng.normal(-(1.5**2) / 2, 1.5, shape)), np.ones(shape)


def _rare_failure(
    rng: np.random.Generator, shape: tuple[int, int, int], treated: bool
) -> tuple[Floats, Floats]:
    rate = 0.03 if treated else 0.02
    return (rng.random(shape) < rate).astype(np.float64), np.ones(shape)


def _answers(
    rng: np.random.Generator, shape: tuple[int, int, int], treated: bool
) -> tuple[Floats, Floats]:
    requests = draw_requests(rng, shape)
    return draw_good(rng, requests, QUALITY - (0.03 if treated else 0.0)), requests


METRICS = (
    Metric("skewed cost per unit (log-normal, sigma 1.5)", -0.3 * COST, _skewed_cost),
    Metric("rare failure (2 % against 3 %)", 0.01, _rare_failure, boolean=True),
    Metric("quality per request, 1 to 50 requests a unit", -0.03, _answers),
)


def coverage(rng: np.random.Generator, runs: int) -> Iterator[str]:
    """How often a 95 % interval holds the truth: once at the end, and at all of 60 daily looks."""
    yield heading(
        "metric",
        "units an arm",
        "one look, fixed horizon",
        "60 looks, always valid",
        "60 looks, fixed horizon",
        "one look, requests taken as independent",
    )
    for metric in METRICS:
        for per_arm in (180, 960, 4800):
            yield _coverage_line(rng, metric, per_arm, runs)


def _coverage_line(rng: np.random.Generator, metric: Metric, per_arm: int, runs: int) -> str:
    hits = np.zeros(4)
    for size in batches(runs):
        shape = (size, DAYS, per_arm // DAYS)
        control, treatment = (metric.draw(rng, shape, treated) for treated in (False, True))
        hits += _covered(metric, cumulated(*control), cumulated(*treatment))
    pooled = "" if metric.truth != -0.03 else share(hits[3], runs)
    return line(metric.name, str(per_arm), *(share(hit, runs) for hit in hits[:3]), pooled)


def _covered(metric: Metric, control: Ratios, treatment: Ratios) -> NDArray[np.float64]:
    """Runs in which each kind of interval holds the truth."""
    shown = control.n >= MINIMUM_SHOWN
    n = control.n[shown]
    arms = [_estimates(metric, arm) for arm in (control, treatment)]
    miss = np.abs(arms[1][0] - arms[0][0] - metric.truth)[:, shown]
    squares = [square[:, shown] for _, square in arms]
    error = np.sqrt(squares[0] + squares[1])

    freedom = (n - 1) * error**4 / (squares[0] ** 2 + squares[1] ** 2)
    fixed = miss <= stdtrit(freedom, 1 - ALPHA / 2) * error
    factors = np.array([sequential.half_width(1.0, int(2 * k), alpha=ALPHA) for k in n])
    valid = miss <= factors * error
    pooled = miss[:, -1] <= 1.96 * _independent_error(control, treatment)
    hits = (fixed[:, -1], valid.all(axis=1), fixed.all(axis=1), pooled)
    return np.array([hit.sum() for hit in hits], dtype=np.float64)


def _estimates(metric: Metric, arm: Ratios) -> tuple[Floats, Floats]:
    """The metric and its squared standard error on each day."""
    value, square = arm.estimates()
    if not metric.boolean:
        return value, square
    smoothed = (value * arm.n + 1) / (arm.n + 2)
    return value, smoothed * (1 - smoothed) / arm.n


def _independent_error(control: Ratios, treatment: Ratios) -> Floats:
    """What the error would be if every request stood for itself."""
    total = np.zeros(len(control.y))
    for arm in (control, treatment):
        ratio, requests = arm.y[:, -1] / arm.x[:, -1], arm.x[:, -1] * arm.n[-1]
        total += np.maximum(ratio * (1 - ratio), 0) / requests
    return np.sqrt(total)
