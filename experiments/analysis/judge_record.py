"""How well an automatic judge agrees with people on pairs, and what its verdicts are worth.

Both give a difference in [-1, 1] for the same pair: above 0 if the new answer is better.
"""

from collections.abc import Iterable
from math import atanh, sqrt, tanh
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.agreement import proportion
from experiments.analysis.errors import GradeError
from experiments.analysis.ratings import Z95, Estimate

ENOUGH = 30  # fewer pairs give no correlation: its interval would be useless
Floats = NDArray[np.float64]


class JudgedPair(NamedTuple):
    people: float
    judge: float


class JudgeRecord(NamedTuple):
    """`agreement` is the share of pairs with the same winner, or a tie for both.

    `lead` is the mean of judge minus people: above 0 the judge favors the new answers.
    `correlation` is None below 30 pairs, or if one of the two always says the same.
    """

    pairs: int
    agreement: Estimate | None
    lead: Estimate | None
    correlation: Estimate | None


def judge_record(pairs: Iterable[JudgedPair]) -> JudgeRecord:
    """The record over pairs that both have seen. Raises GradeError outside [-1, 1].

    Intervals at 95 %, for pairs of different units: Wilson's for the agreement, a normal one for
    the lead. The correlation's is symmetric in atanh(r), with the standard error from the
    influence function, because Fisher's is too narrow with many ties (81 % coverage), and never
    narrower than Fisher's.
    """
    people, judge = _columns(pairs)
    same = int((np.sign(people) == np.sign(judge)).sum())
    return JudgeRecord(
        pairs=people.size,
        agreement=proportion(same, people.size),
        lead=_mean(judge - people),
        correlation=_correlation(people, judge),
    )


def judge_bias(pairs: Iterable[JudgedPair], toward: Iterable[float]) -> Estimate | None:
    """How much the judge favors a property of an answer more than people do, with a 95 % interval.

    `toward` is 1 where the new answer has the property (is longer, stands first, comes from the
    judge's own family), -1 where the old one has it, and 0 where none or both have it.
    """
    people, judge = _columns(pairs)
    side = np.array(list(toward), dtype=np.float64)
    if side.shape != people.shape:
        raise GradeError(f"{side.size} properties do not fit {people.size} pairs.")
    return _mean(((judge - people) * side)[side != 0])


def labels_worth(record: JudgeRecord, *, asked: float, verdicts: int = 100) -> Estimate | None:
    """How many people's labels `verdicts` of the judge save if people see a share `asked`.

    With a correlation r, the judge as a control variate leaves 1 + (1 / asked - 1) (1 - r^2) of the
    variance that labels for every pair would have. So M verdicts and asked M labels are as good as
    M / (1 + (1 / asked - 1) (1 - r^2)) labels alone. None without a correlation; a judge without a
    positive one is worth nothing, because its weight is never below 0.
    """
    if not 0 < asked <= 1:
        raise GradeError(f"'asked' must be above 0 and at most 1; got {asked}.")
    if record.correlation is None:
        return None

    def worth(r: float) -> float:
        left = 1 - max(0.0, r) ** 2
        return verdicts * (1 / (1 + (1 / asked - 1) * left) - asked)

    return Estimate(*(worth(r) for r in record.correlation))


def _columns(pairs: Iterable[JudgedPair]) -> tuple[Floats, Floats]:
    table = np.array(list(pairs), dtype=np.float64).reshape(-1, 2)
    if not (np.abs(table) <= 1).all():
        raise GradeError("Differences must be between -1 and 1.")
    return table[:, 0], table[:, 1]


def _mean(values: Floats) -> Estimate | None:
    """A mean with its interval; the variance counts one more value at each end."""
    if not values.size:
        return None
    mean = float(values.mean())
    variance = float((np.sum((values - mean) ** 2) + 2) / (values.size + 2))
    half = Z95 * sqrt(variance / values.size)
    return Estimate(mean, mean - half, mean + half)


def _correlation(people: Floats, judge: Floats) -> Estimate | None:
    if people.size < ENOUGH or not people.std() or not judge.std():
        return None
    x = (people - people.mean()) / people.std()
    y = (judge - judge.mean()) / judge.std()
    r = min(max(float((x * y).mean()), -1 + 1e-12), 1 - 1e-12)
    influence = x * y - r * (x * x + y * y) / 2
    error = float(influence.std()) / (1 - r * r) / sqrt(people.size)
    half = Z95 * max(error, 1 / sqrt(people.size - 3))
    return Estimate(r, tanh(atanh(r) - half), tanh(atanh(r) + half))
