"""One router on one set of outcomes, as everything a reader asks: curve, measures, savings.

Savings compare costs *at equal quality*:

- against strong: at the smallest strong share whose quality is the strong model's own;
- at 95 %: at the smallest strong share whose quality is 95 % of the strong model's;
- against random: at that same 95 % point, with the random router that reaches the same quality.

A saving is the share of the other's cost that is not spent. It is None where a cost is not known,
and against random also where the strong model is not surely better.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.ratings import Z95, Estimate
from experiments.analysis.routing.curves import (
    Codes,
    Curves,
    Prompts,
    curves_of,
    is_surely_positive,
    resampled,
)
from experiments.analysis.routing.measures import Evaluation, Interval, evaluate_prompts, interval

Floats = NDArray[np.float64]

POINTS = 50
RESAMPLES = 1_000
_BINS = 10


class SharePoint(NamedTuple):
    """The curve at one strong share. `low` and `high` bound the quality; cost is a mean, in
    nano-dollars a prompt, None where not known."""

    share: float
    quality: float
    low: float
    high: float
    cost: float | None


class Bin(NamedTuple):
    """Prompts of similar score: their mean score, and how often the strong model was better."""

    score: float
    observed: float
    low: float
    high: float
    n: int


class Reliability(NamedTuple):
    """Whether scores are what they say they are. `error` is the mean distance, 0 at best.

    Only prompts on which the models differ say which one was better; with `ties`, those on which
    they do not differ count half.
    """

    bins: tuple[Bin, ...]
    error: float
    n: int
    ties: bool


class Assessment(NamedTuple):
    """A router's figures on `n` prompts, over all cut points. `pgr` is taken at half."""

    n: int
    evaluation: Evaluation
    strong: Estimate
    weak: Estimate
    gap_known: bool
    curve: tuple[SharePoint, ...]
    pgr: Estimate | None
    saving_against_strong: Estimate | None
    saving_at_95: Estimate | None
    saving_against_random: Estimate | None
    calls_against_random: Estimate | None
    reliability: Reliability | None


def assess(
    scores: Floats,
    strong: Floats,
    weak: Floats,
    *,
    seed: int,
    strong_cost: Floats | None = None,
    weak_cost: Floats | None = None,
    units: Codes | None = None,
    ties: bool | None = False,
    resamples: int = RESAMPLES,
) -> Assessment:
    """Costs are nano-dollars a prompt. `units` are numbers of what is drawn together, else every
    prompt is drawn alone. `ties` None leaves the reliability out (random router, oracle).

    Raises ValueError for no prompt, or scores and qualities that are not finite.
    """
    if not len(scores) or not np.isfinite(scores + strong + weak).all():
        raise ValueError("An assessment needs prompts, with finite scores and qualities.")
    prompts, order = Prompts.ordered(scores, strong, weak, strong_cost, weak_cost)
    drawn_together = None if units is None else units[order]
    samples = resampled(prompts, seed=seed, resamples=resamples, units=drawn_together)
    curve = curves_of(prompts)
    known = is_surely_positive(prompts.gain)
    exact, drawn = _figures(curve), _figures(samples)
    found = {
        name: _estimate(value, drawn[name]) if known or name in _WITHOUT_A_GAP else None
        for name, value in exact.items()
    }
    return Assessment(
        n=len(scores),
        evaluation=evaluate_prompts(prompts, samples),
        strong=_quality(curve, samples, -1),
        weak=_quality(curve, samples, 0),
        gap_known=known,
        curve=_points(curve, samples),
        reliability=None if ties is None else reliability(scores, strong - weak, ties=ties),
        **found,
    )


_WITHOUT_A_GAP = ("saving_against_strong", "saving_at_95")


def _figures(curves: Curves) -> dict[str, Floats]:
    weak, strong = curves.quality[:, 0], curves.quality[:, -1]
    rows = np.arange(len(strong))
    dear = curves.cost[:, -1]
    equal = curves.first_share(curves.quality, strong)
    at_95 = curves.first_share(curves.quality, 0.95 * strong)
    reached = curves.at(curves.quality, at_95)
    gap = np.where(strong > weak, strong - weak, np.nan)
    random = np.clip((reached - weak) / gap, 0.0, 1.0)
    cost = curves.at(curves.cost, at_95)
    random_cost = curves.cost[:, 0] + random * (dear - curves.cost[:, 0])
    half = np.full(len(rows), 0.5)
    return {
        "pgr": curves.at(curves.pgr(), half),
        "saving_against_strong": 1 - _ratio(curves.at(curves.cost, equal), dear),
        "saving_at_95": 1 - _ratio(cost, dear),
        "saving_against_random": 1 - _ratio(cost, random_cost),
        "calls_against_random": np.where(random > 0, 1 - _ratio(at_95, random), 0.0),
    }


def _ratio(part: Floats, whole: Floats) -> Floats:
    """NaN where there is no whole."""
    return np.asarray(part / np.where(whole > 0, whole, np.nan))


def _estimate(value: Floats, drawn: Floats) -> Estimate | None:
    within = interval(drawn)
    if within is None or not math.isfinite(value[0]):
        return None
    return Estimate(float(value[0]), *within)


def _quality(curve: Curves, samples: Curves, end: int) -> Estimate:
    low, high = np.quantile(samples.quality[:, end], [0.025, 0.975])
    return Estimate(*map(as_share, (curve.quality[0, end], low, high)))


def as_share(quality: float) -> float:
    """Within 0 and 1: weighted ratings of a few prompts can add up to more."""
    return min(max(float(quality), 0.0), 1.0)


def _points(curve: Curves, samples: Curves) -> tuple[SharePoint, ...]:
    points = []
    for share in np.linspace(0.0, 1.0, POINTS + 1):
        drawn = samples.at(samples.quality, np.full(len(samples.quality), share))
        low, high = np.quantile(drawn, [0.025, 0.975])
        there = np.array([share])
        cost = float(curve.at(curve.cost, there)[0])
        points.append(
            SharePoint(
                round(float(share), 6),
                as_share(curve.at(curve.quality, there)[0]),
                as_share(low),
                as_share(high),
                cost if math.isfinite(cost) else None,
            )
        )
    return tuple(points)


def reliability(scores: Floats, gain: Floats, *, ties: bool) -> Reliability | None:
    """Ten bins of equally many prompts, equal scores together; None where nothing differs."""
    counts = np.ones(len(scores), dtype=bool) if ties else gain != 0
    score = scores[counts]
    better = (np.sign(gain[counts]) + 1) / 2
    if not len(score):
        return None
    edges = np.unique(np.quantile(score, np.linspace(0, 1, _BINS + 1)[1:-1]))
    place = np.searchsorted(edges, score, side="right")
    n = np.bincount(place, minlength=len(edges) + 1)
    kept = n > 0
    sizes = n[kept].astype(np.float64)
    mean = np.bincount(place, score, minlength=len(n))[kept] / sizes
    observed = np.bincount(place, better, minlength=len(n))[kept] / sizes
    bins = tuple(
        Bin(float(m), float(o), *wilson(float(o), int(size)), int(size))
        for m, o, size in zip(mean, observed, sizes, strict=True)
    )
    error = float(np.sum(sizes * np.abs(mean - observed)) / len(score))
    return Reliability(bins, error, len(score), ties)


def wilson(share: float, n: int) -> Interval:
    """Wilson's 95 % interval of a share out of n."""
    z2 = Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return Interval(max(0.0, middle - half), min(1.0, middle + half))
