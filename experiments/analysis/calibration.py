"""Thresholds that keep a promise: a strong share, a budget, a share of the strong quality.

The last comes with a guarantee (Angelopoulos et al. 2021, "Learn then Test"). A grid of thresholds
is fixed from scores alone. Starting where everything goes to the strong model, each threshold is
tested in turn: is ``E[q(t) - rho * strong] >= 0``, with a p-value at the level `delta / domains`?
The first that fails ends the walk, and the last that passed is chosen. Whatever the data, the
chance that the chosen threshold breaks the promise is at most the level, and `delta` over all
domains.

p-values are by betting (Waudby-Smith & Ramdas 2024, "Estimating means of bounded random variables
by betting") or by Hoeffding and Bentkus (Bates et al. 2021). Values are averaged within units
first: units are what is independent, and each has one vote.

A production rating is known for one model only. It counts by the inverse of the probability that
the prompt went there and was rated: unbiased, and bounded as long as those probabilities are. A
constant taken from units that are not tested makes it vary less: ``c + w (rating - c)``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, exp, log
from typing import NamedTuple

import numpy as np
from scipy.stats import binom

from experiments.analysis.errors import CountError, LevelError
from experiments.analysis.nuisance import Floats, Ints
from experiments.analysis.off_policy import (
    OTHER,
    STRONG,
    WEAK,
    Bounds,
    Evidence,
    Rows,
    mean_over_units,
)
from experiments.analysis.routing import Cut

MOST_WEIGHT = 500.0
"""A rating that would count for more cannot carry a guarantee: too much hangs on it."""
FEWEST_UNITS = 30
SET_ASIDE = 10
_BET = 0.9


class Test(StrEnum):
    """How a p-value for the mean of bounded values is found."""

    __test__ = False

    BETTING = "betting"
    HOEFFDING_BENTKUS = "hoeffding_bentkus"


class Promise(NamedTuple):
    """At least `rho` of the strong model's quality, wrong with probability `delta` at most over
    `domains` domains that are calibrated together."""

    rho: float = 0.95
    delta: float = 0.1
    domains: int = 1
    test: Test = Test.BETTING

    @property
    def level(self) -> float:
        return self.delta / self.domains


@dataclass(frozen=True, eq=False, slots=True)
class Graded:
    """What both sides are worth on each prompt, unbiased and between `low` and `high`.

    `split` is how many groups were too few to be the units, so that every prompt is its own.
    """

    units: Ints
    scores: Floats
    weak: Floats
    strong: Floats
    low: float = 0.0
    high: float = 1.0
    split: int = 0

    def __len__(self) -> int:
        return len(self.units)


class Step(NamedTuple):
    """One threshold of the walk: the share of the grid's scores it sends to the strong model, and
    the mean of `q(t) - rho * strong` with its p-value."""

    threshold: float
    strong_share: float
    mean: float
    p_value: float
    passed: bool


class Guarantee(NamedTuple):
    """The walk and where it ended. `threshold` None: the data cannot support any, and `problem`
    says why."""

    threshold: float | None
    strong_share: float | None
    steps: tuple[Step, ...]
    units: int
    promise: Promise
    problem: str = ""


def grid_of(scores: Floats, steps: int = 50) -> tuple[Cut, ...]:
    """Thresholds at even strong shares, all-strong first. From scores alone: no outcome is seen."""
    known = np.sort(scores[np.isfinite(scores)])
    if not len(known):
        return ()
    places = np.linspace(0, len(known) - 1, steps).round().astype(np.int64)
    thresholds = sorted({0.0, *known[places].tolist()})
    above = len(known) - np.searchsorted(known, thresholds, side="left")
    return tuple(
        Cut(threshold, float(count) / len(known))
        for threshold, count in zip(thresholds, above, strict=True)
    )


def guarantee(graded: Graded, grid: Sequence[Cut], promise: Promise, *, seed: int = 0) -> Guarantee:
    """Walks the grid and stops at the first threshold that cannot be shown to keep the promise.

    `seed` orders the units for the bets; it must not depend on outcomes. Raises LevelError for a
    promise that cannot be one.
    """
    _check(promise)
    codes, members = _units(graded.units)
    if len(members) < FEWEST_UNITS:
        problem = f"too few graded units, {len(members)} of {FEWEST_UNITS}"
        return Guarantee(None, None, (), len(members), promise, problem)
    order = np.random.default_rng(seed).permutation(len(members))
    low = graded.low - promise.rho * graded.high
    width = graded.high - promise.rho * graded.low - low
    steps: list[Step] = []
    for cut in grid:
        threshold = cut.threshold or 0.0
        kept = np.where(graded.scores >= threshold, graded.strong, graded.weak)
        values = np.bincount(codes, kept - promise.rho * graded.strong) / members
        share = (values[order] - low) / width
        p_value = _P_VALUES[promise.test](share, -low / width, promise.level)
        passed = p_value <= promise.level
        steps.append(Step(threshold, cut.realised_share, float(values.mean()), p_value, passed))
        if not passed:
            break
    passing = [step for step in steps if step.passed]
    chosen = passing[-1] if passing else None
    return Guarantee(
        threshold=chosen.threshold if chosen else None,
        strong_share=chosen.strong_share if chosen else None,
        steps=tuple(steps),
        units=len(members),
        promise=promise,
        problem="" if chosen else _problem(steps, len(members)),
    )


def rated_in_production(known: Evidence, rows: Rows) -> Graded | str:
    """The log's ratings as values of both sides, or why they cannot carry a guarantee.

    Every tenth unit is set aside: its mean rating is the constant the others vary around.
    """
    metric, log_ = known.quality, known.log
    asked = rows & np.isfinite(log_.score) & (log_.took != OTHER)
    rated = asked & metric.seen
    aside = log_.units % SET_ASIDE == 0
    used = rows & np.isfinite(log_.score) & ~aside
    if not (rated & ~aside).any():
        return "nothing was rated"
    one_sided = used & ((log_.odds <= 1 / MOST_WEIGHT).any(axis=1))
    if one_sided.any():
        share = one_sided.sum() / used.sum()
        return (
            f"{100 * share:.0f} % of the prompts could have gone to one model only, so nothing "
            "is known of the other: explore, or grade both answers of some prompts"
        )
    weights = [metric.weight[used, side] for side in (WEAK, STRONG)]
    most = float(max(weight.max() for weight in weights))
    if most > MOST_WEIGHT:
        return (
            f"one rating would count for {most:.0f} prompts, more than {MOST_WEIGHT:.0f}: "
            "explore more, or collect more ratings"
        )
    centre = float(log_.rating[rated & aside].mean()) if (rated & aside).any() else 0.5
    residual = np.where(metric.seen[used], metric.value[used] - centre, 0.0)
    weak, strong = (centre + weight * residual for weight in weights)
    reach = max(centre, 1 - centre) * most
    return Graded(log_.units[used], log_.score[used], weak, strong, centre - reach, centre + reach)


def threshold_for_budget(
    scores: Floats, strong_cost: Floats, weak_cost: Floats, budget: float
) -> Cut | None:
    """The lowest threshold whose mean cost a request is at most `budget`; None where even the weak
    model alone costs more. A threshold of None is "always weak"."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    extra = np.cumsum(strong_cost[order] - weak_cost[order])
    ends = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True]) if len(order) else np.array([])
    if not len(ends):
        return None
    costs = (float(weak_cost.sum()) + extra[ends]) / len(scores)
    fits = np.flatnonzero(costs <= budget)
    if not len(fits):
        return Cut(None, 0.0) if float(weak_cost.mean()) <= budget else None
    last = ends[fits[-1]]
    return Cut(float(ordered[last]), (int(last) + 1) / len(scores))


def graded_quality(graded: Graded, threshold: float, alpha: float = 0.05) -> Bounds:
    """Mean quality at a threshold over graded prompts, with its interval over units."""
    kept = np.where(graded.scores >= threshold, graded.strong, graded.weak)
    codes, _ = _units(graded.units)
    return mean_over_units(kept, codes, alpha)


def betting_p_value(values: Floats, null: float, level: float) -> float:
    """H0: the mean of values in [0, 1] is at most `null`. One over the most that was ever won by
    betting against it, each bet sized by what came before (Ville's inequality)."""
    n = len(values)
    if not 0 < null < 1 or not n:
        return 1.0 if null > 0 else 0.0
    counts = np.arange(1, n + 1)
    means = (0.5 + np.cumsum(values)) / (counts + 1)
    spread = (0.25 + np.cumsum((values - means) ** 2)) / (counts + 1)
    before = np.r_[0.25, spread[:-1]]
    bets = np.minimum(np.sqrt(2 * log(1 / level) / (n * before)), _BET / null)
    won = np.cumsum(np.log1p(bets * (values - null)))
    return min(1.0, exp(-max(0.0, float(won.max()))))


def hoeffding_bentkus_p_value(values: Floats, null: float, level: float) -> float:
    """The same hypothesis, from the mean alone. The level has no part in it."""
    n = len(values)
    if not 0 < null < 1 or not n:
        return 1.0 if null > 0 else 0.0
    risk, least = 1 - float(values.mean()), 1 - null
    hoeffding = exp(-n * _divergence(min(risk, least), least))
    bentkus = exp(1) * float(binom.cdf(ceil(n * risk), n, least))
    return min(1.0, hoeffding, bentkus)


_P_VALUES: dict[Test, Callable[[Floats, float, float], float]] = {
    Test.BETTING: betting_p_value,
    Test.HOEFFDING_BENTKUS: hoeffding_bentkus_p_value,
}


def _divergence(a: float, b: float) -> float:
    left = a * log(a / b) if a > 0 else 0.0
    right = (1 - a) * log((1 - a) / (1 - b)) if a < 1 else 0.0
    return left + right


def _units(units: Ints) -> tuple[Ints, Floats]:
    """Units as numbers without gaps, and how many prompts each has."""
    present, codes = np.unique(units, return_inverse=True)
    return codes.astype(np.int64), np.bincount(codes, minlength=len(present)).astype(np.float64)


def _problem(steps: Sequence[Step], units: int) -> str:
    if not steps:
        return "no router scored these prompts"
    return (
        f"{units:,} graded units do not even show it for sending everything to the strong model "
        f"(p = {steps[0].p_value:.2g}): grade more prompts, or promise less"
    )


def _check(promise: Promise) -> None:
    if not 0 < promise.rho <= 1:
        raise LevelError(f"The promised share is {promise.rho}; give one above 0 and up to 1.")
    if not 0 < promise.delta < 1:
        raise LevelError(f"The risk delta is {promise.delta}; it must lie between 0 and 1.")
    if promise.domains < 1:
        raise CountError(f"{promise.domains} domains cannot be calibrated; give 1 or more.")
