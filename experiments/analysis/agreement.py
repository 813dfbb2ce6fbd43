"""How often a judge and people agree."""

from collections.abc import Iterable
from math import sqrt
from typing import NamedTuple

from experiments.analysis.ratings import Z95, Estimate

MIDDLE = 0.5
ENOUGH = 30  # with fewer, the interval is wider than a third


class Agreement(NamedTuple):
    """Decisions on which both preferred an answer. `by_chance` is the expected agreement of
    independent raters with the same rates."""

    both_for: int
    both_against: int
    only_people_for: int
    only_judge_for: int
    undecided: int

    @property
    def n(self) -> int:
        return self.both_for + self.both_against + self.only_people_for + self.only_judge_for

    @property
    def agreed(self) -> int:
        return self.both_for + self.both_against

    @property
    def is_enough(self) -> bool:
        return self.n >= ENOUGH

    @property
    def share(self) -> Estimate | None:
        return proportion(self.agreed, self.n)

    @property
    def by_chance(self) -> float | None:
        if not self.n:
            return None
        people = (self.both_for + self.only_people_for) / self.n
        judge = (self.both_for + self.only_judge_for) / self.n
        return people * judge + (1 - people) * (1 - judge)


def agreement(rated: Iterable[tuple[float, float]]) -> Agreement:
    """From pairs (people's rating, judge's rating), both in [0, 1]: above .5 prefers the answer
    that the user got; .5 is a tie, which is left out."""
    sides = [(_side(people), _side(judge)) for people, judge in rated]
    return Agreement(
        both_for=sides.count((1, 1)),
        both_against=sides.count((-1, -1)),
        only_people_for=sides.count((1, -1)),
        only_judge_for=sides.count((-1, 1)),
        undecided=sum(0 in side for side in sides),
    )


def proportion(part: int, whole: int) -> Estimate | None:
    """A share with Wilson's 95 % interval; None if `whole` is 0."""
    if not whole:
        return None
    p, z2 = part / whole, Z95 * Z95
    middle = (p + z2 / (2 * whole)) / (1 + z2 / whole)
    half = Z95 * sqrt(p * (1 - p) / whole + z2 / (4 * whole * whole)) / (1 + z2 / whole)
    low = 0.0 if not part else middle - half  # which rounding would miss
    return Estimate(p, low, 1.0 if part == whole else middle + half)


def _side(value: float) -> int:
    return (value > MIDDLE) - (value < MIDDLE)
