"""Results of shadow calls: the judge's verdicts, their cost, and their agreement with people's
ratings."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.db import models
from django.db.models import Case, Count, ExpressionWrapper, F, FloatField, Q, Sum, Value, When

from experiments.analysis.agreement import Agreement, agreement, proportion
from experiments.analysis.ratings import Estimate, Ratings, mean_rating
from experiments.core.sources import JUDGES
from experiments.decisions.rollup_queries import Span
from experiments.models import Domain, Feedback, OwnCall, ShadowPair

QUALITY = "quality"
NEWEST = 20
_Status = ShadowPair.PairStatus


class DomainPairs(NamedTuple):
    """One domain's pairs. `preference` is the strong model's; a tie counts half."""

    name: str
    share: float
    storage: str
    pairs: int
    waiting: int
    strong: int
    ties: int
    weak: int
    without: int
    preference: Estimate | None

    @property
    def judged(self) -> int:
        return self.strong + self.ties + self.weak


class OwnCost(NamedTuple):
    """Calls of one purpose. Money in nano-dollars; sums exclude `unpriced` calls."""

    purpose: str
    calls: int
    failed: int
    tokens: int
    cost: int
    unpriced: int


class Ended(NamedTuple):
    """How many pairs ended without a verdict, by reason."""

    status: str
    detail: str
    pairs: int


class Judging(NamedTuple):
    domains: tuple[DomainPairs, ...]
    costs: tuple[OwnCost, ...]
    agreement: Agreement
    first_named: Estimate | None
    without: tuple[Ended, ...]
    newest: tuple[ShadowPair, ...]

    @property
    def judged(self) -> int:
        return sum(one.judged for one in self.domains)

    @property
    def cost(self) -> int:
        return sum(one.cost for one in self.costs)


def judging(span: Span, domain: str = "") -> Judging:
    """Always seven queries."""
    when = {"created_at__gte": span.since, "created_at__lt": span.until}
    pairs = ShadowPair.objects.filter(**when)
    calls = OwnCall.objects.filter(
        pair__created_at__gte=span.since, pair__created_at__lt=span.until
    )
    ratings = Feedback.objects.filter(
        decision__shadow__created_at__gte=span.since, decision__shadow__created_at__lt=span.until
    )
    if domain:
        pairs = pairs.filter(domain=domain)
        calls = calls.filter(pair__domain=domain)
        ratings = ratings.filter(decision__domain=domain)
    return Judging(
        domains=_domains(pairs, domain),
        costs=_costs(calls),
        agreement=_agreement(ratings),
        first_named=_first_named(calls),
        without=_without(pairs),
        newest=tuple(pairs.select_related("decision").order_by("-created_at")[:NEWEST]),
    )


def _when(span: Span, path: str = "") -> Q:
    return Q((f"{path}created_at__gte", span.since), (f"{path}created_at__lt", span.until))


def measuring_cost(since: datetime, until: datetime, domain: str = "") -> int:
    """Nano-dollars of Switchyard's own calls: shown next to savings, never included in them."""
    calls = OwnCall.objects.filter(started_at__gte=since, started_at__lt=until)
    if domain:
        calls = calls.filter(pair__domain=domain)
    return int(calls.aggregate(cost=Sum("cost"))["cost"] or 0)


def _domains(pairs: "models.QuerySet[ShadowPair]", only: str) -> tuple[DomainPairs, ...]:
    strong = Case(
        When(model=F("decision__strong_model"), then=F("preference")),
        default=ExpressionWrapper(Value(1.0) - F("preference"), FloatField()),
        output_field=FloatField(),
    )
    rows = (
        pairs.annotate(for_strong=strong)
        .values("domain")
        .annotate(
            pairs=Count("pk"),
            waiting=Count("pk", filter=Q(status__in=ShadowPair.OPEN)),
            strong=Count("pk", filter=Q(for_strong__gt=0.5)),
            ties=Count("pk", filter=Q(for_strong=0.5)),
            weak=Count("pk", filter=Q(for_strong__lt=0.5)),
            total=Sum("for_strong"),
            squares=Sum(F("for_strong") * F("for_strong")),
        )
    )
    found = {row["domain"]: row for row in rows}
    known = {row.name: row for row in Domain.objects.all()}
    names = {*found, *(name for name, row in known.items() if row.shadow_share)}
    return tuple(
        _domain(name, known.get(name), found.get(name) or {})
        for name in sorted(names)
        if not only or name == only
    )


def _domain(name: str, row: Domain | None, found: Mapping[str, Any]) -> DomainPairs:
    strong, ties, weak = (int(found.get(key, 0)) for key in ("strong", "ties", "weak"))
    pairs, waiting = int(found.get("pairs", 0)), int(found.get("waiting", 0))
    judged = strong + ties + weak
    sums = Ratings(found.get("total") or 0.0, found.get("squares") or 0.0, judged)
    return DomainPairs(
        name=name,
        share=row.shadow_share if row else 0.0,
        storage=row.prompt_storage if row else "",
        pairs=pairs,
        waiting=waiting,
        strong=strong,
        ties=ties,
        weak=weak,
        without=pairs - waiting - judged,
        preference=mean_rating(sums),
    )


def _costs(calls: "models.QuerySet[OwnCall]") -> tuple[OwnCost, ...]:
    rows = calls.values("purpose").annotate(
        calls=Count("pk"),
        failed=Count("pk", filter=~Q(status="ok")),
        tokens=Sum(F("input_tokens") + F("output_tokens")),
        spent=Sum("cost"),
        unpriced=Count("pk", filter=Q(cost__isnull=True)),
    )
    found = {row["purpose"]: row for row in rows}
    return tuple(
        OwnCost(
            OwnCall.Purpose(purpose).label,
            found[purpose]["calls"],
            found[purpose]["failed"],
            found[purpose]["tokens"] or 0,
            found[purpose]["spent"] or 0,
            found[purpose]["unpriced"],
        )
        for purpose in OwnCall.Purpose.values
        if purpose in found
    )


def _agreement(ratings: "models.QuerySet[Feedback]") -> Agreement:
    """People's mean rating of each judged decision, compared with the verdict."""
    rows = ratings.filter(metric=QUALITY, decision__shadow__preference__isnull=False)
    people: dict[object, list[float]] = defaultdict(list)
    verdicts: dict[object, float] = {}
    for decision, value, verdict in rows.exclude(source__iregex=JUDGES).values_list(
        "decision_id", "value", "decision__shadow__preference"
    ):
        if verdict is not None:
            people[decision].append(value)
            verdicts[decision] = verdict
    return agreement((sum(all_) / len(all_), verdicts[key]) for key, all_ in people.items())


def _first_named(calls: "models.QuerySet[OwnCall]") -> Estimate | None:
    """The share of verdicts, without ties, for the answer that was read first."""
    given, other = OwnCall.Winner.GIVEN, OwnCall.Winner.OTHER
    counts = calls.filter(winner__in=[given, other]).aggregate(
        n=Count("pk"),
        first=Count(
            "pk", filter=Q(winner=given, given_first=True) | Q(winner=other, given_first=False)
        ),
    )
    return proportion(counts["first"], counts["n"])


def _without(pairs: "models.QuerySet[ShadowPair]") -> tuple[Ended, ...]:
    rows = pairs.exclude(status__in=[_Status.JUDGED, *ShadowPair.OPEN])
    counted = rows.values("status", "detail").annotate(pairs=Count("pk")).order_by("-pairs")
    return tuple(
        Ended(_Status(row["status"]).label, row["detail"], row["pairs"]) for row in counted[:8]
    )
