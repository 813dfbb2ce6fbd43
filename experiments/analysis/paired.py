"""The effect of a new policy from labeled pairs of answers, with bounds that hold at every look.

Two policies choose the same model for most prompts, and there quality cannot differ. So only
disagreements are labeled, and effect = D/N times the mean difference over disagreements.

Method: the bounds on the mean difference invert a test by betting (Waudby-Smith and Ramdas 2024,
"Estimating means of bounded random variables by betting") with inverse-probability weights, one
factor per unit, averaged over a fixed grid of bets. The bounds on D/N invert a beta mixture
(Robbins 1970). docs/paired-labels.md has the derivation and the tables that check it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, log
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betaln

from experiments.analysis.errors import CountError, GradeError, LevelError, MarginError

Verdict = Literal["non_inferior", "inferior", "undecided"]

PAIRS_PER_UNIT = 3
WEIGHT_RATIO = 10.0  # the largest weight over the smallest
READ_FROM = 20  # fewer pairs do not show what the sampling plan allows
SHARE_OF_ALPHA = 0.1  # what the bound on D/N may spend
# Bets as fractions of the largest one that no difference can ruin. A fixed grid stays valid when
# the difference drifts; bets that follow the data do not.
BETS = 0.98 * np.array([1, 0.7, 0.5, 0.3, 0.15, 0.05])
# The judge's weight before any label is 0; this many agreements bring it half way.
JUDGE_PRIOR = 5.0
JUDGE_MOST = 0.8

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PairLabel:
    """One drawn disagreement: the new policy's answer against the old policy's.

    `difference` and `judge` are in [-1, 1], above 0 where the new answer is better. `odds` is the
    probability that the pair was drawn, `asked` that a person was then asked; both use only what
    was known before. `difference` is None if the pair was `skipped` (or is overdue), or if only the
    judge has seen it. If neither has, the pair waits, and its unit with it.
    """

    unit: str
    difference: float | None
    odds: float = 1.0
    asked: float = 1.0
    judge: float | None = None
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class PairedEffect:
    """The difference in quality per decision, in [-1, 1], with a lower and an upper bound.

    Each bound is wrong at any look with probability at most alpha. `estimate` is None without
    labels. `labels` counts the people's labels that entered, `judged` the pairs with a judge's.
    """

    estimate: float | None
    lower: float
    upper: float
    labels: int
    judged: int
    verdict: Verdict


def paired_effect(
    labels: Sequence[PairLabel],
    *,
    decisions: int,
    disagreements: int,
    margin: float,
    alpha: float = 0.05,
    floor: float | None = None,
    pairs_per_unit: int | None = None,
) -> PairedEffect:
    """Effect and verdict from `labels` in the order drawn, at any look, as often as wanted.

    `decisions` (N) and `disagreements` (D) count the traffic that the labels were drawn from.
    `margin` is the worst loss accepted. The first three pairs of a unit enter, together.

    `floor` is the smallest odds times asked, and `pairs_per_unit` (1 to 3) the most pairs of a
    unit, that the sampling plan allows. They limit the bets. Pass them where they can vary: the
    bounds are then exact at every look. If None, they are the worst that is possible (a tenth of
    the largest product, 3) for the first 19 pairs, then what the labels show (the smallest
    product, and 1 if no unit has a second pair, else 3).

    Raises ValueError (`CountError`, `GradeError`, `LevelError`, `MarginError`) for more
    disagreements than decisions, more labels than disagreements, odds outside (0, 1], weights that
    differ more than tenfold, differences outside [-1, 1], and a skipped pair with a difference.
    """
    _check_plan(decisions, disagreements, margin, alpha)
    pairs = _read(labels)
    _check_pairs(pairs, disagreements)
    low_share, high_share = share_bounds(disagreements, decisions, SHARE_OF_ALPHA * alpha)
    units = _units(pairs)
    limits = _limits(pairs, floor, pairs_per_unit)
    level = (1 - SHARE_OF_ALPHA) * alpha
    low = _lower_mean(units.lowest, units.slope, limits, level)
    high = -_lower_mean(-units.highest, units.slope, limits, level)
    lower = low * (high_share if low < 0 else low_share)
    upper = high * (high_share if high > 0 else low_share)
    return PairedEffect(
        estimate=_estimate(units, decisions, disagreements),
        lower=lower,
        upper=upper,
        labels=units.labels,
        judged=units.judged,
        verdict=_verdict(lower, upper, margin),
    )


def share_bounds(part: int, whole: int, alpha: float) -> tuple[float, float]:
    """Bounds on a share that hold at every look together, from `part` of `whole`.

    They invert the beta mixture B(part + 1/2, whole - part + 1/2) / B(1/2, 1/2) against
    p^part (1 - p)^(whole - part), which exceeds 1 / alpha with probability at most alpha.
    """
    if not whole:
        return 0.0, 1.0
    rest = whole - part
    mixture = float(betaln(part + 0.5, rest + 0.5) - betaln(0.5, 0.5))

    def excess(p: float) -> float:
        return mixture - _times_log(part, p) - _times_log(rest, 1 - p) + log(alpha)

    tiny, mode = 1e-15, part / whole
    low = 0.0 if not part else _root(excess, mode, tiny)
    high = 1.0 if not rest else _root(excess, mode, 1 - tiny)
    return low, high


class _Pairs(NamedTuple):
    """The pairs that enter, in the order drawn; arrays of one shape. NaN where there is none."""

    unit: NDArray[np.intp]
    first: NDArray[np.intp]  # where the unit's first pair stands
    difference: Floats
    odds: Floats
    asked: Floats
    judge: Floats
    skipped: NDArray[np.bool_]
    drawn: int


class _Units(NamedTuple):
    """Per unit: the sum of its weighted terms is `value - m * slope` at a mean difference of m."""

    lowest: Floats  # values, skipped pairs at -1
    highest: Floats  # values, skipped pairs at +1
    slope: Floats
    total: float  # sums over what was not skipped
    total_slope: float
    labels: int
    judged: int


class _Limits(NamedTuple):
    """What bounds a unit's sum: `scale` times ((1 + m) + `control` (1 - m)) from below."""

    scale: float
    control: float


def _read(labels: Sequence[PairLabel]) -> _Pairs:
    seen: dict[str, list[int]] = {}
    for at, label in enumerate(labels):
        seen.setdefault(label.unit, []).append(at)
    entering = sorted(
        (at, code, places[0])
        for code, places in enumerate(seen.values())
        for at in places[:PAIRS_PER_UNIT]
    )
    kept = [labels[at] for at, _, _ in entering]
    return _Pairs(
        unit=np.array([code for _, code, _ in entering], dtype=np.intp),
        first=np.searchsorted(
            np.array([at for at, _, _ in entering], dtype=np.intp),
            np.array([first for _, _, first in entering], dtype=np.intp),
        ),
        difference=_numbers([label.difference for label in kept]),
        odds=_numbers([label.odds for label in kept]),
        asked=_numbers([label.asked for label in kept]),
        judge=_numbers([label.judge for label in kept]),
        skipped=np.array([label.skipped for label in kept], dtype=np.bool_),
        drawn=len(labels),
    )


def _numbers(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _units(pairs: _Pairs) -> _Units:
    answered = ~np.isnan(pairs.difference)
    judged = ~np.isnan(pairs.judge)
    asked = answered | pairs.skipped
    count = int(pairs.unit.max()) + 1 if pairs.unit.size else 0
    waiting = np.zeros(count, dtype=np.bool_)
    waiting[pairs.unit[~asked & ~judged]] = True
    enters = ~waiting[pairs.unit] if count else answered
    control = np.where(judged, _judge_weights(pairs), 0.0)
    inverse = np.where(asked, 1 / pairs.asked, 0.0)
    slope = (control * (1 - inverse) + inverse) / pairs.odds
    known = control * (1 - inverse) * np.nan_to_num(pairs.judge) / pairs.odds
    person = inverse * np.nan_to_num(pairs.difference) / pairs.odds
    unknown = np.where(pairs.skipped, inverse / pairs.odds, 0.0)

    def per_unit(values: Floats) -> Floats:
        sums = np.bincount(pairs.unit, weights=np.where(enters, values, 0.0), minlength=count)
        return sums.astype(np.float64)[~waiting]

    counted = enters & ~pairs.skipped
    return _Units(
        lowest=per_unit(known + person - unknown),
        highest=per_unit(known + person + unknown),
        slope=per_unit(slope),
        total=float((known + person)[counted].sum()),
        total_slope=float(slope[counted].sum()),
        labels=int((enters & answered).sum()),
        judged=int((enters & judged).sum()),
    )


def _judge_weights(pairs: _Pairs) -> Floats:
    """The judge's weight w for each pair, from the pairs drawn before its unit's first one.

    The regression of people's differences on the judge's through the origin, shrunk towards 0. It
    never uses the unit itself or anything later, so the bets stay fair.
    """
    both = ~np.isnan(pairs.judge) & ~np.isnan(pairs.difference) & ~pairs.skipped
    judge = np.where(both, pairs.judge, 0.0)
    together = np.cumsum(judge * np.where(both, pairs.difference, 0.0))
    squares = np.cumsum(judge * judge)
    before = np.concatenate([[0.0], together])[pairs.first]
    size = np.concatenate([[0.0], squares])[pairs.first]
    weights: Floats = np.clip(before / (size + JUDGE_PRIOR), 0.0, JUDGE_MOST)
    return weights


def _limits(pairs: _Pairs, floor: float | None, pairs_per_unit: int | None) -> _Limits:
    weights = pairs.odds * pairs.asked
    smallest = float(weights.min()) if weights.size else 1.0
    most = int(np.bincount(pairs.unit).max()) if pairs.unit.size else 1
    if floor is not None and not 0 < floor <= smallest:
        raise GradeError(
            f"The floor must be above 0 and at most the smallest odds times asked, {smallest:g};"
            f" got {floor}."
        )
    if pairs_per_unit is not None and not most <= pairs_per_unit <= PAIRS_PER_UNIT:
        raise CountError(
            f"Pairs per unit must be {most} (the most in these labels) to {PAIRS_PER_UNIT};"
            f" got {pairs_per_unit}."
        )
    few = weights.size < READ_FROM
    lowest = float(weights.max()) / WEIGHT_RATIO if few and weights.size else smallest
    size = 1 if most == 1 and not few else PAIRS_PER_UNIT
    has_judge = bool((~np.isnan(pairs.judge)).any())
    control = JUDGE_MOST * (1 - float(pairs.asked.min())) if has_judge else 0.0
    return _Limits((pairs_per_unit or size) / (floor or lowest), control)


def _lower_mean(value: Floats, slope: Floats, limits: _Limits, alpha: float) -> float:
    """The smallest mean difference m in [-1, 1] that the bets do not refute at `alpha`."""
    # Most units are alike (a win, a tie or a loss), so count them first.
    alike, counts = np.unique(value + 1j * slope, return_counts=True)

    def excess(m: float) -> float:
        bets = BETS / (limits.scale * ((1 + m) + limits.control * (1 - m)))
        wealth = np.log1p(np.outer(bets, alike.real - m * alike.imag)) @ counts
        top = float(wealth.max())
        return top + log(float(np.exp(wealth - top).mean())) + log(alpha)

    end = -1 + 1e-9
    low = _root(excess, 1.0, end) if value.size else end
    return low if low > end else -1.0


def _root(excess: Callable[[float], float], inside: float, outside: float) -> float:
    """Where `excess` crosses 0 on its way up from `inside`; `outside` if it stays below."""
    if excess(outside) <= 0:
        return outside
    if excess(inside) >= 0:
        return inside
    return float(brentq(excess, inside, outside, xtol=1e-10))


def _estimate(units: _Units, decisions: int, disagreements: int) -> float | None:
    if not disagreements:
        return 0.0 if decisions else None
    if not units.labels or units.total_slope <= 0:
        return None
    mean = min(1.0, max(-1.0, units.total / units.total_slope))
    return disagreements / decisions * mean


def _verdict(lower: float, upper: float, margin: float) -> Verdict:
    if lower > -margin:
        return "non_inferior"
    return "inferior" if upper < -margin else "undecided"


def _times_log(count: float, p: float) -> float:
    if not count:
        return 0.0
    return count * log(p) if p > 0 else -inf


def _check_plan(decisions: int, disagreements: int, margin: float, alpha: float) -> None:
    if not 0 <= disagreements <= decisions:
        raise CountError(
            f"Disagreements must be between 0 and the {decisions} decisions; got {disagreements}."
        )
    if not 0 <= margin < 1:
        raise MarginError(f"The margin must be at least 0 and below 1; got {margin}.")
    if not 0 < alpha < 1:
        raise LevelError(f"Alpha must be between 0 and 1; got {alpha}.")


def _check_pairs(pairs: _Pairs, disagreements: int) -> None:
    if pairs.drawn > disagreements:
        raise CountError(
            f"{pairs.drawn} labels cannot come from {disagreements} disagreements. Count all"
            " disagreements of the traffic that the pairs were drawn from."
        )
    for name, odds in (("odds", pairs.odds), ("asked", pairs.asked)):
        if not ((odds > 0) & (odds <= 1)).all():
            raise GradeError(f"'{name}' must be above 0 and at most 1; got {_first_odd(odds)}.")
    for name, grades in (("difference", pairs.difference), ("judge", pairs.judge)):
        if (np.abs(grades) > 1).any():
            worst = float(np.nanmax(np.abs(grades)))
            raise GradeError(f"'{name}' must be between -1 and 1; got one of size {worst:g}.")
    if (pairs.skipped & ~np.isnan(pairs.difference)).any():
        raise GradeError("A skipped pair has no difference. Remove one of the two.")
    weights = pairs.odds * pairs.asked
    if weights.size and weights.max() > WEIGHT_RATIO * weights.min() * (1 + 1e-9):
        raise GradeError(
            f"Weights may differ at most {WEIGHT_RATIO:g}-fold: odds times asked range from"
            f" {weights.min():g} to {weights.max():g}. Raise the sampling floor."
        )


def _first_odd(odds: Floats) -> float:
    return float(odds[~((odds > 0) & (odds <= 1))][0])
