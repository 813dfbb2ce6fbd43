"""Cost and rated quality of every domain and arm, with the random router's line.

The line's ends are the ratings of always strong and always weak, so it needs decisions of both
policies, as arms of an experiment or as a domain's policy. The two tiers under a router cannot
replace them, because the router sends them different prompts.
"""

from collections.abc import Iterable
from math import sqrt
from typing import Literal, NamedTuple

from experiments.analysis.ratings import Z95, Estimate, mean_rating
from experiments.analytics.chart_rows import PlanePoint, RandomBaseline
from experiments.analytics.traffic import MIN_DRAWN, MIN_FILLED
from experiments.core.policy import Method
from experiments.decisions.rollup_queries import RollupSums, Span, rolled_up, total

MICRO = 1_000
COLUMNS = ("decisions", "priced", "cost", "cost_squares", "paired", "strong_cost", "weak_cost")
RATED = ("quality", "quality_squares", "rated")


class Ends(NamedTuple):
    """Cost and ratings of always strong and always weak in one domain."""

    line: RandomBaseline
    strong: Estimate
    weak: Estimate


class Place(NamedTuple):
    """One point. `gap` is its quality minus the random router's at the same cost, if known.

    `is_end`: an arm that is always weak or always strong, and so an end of the line.
    """

    point: PlanePoint
    domain: str
    gap: Estimate | None
    experiment: str = ""
    arm: str = ""
    is_end: bool = False

    @property
    def above_random(self) -> bool:
        """Significantly better than the random router; False for the ends of the line."""
        enough = self.point.rated >= self.point.minimum
        return enough and not self.is_end and self.gap is not None and self.gap.low > 0


class Plane(NamedTuple):
    """`unrated` names, for a domain without a line, the policies that lack ratings."""

    domains: tuple[Place, ...]
    arms: tuple[Place, ...]
    baselines: tuple[RandomBaseline, ...]
    unrated: dict[str, tuple[Method, ...]]

    @property
    def below(self) -> tuple[Place, ...]:
        return tuple(place for place in (*self.domains, *self.arms) if place.point.below_random)

    @property
    def above(self) -> tuple[Place, ...]:
        return tuple(place for place in (*self.domains, *self.arms) if place.above_random)


class _Group(NamedTuple):
    domain: str
    experiment: str
    arm: str
    method: str
    sums: RollupSums


def plane(span: Span, domain: str = "", experiment: str = "") -> Plane:
    """One query."""
    lines = rolled_up(
        span, "domain", "experiment", "arm", "method", domain=domain, only=(*COLUMNS, *RATED)
    )
    groups = [_Group(name, key, arm, method, sums) for (name, key, arm, method), sums in lines]
    ends = {name: found for name in _names(groups) if (found := _ends(name, groups))}
    arms = sorted({(one.domain, one.experiment, one.arm) for one in groups if one.arm})
    return Plane(
        domains=tuple(
            _place(name, "domain", name, _of(groups, name), ends.get(name))
            for name in _names(groups)
        ),
        arms=tuple(
            _place(
                f"{key}: {arm}", "arm", name, _of(groups, name, key, arm), ends.get(name)
            )._replace(experiment=key, arm=arm, is_end=_is_end(name, key, arm, groups))
            for name, key, arm in arms
            if not experiment or key == experiment
        ),
        baselines=tuple(one.line for one in ends.values()),
        unrated={name: _unrated(name, groups) for name in _names(groups) if name not in ends},
    )


def _names(groups: Iterable[_Group]) -> list[str]:
    return sorted({one.domain for one in groups})


def _of(groups: Iterable[_Group], domain: str, experiment: str = "", arm: str = "") -> RollupSums:
    return total(
        one.sums
        for one in groups
        if one.domain == domain and (not arm or (one.experiment, one.arm) == (experiment, arm))
    )


def _is_end(name: str, experiment: str, arm: str, groups: Iterable[_Group]) -> bool:
    methods = {
        one.method
        for one in groups
        if (one.domain, one.experiment, one.arm) == (name, experiment, arm)
    }
    return methods <= {Method.ALWAYS_WEAK, Method.ALWAYS_STRONG}


def _unrated(name: str, groups: Iterable[_Group]) -> tuple[Method, ...]:
    rows = [one for one in groups if one.domain == name]
    return tuple(
        method
        for method in (Method.ALWAYS_WEAK, Method.ALWAYS_STRONG)
        if total(one.sums for one in rows if one.method == method).rated < MIN_FILLED
    )


def _ends(name: str, groups: Iterable[_Group]) -> Ends | None:
    rows = [one for one in groups if one.domain == name]
    everything = total(one.sums for one in rows)
    strong = total(one.sums for one in rows if one.method == Method.ALWAYS_STRONG)
    weak = total(one.sums for one in rows if one.method == Method.ALWAYS_WEAK)
    if not everything.paired or min(strong.rated, weak.rated) < MIN_FILLED:
        return None
    dear, cheap = mean_rating(strong.ratings), mean_rating(weak.ratings)
    if dear is None or cheap is None:
        return None
    line = RandomBaseline(
        name=name,
        weak_cost=round(1000 * everything.weak_cost / everything.paired),
        weak_quality=cheap.value,
        strong_cost=round(1000 * everything.strong_cost / everything.paired),
        strong_quality=dear.value,
    )
    return Ends(line, dear, cheap)


def _place(
    name: str, kind: Literal["domain", "arm"], domain: str, sums: RollupSums, ends: Ends | None
) -> Place:
    cost = cost_per_thousand(sums)
    quality = mean_rating(sums.ratings) if sums.rated >= MIN_DRAWN else None
    gap = _gap(cost.value, quality, ends) if cost and quality and ends else None
    spent = cost or Estimate(0.0, 0.0, 0.0)
    rated, low, high = quality or (None, None, None)
    point = PlanePoint(
        name=name,
        kind=kind,
        cost=round(spent.value),
        cost_low=round(spent.low),
        cost_high=round(spent.high),
        quality=rated,
        quality_low=low,
        quality_high=high,
        rated=sums.rated,
        minimum=MIN_FILLED,
        below_random=gap is not None and gap.high < 0 and sums.rated >= MIN_FILLED,
    )
    return Place(point, domain, gap)


def cost_per_thousand(sums: RollupSums) -> Estimate | None:
    """Nano-dollars per 1,000 priced requests with a 95 % interval; None without any."""
    n = sums.priced
    if not n:
        return None
    mean = sums.cost / n
    squares = sums.cost_squares * MICRO**2 / n
    half = Z95 * sqrt(max(0.0, squares - mean * mean) / n)
    return Estimate(1000 * mean, max(0.0, 1000 * (mean - half)), 1000 * (mean + half))


def _gap(cost: float, own: Estimate, ends: Ends) -> Estimate | None:
    """Includes the error of all three means; None if the strong model is not more expensive."""
    line = ends.line
    if line.strong_cost <= line.weak_cost:
        return None
    share = min(1.0, max(0.0, (cost - line.weak_cost) / (line.strong_cost - line.weak_cost)))
    value = own.value - (share * ends.strong.value + (1 - share) * ends.weak.value)
    half = sqrt(
        _half(own) ** 2 + (share * _half(ends.strong)) ** 2 + ((1 - share) * _half(ends.weak)) ** 2
    )
    return Estimate(value, value - half, value + half)


def _half(estimate: Estimate) -> float:
    """Half an interval's width; if one end is cut off at 0 or 1, the distance to the other end."""
    return max(estimate.high - estimate.value, estimate.value - estimate.low)
