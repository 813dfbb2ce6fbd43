"""Cost and quality along the strong share, for a set of prompts and for resamples of it at once.

Prompts are ordered by score, best first; prompts of equal score form a *block* and are taken in
random order, so that all curves are straight lines between blocks. Every array here has a row for
each curve and a column for each end of a block, the first being the share 0.

Resampling is a bootstrap over *bags*: prompts (or the units they belong to) are dealt into at most
a thousand bags by chance, and whole bags are drawn with replacement. Up to a thousand prompts that
is the usual bootstrap; beyond it costs the same however many prompts there are.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.ratings import Z95

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

MOST_BAGS = 1_000
MOST_BLOCKS = 200
_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Prompts:
    """Columns of equal length, best score first. `extra` is what the strong model costs more."""

    score: Floats
    gain: Floats
    weak: Floats
    extra: Floats
    weak_cost: Floats

    @classmethod
    def ordered(
        cls,
        score: Floats,
        strong: Floats,
        weak: Floats,
        strong_cost: Floats | None = None,
        weak_cost: Floats | None = None,
    ) -> tuple["Prompts", Codes]:
        """The prompts in order, and where each one was before. Unknown costs are NaN throughout."""
        order = np.argsort(-score, kind="stable")
        unknown = np.full(len(score), np.nan)
        dear = unknown if strong_cost is None else strong_cost
        cheap = unknown if weak_cost is None else weak_cost
        columns = (score, strong - weak, weak, dear - cheap, cheap)
        return cls(*(column[order] for column in columns)), order

    def starts(self) -> Codes:
        """Where blocks begin."""
        return np.flatnonzero(np.r_[True, self.score[1:] != self.score[:-1]])


@dataclass(frozen=True, eq=False)
class Curves:
    """`n` prompts in each. `quality` and `cost` are means a prompt at each `share`."""

    n: int
    shares: Floats
    quality: Floats
    cost: Floats

    def at(self, values: Floats, share: Floats) -> Floats:
        """One value a curve: `values` (quality or cost) where its share is `share`."""
        return _interpolated(self.shares, values, share)

    def first_share(self, values: Floats, target: Floats) -> Floats:
        """The first share k / n at which each curve's `values` reach its target; they end above."""
        reached = values >= target[:, None] - _TOLERANCE
        at = np.argmax(reached, axis=1)
        rows = np.arange(len(values))
        before = np.maximum(at - 1, 0)
        rise = values[rows, at] - values[rows, before]
        part = (target - values[rows, before]) / np.where(rise == 0, 1.0, rise)
        step = self.shares[rows, at] - self.shares[rows, before]
        share = self.shares[rows, before] + np.clip(part, 0.0, 1.0) * step
        return np.where(at == 0, 0.0, np.ceil(share * self.n - 1e-6) / self.n)

    def area(self, values: Floats) -> Floats:
        return np.asarray(np.trapezoid(values, self.shares, axis=1))

    def pgr(self) -> Floats:
        """Recovered share of the quality gap; NaN in curves without a gap above 0."""
        low, high = self.quality[:, :1], self.quality[:, -1:]
        gap = np.where(high > low, high - low, np.nan)
        return np.asarray((self.quality - low) / gap)


def curves_of(prompts: Prompts) -> Curves:
    """The one exact curve of these prompts."""
    starts = prompts.starts()
    counts = np.diff(np.r_[starts, len(prompts.score)]).astype(np.float64)
    gains, extra = (np.add.reduceat(c, starts) for c in (prompts.gain, prompts.extra))
    totals = np.array([[prompts.weak.sum()], [prompts.weak_cost.sum()]])
    return _curves(counts[None], gains[None], extra[None], totals)


def resampled(prompts: Prompts, *, seed: int, resamples: int, units: Codes | None = None) -> Curves:
    """Curves of `resamples` bootstrap samples. `units` has the number of each prompt's unit."""
    bag, times = dealt(len(prompts.score), seed=seed, resamples=resamples, units=units)
    bags = times.shape[1]
    block = _merged_blocks(prompts)
    blocks = int(block[-1]) + 1
    cell = bag * blocks + block

    def table(weights: Floats | None = None) -> Floats:
        summed = np.bincount(cell, weights, minlength=bags * blocks)
        return summed.reshape(bags, blocks).astype(np.float64)

    totals = np.stack(
        [times @ np.bincount(bag, c, minlength=bags) for c in (prompts.weak, prompts.weak_cost)]
    )
    priced = np.isfinite(prompts.extra).all()
    extra = times @ table(prompts.extra) if priced else np.full((resamples, blocks), np.nan)
    return _curves(times @ table(), times @ table(prompts.gain), extra, totals)


def dealt(n: int, *, seed: int, resamples: int, units: Codes | None = None) -> tuple[Codes, Floats]:
    """The bag of each of `n` prompts, and how often each bag is in each bootstrap sample."""
    generator = np.random.default_rng(seed)
    bag = _bags(n if units is None else int(units.max()) + 1, generator)
    bag = bag if units is None else bag[units]
    bags = int(bag.max()) + 1
    drawn = generator.multinomial(bags, np.full(bags, 1 / bags), size=resamples)
    return bag, drawn.astype(np.float64)


def _curves(counts: Floats, gains: Floats, extra: Floats, totals: Floats) -> Curves:
    zero = np.zeros((len(counts), 1))
    n = counts.sum(axis=1, keepdims=True)
    weak, weak_cost = totals[0][:, None], totals[1][:, None]
    return Curves(
        n=round(float(n.mean())),
        shares=np.hstack((zero, np.cumsum(counts, axis=1))) / n,
        quality=(weak + np.hstack((zero, np.cumsum(gains, axis=1)))) / n,
        cost=(weak_cost + np.hstack((zero, np.cumsum(extra, axis=1)))) / n,
    )


def _bags(n: int, generator: np.random.Generator) -> Codes:
    """A bag for each, as equal in size as can be."""
    bags = np.arange(n, dtype=np.int64) % MOST_BAGS
    return generator.permutation(bags) if n > MOST_BAGS else bags


def _merged_blocks(prompts: Prompts) -> Codes:
    """The number of each prompt's block; beyond 200 blocks, neighbours are one."""
    starts = prompts.starts()
    sizes = np.diff(np.r_[starts, len(prompts.score)])
    if len(starts) > MOST_BLOCKS:
        wanted = (starts * MOST_BLOCKS) // len(prompts.score)
        number = np.unique(wanted, return_inverse=True)[1].astype(np.int64)
    else:
        number = np.arange(len(starts), dtype=np.int64)
    return np.repeat(number, sizes)


def _interpolated(xs: Floats, ys: Floats, x: Floats) -> Floats:
    """`np.interp` for every row. One long row is looked up by halving, not from its beginning."""
    if len(xs) == 1:
        return np.asarray(np.interp(x, xs[0], ys[0]))
    after = np.argmax(xs >= x[:, None] - 1e-12, axis=1)
    before = np.maximum(after - 1, 0)
    rows = np.arange(len(xs))
    width = xs[rows, after] - xs[rows, before]
    part = np.where(width > 0, (x - xs[rows, before]) / np.where(width > 0, width, 1.0), 0.0)
    rise = ys[rows, after] - ys[rows, before]
    return np.asarray(ys[rows, before] + np.clip(part, 0.0, 1.0) * rise)


def is_surely_positive(*samples: Floats) -> bool:
    """Whether the mean's lower 95 % confidence bound is above 0: the condition for PGR.

    Of several orders of the same rows, means and standard errors are averaged.
    """
    mean = float(np.mean([values.mean() for values in samples]))
    return mean - Z95 * float(np.mean([standard_error(values) for values in samples])) > 0


def standard_error(values: Floats) -> float:
    """Of the mean; infinite for a single value."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf
