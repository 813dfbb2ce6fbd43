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
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_Z95 = 1.959963984540054
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


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Prompts of equal score, best score first: how many, the sum of gains, and ``q_weak``."""

    counts: Floats
    gains: Floats
    weak_total: float

    @property
    def n(self) -> float:
        return float(self.counts.sum())


def measure(scores: ArrayLike, strong: ArrayLike, weak: ArrayLike) -> Measures:
    """Measures of a router. ``strong`` and ``weak`` are the qualities of the two models' answers.

    Raises ``ValueError`` for arrays of different lengths, empty ones, or scores that are not
    finite.
    """
    score, strong_quality, weak_quality = _columns(scores, strong, weak)
    gap_known = _gap_is_known(strong_quality - weak_quality)
    return _measures(_blocks(score, strong_quality, weak_quality), gap_known=gap_known)


def measure_random(strong: ArrayLike, weak: ArrayLike) -> Measures:
    """What a coin gets on average: every prompt has the same score."""
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
    score, strong_quality, weak_quality = _columns(scores, strong, weak)
    measures = measure(score, strong_quality, weak_quality)
    order = np.argsort(-score, kind="stable")
    columns = (score[order], strong_quality[order], weak_quality[order])
    generator = np.random.default_rng(seed)
    drawn = [_resampled(columns, generator) for _ in range(resamples)]
    intervals = {
        name: _interval([getattr(sample, name) for sample in drawn])
        for name, value in measures._asdict().items()
        if value is not None
    }
    return Evaluation(
        n=len(score),
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
    blocks = _blocks(*_columns(scores, strong, weak))
    return _curve(blocks)


def _columns(scores: ArrayLike, strong: ArrayLike, weak: ArrayLike) -> tuple[Floats, ...]:
    columns = tuple(np.asarray(column, dtype=np.float64) for column in (scores, strong, weak))
    if len({column.shape for column in columns}) != 1 or columns[0].ndim != 1:
        raise ValueError("Scores and qualities must be lists of the same length.")
    if not len(columns[0]):
        raise ValueError("There is nothing to measure: the lists are empty.")
    if not all(np.isfinite(column).all() for column in columns):
        raise ValueError("Scores and qualities must be finite numbers.")
    return columns


def _gap_is_known(gains: Floats) -> bool:
    if len(gains) < 2:
        return False
    standard_error = float(gains.std(ddof=1)) / math.sqrt(len(gains))
    return float(gains.mean()) - _Z95 * standard_error > 0


def _blocks(score: Floats, strong: Floats, weak: Floats, times: Floats | None = None) -> _Blocks:
    """``times`` says how often each row counts (a bootstrap resample)."""
    order = np.argsort(-score, kind="stable")
    score, strong, weak = score[order], strong[order], weak[order]
    times = np.ones(len(score)) if times is None else times[order]
    starts = np.flatnonzero(np.r_[True, score[1:] != score[:-1]])
    counts = np.add.reduceat(times, starts)
    gains = np.add.reduceat(times * (strong - weak), starts)
    seen = counts > 0
    return _Blocks(counts[seen], gains[seen], float(times @ weak))


def _curve(blocks: _Blocks) -> tuple[Floats, Floats]:
    shares = np.r_[0.0, np.cumsum(blocks.counts)] / blocks.n
    quality = (blocks.weak_total + np.r_[0.0, np.cumsum(blocks.gains)]) / blocks.n
    return shares, quality


def _measures(blocks: _Blocks, *, gap_known: bool) -> Measures:
    shares, quality = _curve(blocks)
    n = blocks.n
    at_95 = _first_share(shares, quality, 0.95 * quality[-1], n)
    if not gap_known:
        return Measures(None, None, None, None, at_95)
    pgr = (quality - quality[0]) / (quality[-1] - quality[0])
    cpt20, cpt50, cpt80 = (_first_share(shares, pgr, x, n) for x in (0.2, 0.5, 0.8))
    return Measures(float(np.trapezoid(pgr, shares)), cpt20, cpt50, cpt80, at_95)


def _first_share(shares: Floats, values: Floats, target: float, n: float) -> float:
    """The first share k / n at which the broken line reaches the target; it ends above it."""
    at = int(np.argmax(values >= target - _TOLERANCE))
    if at == 0:
        return 0.0
    rise = values[at] - values[at - 1]
    part = min(1.0, max(0.0, (target - values[at - 1]) / rise))
    share = shares[at - 1] + part * (shares[at] - shares[at - 1])
    return math.ceil(float(share) * n - 1e-6) / n


def _resampled(columns: tuple[Floats, ...], generator: np.random.Generator) -> Measures:
    n = len(columns[0])
    times = np.bincount(generator.integers(0, n, size=n), minlength=n).astype(np.float64)
    score, strong, weak = columns
    blocks = _blocks(score, strong, weak, times)
    return _measures(blocks, gap_known=float(blocks.gains.sum()) > 0)


def _interval(values: list[float | None]) -> Interval | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(float(low), float(high))
