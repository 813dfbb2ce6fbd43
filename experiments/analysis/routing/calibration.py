"""Thresholds that keep a promise: a strong share, a budget, a share of the strong quality.

The last comes with a guarantee (Angelopoulos et al. 2021, "Learn then Test"). A grid of thresholds
is fixed from scores alone. Starting where everything goes to the strong model, each threshold is
tested in turn: is ``E[q(t) - rho * strong] >= 0``, with a p-value at the level `delta / domains`?
The first that fails ends the walk, and the last that passed is chosen. Whatever the data, the
chance that the chosen threshold breaks the promise is at most the level, and `delta` over all
domains.

The promise is per request: the mean quality over requests, against what the strong model alone
would reach on the same ones. Requests of one unit are alike, so their values are added up, and the
sums of units are what is independent. A unit that makes a large part of all requests (`BUSY`) would
leave nothing to be said: it counts in blocks of that size, and what is promised of it is about
further requests of this very unit.

p-values are by betting (Waudby-Smith & Ramdas 2024, "Estimating means of bounded random variables
by betting") or by Hoeffding and Bentkus (Bates et al. 2021). A bet needs to know how low a unit's
sum can get, and nothing about how high.

A production rating is known for one model only. It counts by the inverse of the probability that
the prompt went there and was rated: ``c + w (rating - c)`` for the side it went to and ``c`` for
the other, unbiased for any constant `c`. How low that can get follows from what was possible, the
odds and the rates of all prompts, and not from the ratings that happened to come. Constants are
expected outcomes, but the rarer a rating was, the closer they lie to the worst: a prompt that was
hardly ever explored counts as bad unless a rating proves otherwise. So no weight makes a bet
unsafe, and no prompt has to be refused for its weight. Where not everything is rated, rates of
rating are estimated: they are taken from the upper end of what they may be, which makes every
rating count less, and half of the risk is left to them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, exp, inf, log, sqrt
from typing import NamedTuple

import numpy as np
from scipy.stats import binom

from experiments.analysis.errors import CountError, GradeError, LevelError
from experiments.analysis.off_policy.estimates import (
    STRONG,
    WEAK,
    Bounds,
    Evidence,
    Log,
    RatedBy,
    Rows,
    rated_by,
    share_over_units,
)
from experiments.analysis.off_policy.nuisance import Floats, Ints
from experiments.analysis.routing.measures import Cut

LEAST_POSSIBLE = 1e-6
"""With odds below this a prompt could have gone to one model only."""
MOST_WEIGHT = 500.0
"""Where a rating of every second prompt would count for more, ratings cannot carry a guarantee."""
FEWEST_UNITS = 30
BUSY, TIMES_AN_EQUAL_SHARE = 0.05, 3
"""A unit counts in blocks of this share of the requests, and never of less than so many times what
units have on average."""
_COVERED_AT_LEAST = 0.2
_IN_A_BAND, _ENOUGH_IN_A_BAND = 25, 15
_WORST = 0.25
_RISK_OF_THE_TEST = 0.5
_BET = 0.9


NOT_ALL = (
    "All of the strong model's quality can never be shown from a sample: even sending it every "
    "prompt only equals that. Promise less, such as 0.99, or choose the method “always strong”."
)


class Test(StrEnum):
    """How a p-value for the mean of bounded values is found."""

    __test__ = False

    BETTING = "betting"
    HOEFFDING_BENTKUS = "hoeffding_bentkus"


class Promise(NamedTuple):
    """Per request at least `rho` of the strong model's quality, wrong with probability `delta` at
    most over `domains` domains that are calibrated together."""

    rho: float = 0.95
    delta: float = 0.1
    domains: int = 1
    test: Test = Test.BETTING

    @property
    def level(self) -> float:
        return self.delta / self.domains


class Reach(NamedTuple):
    """How low and how high the value of either side can be estimated for each prompt, whatever is
    rated there, and about how much it varies: for how many prompts a rating counts."""

    weak_low: Floats
    weak_high: Floats
    strong_low: Floats
    strong_high: Floats
    weak_weight: Floats
    strong_weight: Floats


@dataclass(frozen=True, eq=False, slots=True)
class Graded:
    """What both sides are worth on each prompt, unbiased: grades between `low` and `high`, or
    estimates of them with a `reach` of their own.

    `split` is how many groups were too few to be the units, so that every prompt is its own.
    `left_out` prompts could have gone to one model only; scores above `covered_to` are only of such
    prompts. `ratings` are those that the estimates rest on, and `risk` is the share of a promise's
    risk that is left to the test. Raises GradeError for grades that are
    no numbers or out of range.
    """

    units: Ints
    scores: Floats
    weak: Floats
    strong: Floats
    low: float = 0.0
    high: float = 1.0
    split: int = 0
    reach: Reach | None = None
    left_out: int = 0
    covered_to: float = inf
    ratings: RatedBy | None = None
    risk: float = 1.0

    def __post_init__(self) -> None:
        lengths = {len(one) for one in (self.units, self.scores, self.weak, self.strong)}
        if len(lengths) > 1:
            raise CountError(f"Grades and their prompts differ in number: {sorted(lengths)}.")
        grades = np.stack([self.weak, self.strong])
        unknown = int((~np.isfinite(grades)).any(axis=0).sum())
        if unknown:
            raise GradeError(f"{unknown:,} prompts have a grade that is no number. Grade them.")
        outside = int(((grades < self.low) | (grades > self.high)).any(axis=0).sum())
        if self.reach is None and outside:
            raise GradeError(
                f"{outside:,} prompts have a grade outside {self.low:g} to {self.high:g}. Scale "
                "the grades to that range."
            )

    def __len__(self) -> int:
        return len(self.units)

    @property
    def bounds(self) -> Reach:
        """The reach of estimates, or of grades that are known."""
        if self.reach is not None:
            return self.reach
        ends = (self.low, self.high, (self.high - self.low) ** 2)
        low, high, scale = (np.full(len(self), end) for end in ends)
        return Reach(low, high, low, high, scale, scale)


class WalkStep(NamedTuple):
    """One threshold of the walk: the share of the grid's scores it sends to the strong model, and
    the mean of `q(t) - rho * strong` over requests with its p-value."""

    threshold: float
    strong_share: float
    mean: float
    p_value: float
    passed: bool


class ShortageCode(StrEnum):
    TOO_FEW_UNITS = "too_few_units"
    NOTHING_RATED = "nothing_rated"
    NOTHING_SCORED = "nothing_scored"
    HEAVY_RATINGS = "heavy_ratings"
    ONE_MODEL_ONLY = "one_model_only"
    NOT_EVEN_STRONG = "not_even_strong"


class Shortage(NamedTuple):
    """Why data support no threshold. `units` are graded ones; `value` is the prompts that a rating
    counts for, the share of prompts that could go to one model only, or the p-value of sending all
    to the strong model."""

    code: ShortageCode
    units: int = 0
    value: float = 0.0


class Guarantee(NamedTuple):
    """The walk and where it ended. `threshold` None: the data cannot support any, and `shortage`
    says why. `busy` units were so large that they count in blocks."""

    threshold: float | None
    strong_share: float | None
    steps: tuple[WalkStep, ...]
    units: int
    promise: Promise
    shortage: Shortage | None = None
    busy: int = 0


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
    blocks = _blocks(graded.units)
    if blocks.units < FEWEST_UNITS:
        few = Shortage(ShortageCode.TOO_FEW_UNITS, blocks.units)
        return Guarantee(None, None, (), blocks.units, promise, few, blocks.busy)
    order = np.random.default_rng(seed).permutation(len(blocks.requests))
    steps: list[WalkStep] = []
    for cut in grid:
        threshold = cut.threshold or 0.0
        if threshold > graded.covered_to:
            break
        sums = _sums(graded, threshold, promise.rho, blocks)
        p_value = _p_value(sums, order, promise, graded.risk)
        mean = float(sums.value.sum()) / len(graded)
        passed = p_value <= promise.level
        steps.append(WalkStep(threshold, cut.realised_share, mean, p_value, passed))
        if not passed:
            break
    passing = [step for step in steps if step.passed]
    chosen = passing[-1] if passing else None
    return Guarantee(
        threshold=chosen.threshold if chosen else None,
        strong_share=chosen.strong_share if chosen else None,
        steps=tuple(steps),
        units=blocks.units,
        promise=promise,
        shortage=None if chosen else _shortage(steps, blocks.units),
        busy=blocks.busy,
    )


class _Blocks(NamedTuple):
    """Which block each request is of, and how many requests each block has: units, and parts of
    those that are busy."""

    code: Ints
    requests: Floats
    units: int
    busy: int


def _blocks(units: Ints) -> _Blocks:
    present, codes = np.unique(units, return_inverse=True)
    codes = codes.astype(np.int64)
    counts = np.bincount(codes, minlength=len(present))
    most = max(1, ceil(len(units) * max(BUSY, TIMES_AN_EQUAL_SHARE / max(len(present), 1))))
    part = _place_in_unit(codes, counts) // most
    _, blocks = np.unique(codes * (len(units) + 1) + part, return_inverse=True)
    blocks = blocks.astype(np.int64)
    requests = np.bincount(blocks).astype(np.float64)
    return _Blocks(blocks, requests, len(present), int((counts > most).sum()))


def _place_in_unit(codes: Ints, counts: Ints) -> Ints:
    """0 for a unit's first request, 1 for its second, in the order they are in."""
    order = np.argsort(codes, kind="stable")
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    place = np.empty(len(codes), np.int64)
    place[order] = np.arange(len(codes)) - starts
    return place


class _Sums(NamedTuple):
    """Of each block: the sum of `q(t) - rho * strong`, how low and how high it could have been, and
    about how much it varies."""

    value: Floats
    low: Floats
    high: Floats
    spread: float


def _sums(graded: Graded, threshold: float, rho: float, blocks: _Blocks) -> _Sums:
    reach, to_strong = graded.bounds, graded.scores >= threshold

    def total(strong: Floats, weak: Floats) -> Floats:
        found = np.bincount(blocks.code, np.where(to_strong, strong, weak))
        return found.astype(np.float64)

    varied = total(
        (1 - rho) ** 2 * reach.strong_weight, reach.weak_weight + rho**2 * reach.strong_weight
    )
    return _Sums(
        value=total((1 - rho) * graded.strong, graded.weak - rho * graded.strong),
        low=total((1 - rho) * reach.strong_low, reach.weak_low - rho * reach.strong_high),
        high=total((1 - rho) * reach.strong_high, reach.weak_high - rho * reach.strong_low),
        spread=sqrt(float((blocks.requests * varied).mean())),
    )


def _p_value(sums: _Sums, order: Ints, promise: Promise, risk: float) -> float:
    """Sums are moved and scaled so that 0 is the lowest possible; the highest is 1 only for the
    test that needs it. With a part of the risk it is as much larger."""
    low = min(float(sums.low.min()), 0.0)
    is_bet = promise.test is Test.BETTING
    width = sums.spread if is_bet else float(sums.high.max()) - low
    if width <= 0:
        return 1.0
    values, null = (sums.value[order] - low) / width, -low / width
    return min(1.0, _P_VALUES[promise.test](values, null, risk * promise.level) / risk)


def goes_both_ways(log: Log) -> Rows:
    """Which prompts could have gone to either model."""
    return np.asarray((log.odds >= LEAST_POSSIBLE).all(axis=1))


def rated_in_production(known: Evidence, rows: Rows) -> Graded | Shortage:
    """The log's ratings as values of both sides, or why they cannot carry a guarantee.

    Prompts that could have gone to one model only are left out and counted.
    """
    metric, log_ = known.quality, known.log
    asked = rows & np.isfinite(log_.score) & metric.rows
    if not (asked & metric.seen).any():
        return Shortage(ShortageCode.NOTHING_RATED)
    used = asked & goes_both_ways(log_)
    if certain := _too_certain(log_, asked, used):
        return certain
    weight = 1 / (log_.odds[used] * metric.most[used, :2])
    usual = float(np.median(weight.max(axis=1)))
    if usual > MOST_WEIGHT:
        return Shortage(ShortageCode.HEAVY_RATINGS, value=usual)
    centre = _centres(log_.units[used], metric.predicted[used, :2], weight)
    went = log_.took[used, None] == np.array([WEAK, STRONG])
    seen = metric.seen[used, None] & went
    values = centre + np.where(seen, weight * (metric.value[used, None] - centre), 0.0)
    low, high = centre * (1 - weight), centre + weight * (1 - centre)
    return Graded(
        units=log_.units[used],
        scores=log_.score[used],
        weak=values[:, WEAK],
        strong=values[:, STRONG],
        reach=Reach(
            *(low[:, WEAK], high[:, WEAK], low[:, STRONG], high[:, STRONG]),
            *(weight[:, WEAK], weight[:, STRONG]),
        ),
        risk=1.0 if metric.seen[used].all() else _RISK_OF_THE_TEST,
        left_out=int((asked & ~used).sum()),
        covered_to=_covered_to(log_.score[asked], used[asked]),
        ratings=rated_by(known, used)._replace(
            not_audited=int((rows & np.isfinite(log_.score) & ~metric.rows).sum())
        ),
    )


def _too_certain(log_: Log, asked: Rows, used: Rows) -> Shortage | None:
    """Whether too few prompts could have gone to either model."""
    units = len(np.unique(log_.units[used]))
    if units >= FEWEST_UNITS or used.all():
        return None
    share = 1 - float(used.sum() / asked.sum())
    return Shortage(ShortageCode.ONE_MODEL_ONLY, units, share)


def _centres(units: Ints, predicted: Floats, weight: Floats) -> Floats:
    """The constant that either side of a prompt varies around: what is expected of it, or less for
    the weak and more for the strong side, so that a unit's sum cannot get much lower than what the
    number of units can bear."""
    codes = np.unique(units, return_inverse=True)[1]
    requests = np.bincount(codes)
    reach = _WORST * sqrt(len(requests)) / requests[codes]
    most = reach[:, None] / np.maximum(weight - 1, 1e-9)
    weak = np.minimum(predicted[:, WEAK], most[:, WEAK])
    strong = 1 - np.minimum(1 - predicted[:, STRONG], most[:, STRONG])
    return np.stack([weak, strong], axis=1)


def _covered_to(scores: Floats, used: Rows) -> float:
    """The score above which hardly any prompt could have gone to either model: what a threshold
    above it would do to the prompts between is not known.

    From the lowest score up in bands that would hold 25 such prompts if they were spread evenly;
    equal scores are in one band.
    """
    share = float(used.mean())
    known, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    both = np.bincount(place, used)
    first = start = prompts = found = 0
    ends = np.flatnonzero(np.diff((np.cumsum(counts) * share) // _IN_A_BAND, prepend=0))
    for end in [*ends.tolist(), len(known) - 1]:
        prompts, found = (
            prompts + counts[start : end + 1].sum(),
            found + both[start : end + 1].sum(),
        )
        start = end + 1
        if share * prompts < _ENOUGH_IN_A_BAND:
            continue
        if found < _COVERED_AT_LEAST * share * prompts:
            return float(known[first])
        first, prompts, found = start, 0, 0
    return inf


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
    """Mean quality per request at a threshold, with its interval over units. At a threshold of 0 it
    is the strong model's own."""
    kept = np.where(graded.scores >= threshold, graded.strong, graded.weak)
    codes = np.unique(graded.units, return_inverse=True)[1]
    return share_over_units(kept, codes.astype(np.int64), alpha)


def betting_p_value(values: Floats, null: float, level: float) -> float:
    """H0: the mean of values that are never below 0 is at most `null`. One over the most that was
    ever won by betting against it, each bet sized by what came before (Ville's inequality)."""
    n = len(values)
    if null <= 0 or not n:
        return 1.0 if null > 0 else 0.0
    counts = np.arange(1, n + 1)
    means = (null + np.cumsum(values)) / (counts + 1)
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


def _shortage(steps: Sequence[WalkStep], units: int) -> Shortage:
    if not steps:
        return Shortage(ShortageCode.NOTHING_SCORED)
    return Shortage(ShortageCode.NOT_EVEN_STRONG, units, steps[0].p_value)


def _check(promise: Promise) -> None:
    if promise.rho == 1:
        raise LevelError(NOT_ALL)
    if not 0 < promise.rho < 1:
        raise LevelError(f"The promised share is {promise.rho}; give one above 0 and below 1.")
    if not 0 < promise.delta < 1:
        raise LevelError(f"The risk delta is {promise.delta}; it must lie between 0 and 1.")
    if promise.domains < 1:
        raise CountError(f"{promise.domains} domains cannot be calibrated; give 1 or more.")
