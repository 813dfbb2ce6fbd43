"""How good a router's order of prompts is: RouteLLM's PGR, APGR and CPT, with intervals.

``q(c)`` is the mean quality when the share ``c`` of prompts with the highest scores goes to the
strong model and the rest to the weak one. Prompts with equal scores are taken in random order, so
their gains are averaged and ``q`` is a straight line across them.

- ``PGR(c) = (q(c) - q_weak) / (q_strong - q_weak)``, the recovered share of the quality gap.
- ``APGR`` is the area under PGR for c in [0, 1].
- ``CPT(x)`` is the smallest strong share with ``PGR >= x``.

(Ong et al., "RouteLLM: Learning to Route LLMs with Preference Data", 2024.) All three are undefined
(``None``) when the lower 95 % confidence bound of ``q_strong - q_weak`` is not above 0.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.analysis.routing.curves import (
    Curves,
    Prompts,
    curves_of,
    is_surely_positive,
    resampled,
)

Floats = NDArray[np.float64]

_TOLERANCE = 1e-9


class Interval(NamedTuple):
    low: float
    high: float


class Measures(NamedTuple):
    """None where undefined. The shares are shares of prompts sent to the strong model."""

    apgr: float | None
    cpt20: float | None
    cpt50: float | None
    cpt80: float | None
    strong_share_at_95: float


class Evaluation(NamedTuple):
    """Measures and their 95 % bootstrap intervals, by measure name; no interval if undefined."""

    n: int
    measures: Measures
    intervals: dict[str, Interval]


class Cut(NamedTuple):
    """A threshold, and the share of the calibration scores that reaches it."""

    threshold: float | None
    realised_share: float


def measure(scores: ArrayLike, strong: ArrayLike, weak: ArrayLike) -> Measures:
    """Measures of a router. ``strong`` and ``weak`` are the qualities of the two models' answers.

    Raises ``ValueError`` for arrays of different lengths, empty ones, or scores that are not
    finite.
    """
    prompts, _ = Prompts.ordered(*_columns(scores, strong, weak))
    return _measures(prompts)


def measure_random(strong: ArrayLike, weak: ArrayLike) -> Measures:
    """The random router on average: every prompt has the same score."""
    return measure(np.zeros(len(np.asarray(strong))), strong, weak)


def measure_oracle(strong: ArrayLike, weak: ArrayLike) -> Measures:
    """What a router would get that knew both answers' quality. Its APGR can exceed 1."""
    return measure(np.subtract(strong, weak), strong, weak)


def evaluate(
    scores: ArrayLike, strong: ArrayLike, weak: ArrayLike, *, seed: int, resamples: int = 1000
) -> Evaluation:
    """Measures with percentile bootstrap intervals over prompts, from a seeded generator.

    Resamples without a positive quality gap do not count for APGR and CPT.
    """
    prompts, _ = Prompts.ordered(*_columns(scores, strong, weak))
    return evaluate_prompts(prompts, resampled(prompts, seed=seed, resamples=resamples))


def evaluate_prompts(prompts: Prompts, samples: Curves) -> Evaluation:
    """The same from prompts and resamples that are at hand."""
    measures = _measures(prompts)
    drawn = figures_of(samples)
    intervals = {
        name: interval(drawn[name])
        for name, value in measures._asdict().items()
        if value is not None
    }
    return Evaluation(
        n=len(prompts.score),
        measures=measures,
        intervals={name: found for name, found in intervals.items() if found is not None},
    )


def threshold_for_share(scores: ArrayLike, share: float) -> Cut:
    """The k-th largest score with ``k = ceil(share * n)``, and the share that really reaches it.

    A share of 0 has no threshold: nothing goes to the strong model.
    """
    values = np.asarray(scores, dtype=np.float64)
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"A strong share of {share} is impossible. Give one from 0 to 1.")
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError("A threshold needs a list of at least one finite score.")
    k = math.ceil(share * len(values) - _TOLERANCE)
    if k == 0:
        return Cut(None, 0.0)
    threshold = float(np.sort(values)[len(values) - k])
    return Cut(threshold, float(np.mean(values >= threshold)))


def quality_curve(scores: ArrayLike, strong: ArrayLike, weak: ArrayLike) -> tuple[Floats, Floats]:
    """Strong shares from 0 to 1 and the quality at each; straight lines lie between them."""
    prompts, _ = Prompts.ordered(*_columns(scores, strong, weak))
    curve = curves_of(prompts)
    return curve.shares[0], curve.quality[0]


def figures_of(curves: Curves) -> dict[str, Floats]:
    """The measures of every curve by name; NaN where a curve has no gap."""
    pgr, known = curves.pgr(), curves.quality[:, -1] > curves.quality[:, 0]
    crossings = {
        name: np.where(known, curves.first_share(pgr, np.full(len(pgr), x)), np.nan)
        for name, x in (("cpt20", 0.2), ("cpt50", 0.5), ("cpt80", 0.8))
    }
    at_95 = curves.first_share(curves.quality, 0.95 * curves.quality[:, -1])
    return {"apgr": curves.area(pgr), **crossings, "strong_share_at_95": at_95}


def interval(values: Floats) -> Interval | None:
    """The middle 95 % of what is defined; None where nothing is."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(float(low), float(high))


def _columns(scores: ArrayLike, strong: ArrayLike, weak: ArrayLike) -> tuple[Floats, ...]:
    columns = tuple(np.asarray(column, dtype=np.float64) for column in (scores, strong, weak))
    if len({column.shape for column in columns}) != 1 or columns[0].ndim != 1:
        raise ValueError("Scores and qualities must be lists of the same length.")
    if not len(columns[0]):
        raise ValueError("There is nothing to measure: the lists are empty.")
    if not all(np.isfinite(column).all() for column in columns):
        raise ValueError("Scores and qualities must be finite numbers.")
    return columns


def _measures(prompts: Prompts) -> Measures:
    found = {name: float(value[0]) for name, value in figures_of(curves_of(prompts)).items()}
    if not is_surely_positive(prompts.gain):
        return Measures(None, None, None, None, found["strong_share_at_95"])
    return Measures(**found)
