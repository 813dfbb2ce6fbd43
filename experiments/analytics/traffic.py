"""Cost, savings and quality of routing, by domain and over time. Reads roll-ups only.

A saving compares the cost of decisions with a baseline's cost for the same ones. Always
strong and always weak include every decision whose pair has prices; the random
router sends as many prompts of a domain to the strong model as routing did, of those that the pair
answered.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import date, datetime
from enum import StrEnum
from math import ceil
from typing import NamedTuple, TypeVar

from experiments.analysis.ratings import Estimate, difference, mean_rating
from experiments.analytics.chart_rows import CostDay, QualityPoint, Tier
from experiments.decisions.rollup_queries import RollupSums, Span, rolled_up, total

MIN_RATED = 100
"""The fewest ratings of each tier for a statement about quality."""
MIN_DRAWN, MIN_FILLED = 10, 30
"""Ratings of a mark in a chart: with fewer than the first no mark, than the second a hollow one."""
MOST_MERGED, FEWEST_POINTS = 7, 4
"""How many buckets one point of a chart may cover, and how many points must remain."""
TOLERANCE = 0.05
"""How much lower the weak model's answers may be rated while quality counts as maintained."""

STRONG, WEAK = "strong", "weak"
PAIR = (STRONG, WEAK)
TIERS: tuple[Tier, ...] = ("strong", "weak", "selected")
Key = TypeVar("Key", bound=Hashable)


class Baseline(StrEnum):
    ALWAYS_STRONG = "always_strong"
    ALWAYS_WEAK = "always_weak"
    RANDOM = "random"


class CostComparison(NamedTuple):
    """The cost of the same decisions as made and under the baseline. Nano-dollars."""

    decisions: int = 0
    cost: int = 0
    baseline: int = 0

    @property
    def saving(self) -> int:
        return self.baseline - self.cost

    @property
    def share(self) -> float | None:
        """The saving as a share of the baseline."""
        return self.saving / self.baseline if self.baseline else None


class QualityStatus(StrEnum):
    """Whether the weak model's answers are rated about as well as the strong model's."""

    YES = "held"
    NO = "fell"
    UNCLEAR = "unclear"
    TOO_FEW = "too few"
    NOT_ROUTED = "not routed"


class Quality(NamedTuple):
    """Ratings of answers in one domain or in all."""

    held: QualityStatus
    mean: Estimate | None
    gap: Estimate | None
    rated: int
    scarcer: int
    """Ratings of the tier that has fewer."""


class DomainTraffic(NamedTuple):
    """One domain in one span. `costs` is cost per 1,000 in each bucket, None without traffic."""

    name: str
    sums: RollupSums
    tiers: Mapping[str, RollupSums]
    compared: CostComparison
    random: CostComparison
    quality: Quality
    costs: tuple[float | None, ...]

    @property
    def strong_share(self) -> float | None:
        return strong_share(self.tiers)


class Traffic(NamedTuple):
    """The data of the overview page, from one query."""

    span: Span
    baseline: Baseline
    sums: RollupSums
    tiers: Mapping[str, RollupSums]
    compared: CostComparison
    random: CostComparison
    domains: tuple[DomainTraffic, ...]
    days: tuple[CostDay, ...]
    quality: tuple[QualityPoint, ...]

    @property
    def strong_share(self) -> float | None:
        return strong_share(self.tiers)


class _Bucket(NamedTuple):
    at: datetime
    domain: str
    tier: str
    sums: RollupSums


def traffic(span: Span, baseline: Baseline, domain: str = "") -> Traffic:
    """One query, whatever the number of decisions."""
    lines = rolled_up(span, "at", "domain", "tier", domain=domain)
    buckets = [_Bucket(at, name, tier, sums) for (at, name, tier), sums in lines]
    by_domain = _grouped(buckets, lambda one: one.domain)
    shares = {name: random_share(_by_tier(rows)) for name, rows in by_domain.items()}
    domains = tuple(
        _domain(name, rows, span, baseline, shares[name]) for name, rows in by_domain.items()
    )
    return Traffic(
        span=span,
        baseline=baseline,
        sums=total(line.sums for line in lines),
        tiers=_by_tier(buckets),
        compared=_sum(one.compared for one in domains),
        random=_sum(one.random for one in domains),
        domains=tuple(sorted(domains, key=lambda one: (-one.sums.decisions, one.name))),
        days=cost_over_time(buckets, span, baseline, shares),
        quality=quality_over_time(buckets, span),
    )


def random_share(tiers: Mapping[str, RollupSums]) -> float:
    """The share of prompts that went to the strong model, of those that can be compared."""
    paired = {tier: tiers[tier].paired for tier in PAIR if tier in tiers}
    count = sum(paired.values())
    return paired.get(STRONG, 0) / count if count else 0.0


def compare(tiers: Mapping[str, RollupSums], baseline: Baseline, share: float) -> CostComparison:
    """`share` is the random router's strong share; other baselines ignore it."""
    if baseline is Baseline.RANDOM:
        sums = total(tiers[tier] for tier in PAIR if tier in tiers)
    else:
        sums = total(tiers.values())
        share = 1.0 if baseline is Baseline.ALWAYS_STRONG else 0.0
    other = round(share * sums.strong_cost + (1 - share) * sums.weak_cost)
    return CostComparison(sums.paired, sums.paired_cost, other)


def strong_share(tiers: Mapping[str, RollupSums]) -> float | None:
    """The strong model's share of decisions answered by a routed pair."""
    counts = {tier: tiers[tier].decisions for tier in PAIR if tier in tiers}
    count = sum(counts.values())
    return counts.get(STRONG, 0) / count if count else None


def quality_of(tiers: Mapping[str, RollupSums]) -> Quality:
    """Whether quality was maintained, from the ratings of both tiers."""
    everything = total(tiers.values())
    strong, weak = tiers.get(STRONG, RollupSums()), tiers.get(WEAK, RollupSums())
    scarcer = min(strong.rated, weak.rated)
    mean, gap = mean_rating(everything.ratings), difference(weak.ratings, strong.ratings)
    if not strong.decisions or not weak.decisions:
        held = QualityStatus.NOT_ROUTED
    elif scarcer < MIN_RATED or gap is None:
        held = QualityStatus.TOO_FEW
    elif gap.low >= -TOLERANCE:
        held = QualityStatus.YES
    elif gap.high < -TOLERANCE:
        held = QualityStatus.NO
    else:
        held = QualityStatus.UNCLEAR
    return Quality(held, mean, gap, everything.rated, scarcer)


def cost_over_time(
    buckets: Iterable[_Bucket], span: Span, baseline: Baseline, shares: Mapping[str, float]
) -> tuple[CostDay, ...]:
    """Cost by tier in each bucket, and the baseline's for the same decisions."""
    at = _grouped(buckets, lambda one: one.at)
    return tuple(
        _cost(
            moment.date() if span.step == "day" else moment,
            at.get(moment, []),
            baseline,
            shares,
        )
        for moment in span.instants()
    )


def _cost(
    at: date, rows: list[_Bucket], baseline: Baseline, shares: Mapping[str, float]
) -> CostDay:
    tiers = _by_tier(rows)
    compared = _sum(
        compare(_by_tier(group), baseline, shares[name])
        for name, group in _grouped(rows, lambda one: one.domain).items()
    )
    counted = PAIR if baseline is Baseline.RANDOM else TIERS
    costs = {
        tier: tiers.get(tier, RollupSums()).paired_cost if tier in counted else 0 for tier in TIERS
    }
    return CostDay(
        at, **costs, baseline=compared.baseline, requests=sum(row.sums.decisions for row in rows)
    )


def quality_over_time(buckets: Iterable[_Bucket], span: Span) -> tuple[QualityPoint, ...]:
    """Points at intervals at which most have enough ratings for a filled mark."""
    rows = list(buckets)
    starts = _starts(rows, span)
    groups: defaultdict[tuple[str, datetime], list[RollupSums]] = defaultdict(list)
    for row in rows:
        groups[row.tier, starts[bisect_right(starts, row.at) - 1]].append(row.sums)
    present = {tier for tier, _ in groups}
    return tuple(
        _point(at, tier, total(groups.get((tier, at), [])))
        for tier in TIERS
        if tier in present
        for at in starts
    )


def _starts(rows: Iterable[_Bucket], span: Span) -> list[datetime]:
    """Every bucket of the axis if ratings suffice, else every second, third, … or seventh."""
    instants = span.instants()
    rated = total(row.sums for row in rows if row.tier in PAIR).rated / len(PAIR)
    widest = max(1, min(MOST_MERGED, len(instants) // FEWEST_POINTS))
    wanted = ceil(MIN_FILLED * len(instants) / rated) if rated else 1
    return instants[:: min(wanted, widest)]


def _point(at: datetime, tier: Tier, sums: RollupSums) -> QualityPoint:
    estimate = mean_rating(sums.ratings) if sums.rated >= MIN_DRAWN else None
    mean, low, high = estimate or (None, None, None)
    return QualityPoint(at, tier, mean, low, high, sums.rated, MIN_FILLED)


def per_thousand(cost: int, decisions: int) -> int | None:
    """Nano-dollars per 1,000 requests; None without any."""
    return round(1000 * cost / decisions) if decisions else None


def _domain(
    name: str, rows: list[_Bucket], span: Span, baseline: Baseline, share: float
) -> DomainTraffic:
    tiers = _by_tier(rows)
    groups = _grouped(rows, lambda one: one.at)
    costs = (total(row.sums for row in groups.get(at, [])) for at in span.instants())
    return DomainTraffic(
        name=name,
        sums=total(row.sums for row in rows),
        tiers=tiers,
        compared=compare(tiers, baseline, share),
        random=compare(tiers, Baseline.RANDOM, share),
        quality=quality_of(tiers),
        costs=tuple(sums.cost / sums.priced if sums.priced else None for sums in costs),
    )


def _by_tier(rows: Iterable[_Bucket]) -> dict[str, RollupSums]:
    groups = _grouped(rows, lambda one: one.tier)
    return {tier: total(row.sums for row in group) for tier, group in groups.items()}


def _grouped(rows: Iterable[_Bucket], by: Callable[[_Bucket], Key]) -> dict[Key, list[_Bucket]]:
    groups: defaultdict[Key, list[_Bucket]] = defaultdict(list)
    for row in rows:
        groups[by(row)].append(row)
    return dict(groups)


def _sum(comparisons: Iterable[CostComparison]) -> CostComparison:
    columns = zip(*comparisons, strict=True)
    return CostComparison(*map(sum, columns))
