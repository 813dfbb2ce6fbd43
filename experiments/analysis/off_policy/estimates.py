"""Estimates another policy's cost and quality from the log.

Every decision is stored with the probability of each model that it could have been sent to. A
decision that went where the candidate would have sent it represents all similar ones: its weight is
`1 / P(that model)`. Three estimators of a mean over requests, for a candidate that sends request i
to side `d_i` of a pair:

- inverse propensity: ``mean(w Y)``, ``w = [went to d_i] / P(d_i)``;
- self-normalized: ``sum(w Y) / sum(w)``, within strata;
- doubly robust: ``mean(m + w (Y - m))``, ``m`` the prediction for `d_i` by a model fitted on other
  units
  (Dudik et al. 2014, "Doubly Robust Policy Evaluation and Optimization").

The *intended* model counts: a later failure is an outcome. Quality is known for rated decisions
only, so `w` is also divided by the probability of a rating. Requests of a unit are similar:
intervals use sums over units and Student's t, with degrees of freedom that account for how few
units have most of the weight (Satterthwaite). The variance of explored yes-or-no ratings includes
one more good and one more bad rating, or sixty good ones would have no uncertainty (Agresti and
Caffo 2000, "Simple and Effective Confidence Intervals for Proportions and Differences of
Proportions Result from Adding Two Successes and Two Failures"). Strata (revisions) have means of
their own, because what a later revision did may follow from the outcomes of an earlier one.

Requests that could not have gone where the candidate sends them have no overlap: they are left out
of the estimate and counted. If they rarely went there, there may be too few ratings for an
interval: requests are grouped by the probability of the candidate's side, and every group that is
not tiny needs enough ratings. Many ratings in other groups do not replace them.
"""

from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from experiments.analysis.errors import CountError, GradeError
from experiments.analysis.off_policy.audits import RatedEvidence, all_seen, seen_ratings
from experiments.analysis.off_policy.nuisance import (
    Cells,
    Floats,
    Ints,
    cells_of,
    expected_outcomes,
)

Rows = NDArray[np.bool_]

WEAK, STRONG, OTHER = 0, 1, 2
LEAST_ODDS = 0.002
"""Below this probability, one matching decision would represent more than 500: no overlap."""
MIN_EXPLORATIONS = 60
"""Needed in each part of similar odds."""
LEAST_PART = 0.01
"""A part with a smaller share of the requests needs no ratings of its own."""
GOOD = 0.5
"""A yes-or-no rating above this is a yes; an average of several may lie between."""
_YES_OR_NO = 0.95
RARE = 0.5
"""At or below this probability, a matching decision counts as an exploration."""
_PART_ENDS = np.array([0.008, 0.032, 0.128, RARE])
"""Where parts of similar odds end: weights differ at most fourfold within one."""
PARTS = len(_PART_ENDS)
"""Explored parts; requests that usually went there are a further part without a minimum."""
MOST_SKEW = 0.15
"""Of an estimate's distribution. By Edgeworth's expansion the truth then lies above an interval of
95 % in 3.8 % of cases instead of 2.5 %. Where costs have tails samples show less skew than there
is: this limit warns of nearly all that miss (`benchmarks.production_ratings --only costs`)."""
LARGEST = 10
SHARE, CHANGE_OF_SHARE = (0.0, 1.0), (-1.0, 1.0)


@dataclass(frozen=True, eq=False, slots=True)
class Log:
    """Decisions as columns of equal length; columns of two are for the weak and the strong side.

    `units`, `strata` and `domains` are numbers from 0; `took` is WEAK, STRONG or OTHER; `odds` the
    logging policy's probabilities of the sides; `expected` their costs at the time, `cost` what
    the request cost. NaN is unknown: unpriced, unrated, unscored. Ratings lie in [0, 1]. `audited`
    were drawn to be rated at random; `audits` numbers those drawn with the same probability.

    `score` is the candidate's. `logged_score` is the one that was at work when the decision was
    made, if that is another: who rates, and what came of it, may depend on it.
    """

    units: Ints
    strata: Ints
    domains: Ints
    took: Ints
    odds: Floats
    expected: Floats
    cost: Floats
    rating: Floats
    score: Floats
    tokens: Floats
    audited: Rows | None = None
    audits: Ints | None = None
    logged_score: Floats | None = None

    def __len__(self) -> int:
        return len(self.units)


class Bounds(NamedTuple):
    """An estimate with its interval; None where too little is known to give one.

    `skew` is the skewness of the estimate, as far as the sample shows it; 0 for shares, which
    have no tails.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    skew: float = 0.0

    @property
    def is_lopsided(self) -> bool:
        """Whether a few requests decide so much that the interval misses the truth too often: above
        it where they are dear, below where the estimate has them with a minus."""
        return abs(self.skew) > MOST_SKEW


NOTHING = Bounds(None)


class LogPart(NamedTuple):
    """Requests whose probability of the candidate's side was similar, from `least` to `most`, the
    share of all that they are, and how many of them went there and were rated."""

    least: float
    most: float
    share: float
    matching: int


class Estimates(NamedTuple):
    """One metric of the candidate, and of the log itself over the same requests.

    `change` is candidate minus log, doubly robust. `matching` decisions went where the candidate
    would have sent them (and were rated), `explorations` of them against the odds; `needs` says
    whether explorations are needed at all: not where the log did the same for certain. `parts` are
    those of similar odds, the rarest first. `largest` is the share of the sum, each request
    weighted, that the LARGEST requests carry: of the candidate, and of the log.
    """

    inverse_propensity: Bounds
    self_normalised: Bounds
    doubly_robust: Bounds
    logged: Bounds
    change: Bounds
    matching: int
    explorations: int
    needs: bool
    effective_size: float
    parts: tuple[LogPart, ...] = ()
    largest: float = 0.0
    largest_logged: float = 0.0

    @property
    def is_lopsided(self) -> bool:
        """Whether an interval of the candidate is."""
        own = (self.doubly_robust, self.self_normalised, self.inverse_propensity)
        return any(one.is_lopsided for one in own)

    @property
    def is_log_lopsided(self) -> bool:
        """Whether that of the log is, or of the change against it."""
        return self.logged.is_lopsided or self.change.is_lopsided

    @property
    def has_enough(self) -> bool:
        total = self.explorations if self.needs else self.matching
        return total >= MIN_EXPLORATIONS and not self.lacking

    @property
    def lacking(self) -> tuple[LogPart, ...]:
        """Parts that were explored too little. Where the log mostly went the candidate's way, what
        it saw there stands for all of them."""
        return tuple(
            part for part in self.parts if part.most <= RARE and part.matching < MIN_EXPLORATIONS
        )


class RatedBy(NamedTuple):
    """How many of the ratings that count were audited and how many volunteered, and how many
    requests quality says nothing about, because no audit could have drawn them."""

    audited: int = 0
    volunteered: int = 0
    not_audited: int = 0


class WhatIf(NamedTuple):
    """A candidate's requests: how many of them the log can answer for, and what it says."""

    decisions: int
    units: int
    overlap: int
    strong_share: Bounds
    logged_strong_share: float | None
    quality: Estimates
    cost: Estimates
    clipped: float
    ratings: RatedBy = RatedBy()

    @property
    def without_overlap(self) -> float:
        """Share of the requests where the log cannot say anything."""
        return 1 - self.overlap / self.decisions if self.decisions else 1.0


@dataclass(frozen=True, eq=False, slots=True)
class MetricEvidence:
    """One metric ready to be summed: `weight` on each side is above 0 only where it was seen, and
    `rate` how likely it was to be seen there (`most`: hardly more than that). `limits` are those
    of any mean."""

    rows: Rows
    seen: Rows
    value: Floats
    weight: Floats
    rate: Floats
    most: Floats
    predicted: Floats
    logged: Floats
    is_yes_or_no: bool = False
    limits: tuple[float, float] | None = None

    def robust(self, side: int) -> Floats:
        """The doubly robust contribution of each request, had it gone to `side`."""
        expected = self.predicted[:, side]
        return expected + self.weight[:, side] * (self.value - expected)


@dataclass(frozen=True, eq=False, slots=True)
class Evidence:
    """The log with everything that does not depend on the candidate: made once, asked often."""

    log: Log
    quality: MetricEvidence
    cost: MetricEvidence
    clipped: Rows
    by_audit: Rows


def is_yes_or_no(ratings: Floats) -> bool:
    """All but a few 0 or 1: where several rated one answer their average may lie between."""
    return bool(len(ratings)) and float(np.isin(ratings, (0.0, 1.0)).mean()) >= _YES_OR_NO


def evidence(log: Log) -> Evidence:
    """Fits the outcome models and the probability of being rated, across folds of units.

    Raises CountError for columns of different lengths, GradeError for ratings outside 0 to 1.
    """
    _check(log)
    cells = _cells(log)
    rated, priced = np.isfinite(log.rating), np.isfinite(log.cost)
    seen = seen_ratings(cells, log.took, log.domains, rated, log.audited, log.audits)
    own = np.arange(len(log)), log.took
    return Evidence(
        log=log,
        quality=_metric(
            log,
            seen,
            value=np.where(rated, log.rating, 0.0),
            predicted=expected_outcomes(cells, log.took, np.nan_to_num(log.rating), seen.ratings),
            is_yes_or_no=is_yes_or_no(log.rating[seen.ratings]),
            limits=SHARE,
        ),
        cost=_metric(
            log,
            all_seen(priced),
            value=np.where(priced, log.cost, 0.0),
            predicted=_expected_costs(
                log, expected_outcomes(cells, log.took, np.nan_to_num(log.cost), priced)
            ),
        ),
        clipped=seen.clipped[own] & seen.ratings,
        by_audit=seen.by_audit,
    )


def _cells(log: Log) -> Cells:
    """By the score that was at work; the candidate's is a further one where it is another."""
    at_work = log.logged_score
    if at_work is None or np.array_equal(at_work, log.score, equal_nan=True):
        return cells_of(log.units, log.domains, log.score, log.tokens)
    return cells_of(log.units, log.domains, at_work, log.tokens, log.score)


def estimate(
    known: Evidence,
    to_strong: Rows,
    *,
    rows: Rows | None = None,
    decided: Rows | None = None,
    alpha: float = 0.05,
) -> WhatIf:
    """The candidate that sends the requests of `to_strong` to the strong side, the rest to the
    weak one; over all requests or those of `rows`. Strong shares are of the `decided` requests:
    the candidate's choice for the others is unknown."""
    log = known.log
    asked = np.ones(len(log), bool) if rows is None else rows
    sure = asked if decided is None else asked & decided
    odds = np.where(to_strong, log.odds[:, STRONG], log.odds[:, WEAK])
    overlap = asked & (odds >= LEAST_ODDS)
    decisions = int(asked.sum())
    share = share_over_units(to_strong[sure].astype(np.float64), log.units[sure], alpha)
    took_strong = log.took[sure] == STRONG
    rated = int((known.quality.seen & overlap).sum())
    return WhatIf(
        decisions=decisions,
        units=int(np.count_nonzero(np.bincount(log.units[asked]))),
        overlap=int(overlap.sum()),
        strong_share=share,
        logged_strong_share=float(took_strong.mean()) if sure.any() else None,
        quality=_estimates(log, known.quality, to_strong, odds, overlap, alpha),
        cost=_estimates(log, known.cost, to_strong, odds, overlap, alpha),
        clipped=float((known.clipped & overlap).sum() / rated) if rated else 0.0,
        ratings=rated_by(known, overlap),
    )


def rated_by(known: Evidence, rows: Rows) -> RatedBy:
    """Whose ratings of these requests count."""
    counted = known.quality.seen & rows
    return RatedBy(
        audited=int((counted & known.by_audit).sum()),
        volunteered=int((counted & ~known.by_audit).sum()),
        not_audited=int((rows & ~known.quality.rows).sum()),
    )


def parts_of(odds: Floats) -> Ints:
    """The number of each request's part of similar odds, the rarest first."""
    return np.searchsorted(_PART_ENDS, odds, side="left").astype(np.int64)


def within(bounds: Bounds, limits: tuple[float, float] | None) -> Bounds:
    """No mean of shares lies outside them, whatever the weights add up to."""
    if limits is None:
        return bounds
    value, low, high = (
        None if one is None else min(max(one, limits[0]), limits[1])
        for one in (bounds.value, bounds.low, bounds.high)
    )
    return Bounds(value, low, high)


def bounds(
    value: float, influence: Floats, units: Ints, n: float, alpha: float, unseen: float = 0.0
) -> Bounds:
    """`value` with Student's interval from the influences of a mean over `n`, summed by unit."""
    if not len(units):
        return NOTHING
    sums = np.bincount(units, influence).astype(np.float64)
    return interval(value, sums, int(np.count_nonzero(np.bincount(units))), n, alpha, unseen)


def mean_over_units(values: Floats, units: Ints, alpha: float = 0.05) -> Bounds:
    """The mean over requests; its interval counts requests of one unit as alike."""
    if not len(values):
        return NOTHING
    mean = float(values.mean())
    return bounds(mean, values - mean, units, len(values), alpha)


def share_over_units(values: Floats, units: Ints, alpha: float = 0.05) -> Bounds:
    """The same of values in [0, 1], whose mean lies there too."""
    return within(mean_over_units(values, units, alpha), SHARE)


def interval(
    value: float, sums: Floats, count: int, n: float, alpha: float, unseen: float = 0.0
) -> Bounds:
    """The same from sums of `count` units that are added up already; others are 0.

    `unseen` is added to the sum of their squares, with two degrees of freedom of its own.
    """
    if count < 2 or n <= 0:
        return Bounds(value)
    square = sums * sums
    squares = float(square.sum())
    error = sqrt(squares * count / (count - 1) + unseen) / n
    if error <= 1e-12 * max(abs(value), 1.0):
        return Bounds(value, value, value)
    fourth = float(np.square(square).sum())
    kurtosis = max(count * fourth / squares**2 if squares else 0.0, 1.0 + 2.0 / count)
    own = max(2.0, 2 * count / (kurtosis - 1))
    freedom = (squares + unseen) ** 2 / (squares**2 / own + unseen**2 / 2)
    half = error * float(stdtrit(freedom, 1 - alpha / 2))
    skew = float((square * sums).sum()) / squares**1.5 if squares else 0.0
    return Bounds(value, value - half, value + half, skew)


def share_of_largest(values: Floats) -> float:
    """Of the sum of values that are hardly ever below 0: what the LARGEST of them carry."""
    total = float(values.sum())
    if total <= 0:
        return 0.0
    largest = values if len(values) <= LARGEST else np.partition(values, -LARGEST)[-LARGEST:]
    return min(float(largest.sum()) / total, 1.0)


def unseen_variance(good: int, explorations: int) -> float:
    """How much more varied yes-or-no ratings are with one good and one bad one added."""
    if not explorations:
        return 0.0
    seen, with_both = good / explorations, (good + 1) / (explorations + 2)
    return with_both * (1 - with_both) - seen * (1 - seen)


def _metric(
    log: Log,
    seen: RatedEvidence,
    *,
    value: Floats,
    predicted: Floats,
    is_yes_or_no: bool = False,
    limits: tuple[float, float] | None = None,
) -> MetricEvidence:
    weight = np.zeros((len(log), 2))
    for side in (WEAK, STRONG):
        matching = seen.ratings & (log.took == side) & (log.odds[:, side] >= LEAST_ODDS)
        weight[matching, side] = 1 / (log.odds[matching, side] * seen.rate[matching, side])
    rows = np.arange(len(log))
    own, rate = predicted[rows, log.took], seen.rate[rows, log.took]
    correction = np.divide(value - own, rate, out=np.zeros(len(log)), where=seen.ratings)
    return MetricEvidence(
        rows=seen.rows,
        seen=seen.ratings,
        value=value,
        weight=weight,
        rate=seen.rate,
        most=seen.most,
        predicted=predicted,
        logged=own + correction,
        is_yes_or_no=is_yes_or_no,
        limits=limits,
    )


def _expected_costs(log: Log, fitted: Floats) -> Floats:
    """What was expected at the time is the better model; fitted costs stand in where it lacks."""
    known = np.isfinite(log.expected)
    fitted[:, :2] = np.where(known, log.expected, fitted[:, :2])
    return fitted


def _estimates(
    log: Log, metric: MetricEvidence, to_strong: Rows, odds: Floats, overlap: Rows, alpha: float
) -> Estimates:
    kept = np.flatnonzero(overlap & metric.rows)
    if not len(kept):
        return Estimates(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, 0, 0, True, 0.0)
    side = to_strong[kept].astype(np.int64)
    weight, predicted = metric.weight[kept, side], metric.predicted[kept, side]
    value, units = metric.value[kept], log.units[kept]
    matching, rare = weight > 0, odds[kept] <= RARE
    explored = matching & rare
    unseen = _unseen(value[explored], weight[explored]) if metric.is_yes_or_no else 0.0
    strata = _merged(log.strata[kept], matching)
    one = np.ones(len(kept))
    robust = predicted + weight * (value - predicted)
    logged = metric.logged[kept]
    change = None if metric.limits is None else CHANGE_OF_SHARE

    def over(
        above: Floats, below: Floats, unseen: float, limits: tuple[float, float] | None
    ) -> Bounds:
        return within(_stratified(above, below, units, strata, alpha, unseen), limits)

    found = Estimates(
        inverse_propensity=over(weight * value, one, unseen, metric.limits),
        self_normalised=over(weight * value, weight, unseen, metric.limits),
        doubly_robust=over(robust, one, unseen, metric.limits),
        logged=over(logged, one, 0.0, metric.limits),
        change=over(robust - logged, one, unseen, change),
        matching=int(matching.sum()),
        explorations=int(explored.sum()),
        needs=bool(rare.any()),
        effective_size=_effective_size(weight),
        parts=_parts(odds[kept], matching),
        largest=share_of_largest(weight * value),
        largest_logged=share_of_largest(value),
    )
    return found if found.has_enough else _without_intervals(found)


def _parts(odds: Floats, matching: Rows) -> tuple[LogPart, ...]:
    """Those that are large enough to need ratings of their own."""
    part = parts_of(odds)
    requests, seen = (np.bincount(part, rows, PARTS + 1) for rows in (np.ones(len(odds)), matching))
    return tuple(
        LogPart(
            float(odds[part == one].min()),
            float(odds[part == one].max()),
            float(requests[one]) / len(odds),
            int(seen[one]),
        )
        for one in np.flatnonzero(requests >= LEAST_PART * len(odds))
    )


def _unseen(ratings: Floats, weights: Floats) -> float:
    variance = unseen_variance(int((ratings > GOOD).sum()), len(ratings))
    return variance * float(np.square(weights).sum())


def _without_intervals(found: Estimates) -> Estimates:
    return found._replace(
        inverse_propensity=Bounds(found.inverse_propensity.value),
        self_normalised=Bounds(found.self_normalised.value),
        doubly_robust=Bounds(found.doubly_robust.value),
        change=Bounds(found.change.value),
    )


def _stratified(
    over: Floats, under: Floats, units: Ints, strata: Ints, alpha: float, unseen: float = 0.0
) -> Bounds:
    """`sum(over) / sum(under)` in each stratum, weighted by the stratum's requests."""
    n, below = np.bincount(strata).astype(np.float64), np.bincount(strata, under)
    known = below > 0
    if not known.any():
        return NOTHING
    ratio = np.divide(np.bincount(strata, over), below, out=np.zeros_like(below), where=known)
    scale = np.divide(n, below, out=np.zeros_like(below), where=known)
    total = float(n[known].sum())
    influence = (over - ratio[strata] * under) * scale[strata]
    return bounds(float(n @ ratio) / total, influence, units, total, alpha, unseen)


def _merged(strata: Ints, matching: Rows) -> Ints:
    """Neighbouring strata together until each has matching decisions enough for a mean."""
    counts = np.bincount(strata, matching)
    groups, group, running = np.zeros(len(counts), np.int64), 0, 0.0
    for number, count in enumerate(counts):
        groups[number] = group
        running += count
        if running >= MIN_EXPLORATIONS and counts[number + 1 :].sum() >= MIN_EXPLORATIONS:
            group, running = group + 1, 0.0
    return groups[strata]


def _effective_size(weights: Floats) -> float:
    """How many equally weighted decisions would say as much (Kish)."""
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def _check(log: Log) -> None:
    columns = [column for name in Log.__slots__ if (column := getattr(log, name)) is not None]
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        raise CountError(f"The columns of a log have different lengths: {sorted(lengths)}.")
    rating = log.rating[~np.isnan(log.rating)]
    outside = int(((rating < 0) | (rating > 1)).sum())
    if outside:
        raise GradeError(f"{outside:,} ratings lie outside 0 to 1. Quality is a share: scale them.")
