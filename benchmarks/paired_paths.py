"""All looks of one simulated stream of labels: what `paired_effect` says after each of them.

A bound passes a value when the wealth at one mean difference passes the level, so only that wealth
is followed, label by label. tests/benchmarks/test_paired.py compares with `paired_effect` itself.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.paired import (
    BETS,
    JUDGE_MOST,
    JUDGE_PRIOR,
    PAIRS_PER_UNIT,
    READ_FROM,
    SHARE_OF_ALPHA,
    WEIGHT_RATIO,
    PairLabel,
    share_bounds,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ALPHA = 0.05
THRESHOLD = -np.log(ALPHA * (1 - SHARE_OF_ALPHA))


@dataclass(frozen=True)
class Stream:
    """Drawn pairs in order; arrays of one length. `difference` is NaN where no person was asked."""

    difference: Floats
    unit: Ints
    odds: Floats
    asked: Floats
    judge: Floats | None = None
    floor: float | None = None
    pairs_per_unit: int | None = None

    def labels(self, looks: int) -> list[PairLabel]:
        """The first `looks` pairs, as `paired_effect` takes them."""
        judge = np.full(looks, np.nan) if self.judge is None else self.judge
        return [
            PairLabel(
                str(self.unit[at]),
                None if np.isnan(self.difference[at]) else float(self.difference[at]),
                float(self.odds[at]),
                float(self.asked[at]),
                None if np.isnan(judge[at]) else float(judge[at]),
            )
            for at in range(looks)
        ]


class Traffic(NamedTuple):
    decisions: int
    disagreements: int

    @property
    def bounds(self) -> tuple[float, float]:
        return share_bounds(self.disagreements, self.decisions, SHARE_OF_ALPHA * ALPHA)


def simple(difference: Floats) -> Stream:
    """One pair a unit, every pair drawn and asked."""
    ones = np.ones(difference.size)
    return Stream(difference, np.arange(difference.size), ones, ones)


def lower_passes(stream: Stream, traffic: Traffic, value: float) -> int | None:
    """The first look, from 1, at which the lower bound of the effect is above `value`."""
    low, high = traffic.bounds
    return _first(stream, 1.0, value / (high if value < 0 else low))


def upper_passes(stream: Stream, traffic: Traffic, value: float) -> int | None:
    """The first look, from 1, at which the upper bound of the effect is below `value`."""
    low, high = traffic.bounds
    return _first(stream, -1.0, -value / (high if value > 0 else low))


def _first(stream: Stream, sign: float, mean: float) -> int | None:
    if mean >= 1:
        return None
    if mean <= -1:
        return 1
    above = log_wealth(stream, sign, mean) >= THRESHOLD
    return int(above.argmax()) + 1 if above.any() else None


def log_wealth(stream: Stream, sign: float, mean: float) -> Floats:
    """Log of the average product at `mean` after each label, the differences times `sign`."""
    values, slopes = _terms(stream, sign)
    after, before = _unit_sums(stream.unit, values - mean * slopes)
    scale, control = _limits(stream)
    reach = scale * ((1 + mean) + control * (1 - mean))
    wealth = np.empty(values.size)
    starts = np.flatnonzero(np.r_[True, reach[1:] != reach[:-1]])
    for start, end in zip(starts, [*starts[1:], values.size], strict=True):
        bets = BETS[:, None] / reach[start]
        gains = np.log1p(bets * after[:end])
        if before.any():
            gains -= np.log1p(bets * before[:end])
        paths = gains.cumsum(axis=1)[:, start:]
        wealth[start:end] = np.logaddexp.reduce(paths, axis=0) - np.log(BETS.size)
    return wealth


def _terms(stream: Stream, sign: float) -> tuple[Floats, Floats]:
    person = ~np.isnan(stream.difference)
    difference = sign * np.where(person, stream.difference, 0.0)
    judge = np.zeros(person.size) if stream.judge is None else sign * stream.judge
    weight = _judge_weight(stream.unit, difference, np.where(person, judge, 0.0))
    inverse = np.where(person, 1 / stream.asked, 0.0)
    if stream.judge is None:
        return inverse * difference / stream.odds, inverse / stream.odds
    control = weight * (1 - inverse)
    value = (control * judge + inverse * difference) / stream.odds
    return value, (control + inverse) / stream.odds


def _judge_weight(unit: Ints, difference: Floats, judge: Floats) -> Floats:
    _, first, inverse = np.unique(unit, return_index=True, return_inverse=True)
    together = np.r_[0.0, np.cumsum(difference * judge)][first][inverse]
    squares = np.r_[0.0, np.cumsum(judge**2)][first][inverse]
    weights: Floats = np.clip(together / (squares + JUDGE_PRIOR), 0.0, JUDGE_MOST)
    return weights


def ranks(unit: Ints) -> Ints:
    """How many pairs of the same unit came before each pair."""
    order = np.argsort(unit, kind="stable")
    ordered = unit[order]
    starts = np.r_[True, ordered[1:] != ordered[:-1]]
    first = np.maximum.accumulate(np.where(starts, np.arange(unit.size), 0))
    found = np.empty(unit.size, dtype=np.int64)
    found[order] = np.arange(unit.size) - first
    return found


def _unit_sums(unit: Ints, terms: Floats) -> tuple[Floats, Floats]:
    """The sum of each pair's unit with the pair, and without it; alike from the fourth pair on."""
    rank = ranks(unit)
    after, before = np.zeros(terms.size), np.zeros(terms.size)
    running = np.zeros(int(unit.max()) + 1)
    for at in range(PAIRS_PER_UNIT):
        here = rank == at
        before[here] = running[unit[here]]
        running[unit[here]] += terms[here]
        after[here] = running[unit[here]]
    return after, before


def _limits(stream: Stream) -> tuple[Floats, Floats]:
    rank = ranks(stream.unit)
    enters = rank < PAIRS_PER_UNIT
    weights = np.where(enters, stream.odds * stream.asked, 1.0)
    few = np.cumsum(enters) < READ_FROM
    largest = np.maximum.accumulate(np.where(enters, stream.odds * stream.asked, 0.0))
    lowest = np.where(few, largest / WEIGHT_RATIO, np.minimum.accumulate(weights))
    floor = lowest if stream.floor is None else np.full(rank.size, stream.floor)
    several = np.maximum.accumulate(rank) > 0
    size = np.where(few | several, PAIRS_PER_UNIT, 1)
    if stream.pairs_per_unit is not None:
        size = np.full(rank.size, stream.pairs_per_unit)
    control = np.zeros(rank.size)
    if stream.judge is not None:
        control = JUDGE_MOST * (1 - np.minimum.accumulate(np.where(enters, stream.asked, 1.0)))
    return size / floor, control
