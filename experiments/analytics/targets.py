"""What a domain aims at, what share the strong model got, and how its threshold moved."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db.models import F
from django.db.models.functions import Mod

from experiments.analysis.routing.router_evaluation import wilson
from experiments.core.policy import Method, PolicyDomain
from experiments.core.values import share_of_target
from experiments.decisions.rollup_queries import Span, rolled_up
from experiments.models import ThresholdTable

ENOUGH = 30
MOST_POINTS = 300
PAIR = ("strong", "weak")


class RealizedShare(NamedTuple):
    """How many decisions a router made, and how many of them the strong model got. `low` and `high`
    are Wilson's 95 % bounds."""

    decisions: int
    strong: int

    @property
    def share(self) -> float | None:
        return self.strong / self.decisions if self.decisions else None

    @property
    def bounds(self) -> tuple[float, float] | None:
        if self.decisions < ENOUGH:
            return None
        low, high = wilson(self.strong / self.decisions, self.decisions)
        return low, high


class RealizedPoint(NamedTuple):
    at: datetime
    realized: RealizedShare


class ThresholdPoint(NamedTuple):
    """A table: from when on it counts, its threshold, and whose scores it is from."""

    at: datetime
    number: int
    threshold: float
    basis: str
    jumped: bool


class TargetReport(NamedTuple):
    """One domain in one span. `target` is the strong share that the threshold follows."""

    target: float | None
    realized: RealizedShare
    shares: tuple[RealizedPoint, ...]
    thresholds: tuple[ThresholdPoint, ...]
    moves: int


def target_report(domain: PolicyDomain, span: Span) -> TargetReport:
    """Three queries. Decisions of experiments, and those that no router made, do not count."""
    lines = rolled_up(
        span, "at", "experiment", "method", "tier", domain=domain.name, only=["decisions"]
    )
    by_bucket: dict[datetime, dict[str, int]] = {}
    for line in lines:
        at, experiment, method, tier = line.key
        if experiment == "" and method == Method.ROUTELLM and tier in PAIR:
            counts = by_bucket.setdefault(at, dict.fromkeys(PAIR, 0))
            counts[tier] += line.sums.decisions
    shares = [RealizedPoint(at, _realized([counts])) for at, counts in sorted(by_bucket.items())]
    moves, thresholds = _thresholds(domain, span)
    return TargetReport(
        target=domain.policy.target_share,
        realized=_realized(list(by_bucket.values())),
        shares=tuple(shares),
        thresholds=tuple(thresholds),
        moves=moves,
    )


def _realized(counts: Sequence[Mapping[str, int]]) -> RealizedShare:
    strong = sum(one["strong"] for one in counts)
    return RealizedShare(strong + sum(one["weak"] for one in counts), strong)


def _thresholds(domain: PolicyDomain, span: Span) -> tuple[int, list[ThresholdPoint]]:
    """The moves of the checkpoint that moved last: how many, and at most 300 of them, evenly
    spaced. Two queries."""
    share, router = domain.policy.target_share, domain.policy.router or ""
    if share is None:
        return 0, []
    rows = ThresholdTable.objects.filter(domain=domain.name, router=router)
    last = rows.filter(at__lt=span.until).order_by("-at").first()
    if last is None:
        return 0, []
    rows = rows.filter(checkpoint=last.checkpoint, at__gte=span.since, at__lt=span.until)
    moves = rows.count()
    every = -(-moves // MOST_POINTS) or 1
    some = rows.annotate(place=Mod(F("number"), every)).filter(place=last.number % every)
    points = (_point(row, share_of_target(share)) for row in some.order_by("number"))
    return moves, [one for one in points if one is not None]


def _point(row: ThresholdTable, share: float) -> ThresholdPoint | None:
    cut = row.as_table().cuts.get(share)
    if cut is None:
        return None
    return ThresholdPoint(row.at, row.number, cut.threshold, row.basis, row.jump is not None)
