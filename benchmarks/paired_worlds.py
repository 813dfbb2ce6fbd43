"""Streams of labels with a known true difference, for `python -m benchmarks.paired`."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks.paired_paths import Floats, Stream, simple

Draw = Callable[[np.random.Generator, float], Stream]
LABELS = 1_000


class World(NamedTuple):
    """`draw(rng, mean)` gives a stream whose true mean difference is `mean`.

    The true effect is `share` times the mean, so a loss of `margin` is a mean of -margin / share.
    """

    name: str
    draw: Draw
    margin: float = 0.03
    share: float = 0.3

    @property
    def mean_at_margin(self) -> float:
        return -self.margin / self.share


def grades(rng: np.random.Generator, mean: Floats | float, ties: float, size: int) -> Floats:
    """-1, 0 and 1 with a share of ties and a mean; `mean` may differ from pair to pair."""
    win = (1 - ties + np.asarray(mean)) / 2
    u = rng.random(size)
    return np.where(u < win, 1.0, np.where(u < 1 - ties, -1.0, 0.0))


def with_ties(ties: float, labels: int = LABELS) -> Draw:
    return lambda rng, mean: simple(grades(rng, mean, ties, labels))


def rare_losses(loss: float) -> Draw:
    """A large loss now and then, else the same small difference."""

    def draw(rng: np.random.Generator, mean: float) -> Stream:
        usual = (mean + loss) / (1 - loss)
        return simple(np.where(rng.random(LABELS) < loss, -1.0, usual))

    return draw


def any_odds(rng: np.random.Generator, mean: float) -> Stream:
    """Odds between .1 and 1 that have nothing to do with the difference."""
    return _drawn(rng, rng.uniform(0.1, 1, 4 * LABELS), np.full(4 * LABELS, mean), 0.6)


def telling_odds(floor: float | None) -> Draw:
    """Half of the pairs are drawn with odds of .1, and these carry the losses."""

    def draw(rng: np.random.Generator, mean: float) -> Stream:
        size = 4 * LABELS
        quiet = rng.random(size) < 0.5
        means = mean + np.where(quiet, -0.2, 0.2)
        return _drawn(rng, np.where(quiet, 0.1, 1.0), means, 0.5, floor)

    return draw


def units(
    *, interleaved: bool, ignored: bool = False, large_are_worse: bool = False, ties: float = 0.4
) -> Draw:
    """Units of 1 to 30 disagreements, alike within a unit; three of each are drawn.

    If `large_are_worse`, the pairs have odds of 3 / size, so that all disagreements count alike.
    `ignored` pretends that each pair is a unit of its own.
    """

    def draw(rng: np.random.Generator, mean: float) -> Stream:
        size = rng.integers(1, 31, LABELS)
        kept = np.minimum(size, 3)
        means = mean + rng.choice([-0.45, 0.45], LABELS)
        if large_are_worse:
            # The mean over disagreements (not over units) stays: sum of size * shift is 0.
            shift = 0.1 * (size - np.mean(np.arange(1, 31) ** 2) / 15.5) / 30
            means = means - shift
        unit = np.repeat(np.arange(LABELS), kept)
        if interleaved:
            unit = rng.permutation(unit)
        unit = unit[:LABELS]
        odds = kept[unit] / size[unit] if large_are_worse else np.ones(LABELS)
        difference = grades(rng, means[unit], ties, LABELS)
        return Stream(
            difference,
            np.arange(LABELS) if ignored else unit,
            odds,
            np.ones(LABELS),
            floor=0.1 if large_are_worse else None,
            pairs_per_unit=3 if large_are_worse else None,
        )

    return draw


def judged(kind: str, asked: float = 0.3, ties: float = 0.6, labels: int = LABELS) -> Draw:
    """A judge sees every pair, a person each with odds `asked`.

    "good" repeats the person's difference in 85 % of the pairs, "random" never looks, "adversarial"
    says the opposite, "turning" is good for 300 pairs and then says the opposite.
    """

    def draw(rng: np.random.Generator, mean: float) -> Stream:
        true = grades(rng, mean, ties, labels)
        other = grades(rng, mean, ties, labels)
        good = np.where(rng.random(labels) < 0.85, true, other)
        judge = {
            "good": good,
            "random": other,
            "adversarial": -true,
            "turning": np.where(np.arange(labels) < 300, good, -true),
        }[kind]
        person = rng.random(labels) < asked
        return Stream(
            np.where(person, true, np.nan),
            np.arange(labels),
            np.ones(labels),
            np.full(labels, asked),
            judge,
        )

    return draw


WORLDS = (
    World("30 % ties", with_ties(0.3)),
    World("60 % ties", with_ties(0.6)),
    World("90 % ties", with_ties(0.9), margin=0.015),
    World("a loss of 1 in 2 % of the pairs, else equal", rare_losses(0.02), margin=0.003),
    World("a loss of 1 in 10 % of the pairs, else equal", rare_losses(0.1)),
    World("odds .1 to 1, by chance", any_odds),
    World("odds .1 and 1, losses at .1, limits read from the labels", telling_odds(None)),
    World("odds .1 and 1, losses at .1, floor of the plan", telling_odds(0.1)),
    World("units of 1 to 30, one after the other", units(interleaved=False)),
    World("units of 1 to 30, interleaved", units(interleaved=True)),
    World(
        "units of 1 to 30, large ones worse, odds 3 / size",
        units(interleaved=False, large_are_worse=True),
    ),
    World("good judge, 30 % asked", judged("good")),
    World("random judge, 30 % asked", judged("random")),
    World("adversarial judge, 30 % asked", judged("adversarial")),
    World("judge that turns, 30 % asked", judged("turning")),
)


class Shares(NamedTuple):
    """Traffic while it grows: counts of decisions and disagreements at each label."""

    decisions: Floats
    disagreements: Floats
    difference: Floats


def drifting(rng: np.random.Generator, loss: float) -> Shares:
    """The share of disagreements rises from .1 to .5 over 10,000 decisions, a third is labeled.

    Each decision loses `loss` on average at all times, so fewer disagreements are worse ones.
    """
    count = 10_000
    share = np.linspace(0.1, 0.5, count)
    differs = rng.random(count) < share
    labeled = np.flatnonzero(differs & (rng.random(count) < 1 / 3))[:LABELS]
    return Shares(
        decisions=(labeled + 1).astype(np.float64),
        disagreements=np.cumsum(differs)[labeled].astype(np.float64),
        difference=grades(rng, -loss / share[labeled], 0.5, labeled.size),
    )


def _drawn(
    rng: np.random.Generator, odds: Floats, means: Floats, ties: float, floor: float | None = None
) -> Stream:
    """The first pairs that their odds draw, with ties enough for their means."""
    chosen = np.flatnonzero(rng.random(odds.size) < odds)[:LABELS]
    return Stream(
        grades(rng, means[chosen], ties, chosen.size),
        np.arange(chosen.size),
        odds[chosen],
        np.ones(chosen.size),
        floor=floor,
        pairs_per_unit=None if floor is None else 1,
    )
