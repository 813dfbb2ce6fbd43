"""Summaries of outcome sets: size, domains, quality, cost, overlap with training data."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from django.core.cache import cache
from django.db.models import Avg, Count, Q

from experiments.decisions.unit_totals import QUALITY
from experiments.lab.rated_decisions import PRODUCTION
from experiments.models import Feedback, OutcomeSet, RecordedOutcome, Router
from experiments.routers.checkpoints import SHIPPED, prompt_hashes, read_prompt_hashes
from experiments.routers.local import KIND as LOCAL
from experiments.routers.local import shipped_folder
from experiments.storage.lab_files import with_local_paths

MOST_HASHED = 20_000
REMEMBERED_SECONDS = 86_400


class Overlap(NamedTuple):
    """The share of a set in a router's training data; None if its checkpoint does not record it."""

    router: str
    share: float | None


class SetLine(NamedTuple):
    """Means over the set's rows. Costs are nano-dollars a prompt, None unless all are known;
    `computed` is in how many rows one follows from tokens and prices."""

    name: str
    source: str
    origin: str
    rows: int
    domains: tuple[tuple[str, int], ...]
    strong_model: str
    weak_model: str
    strong: float | None
    weak: float | None
    strong_cost: float | None
    weak_cost: float | None
    computed: int
    overlaps: tuple[Overlap, ...]

    @property
    def pays_to_ask(self) -> bool:
        return self.strong is not None and self.weak is not None and self.strong > self.weak


class RatedLine(NamedTuple):
    """The set of rated decisions."""

    name: str
    rows: int
    strong: int
    weak: int


def outcome_sets() -> list[SetLine]:
    """Every kept set, newest change first: two queries, and one more for an overlap that is not
    remembered yet."""
    rows = OutcomeSet.objects.annotate(
        size=Count("rows"),
        strong=Avg("rows__strong_score"),
        weak=Avg("rows__weak_score"),
        strong_cost=Avg("rows__strong_cost"),
        weak_cost=Avg("rows__weak_cost"),
        computed=Count(
            "rows", filter=Q(rows__strong_cost_computed=True) | Q(rows__weak_cost_computed=True)
        ),
        priced=Count("rows", filter=~Q(rows__strong_cost=None) & ~Q(rows__weak_cost=None)),
    ).order_by("-updated_at")
    domains = _domains()
    routers = list(Router.objects.filter(kind__in=("local", "local_mf", "knn", "linear")))
    return [
        SetLine(
            name=row.name,
            source=row.get_source_display(),
            origin=row.origin,
            rows=row.size,
            domains=tuple(domains.get(row.pk, ())),
            strong_model=row.strong_model or "strong",
            weak_model=row.weak_model or "weak",
            strong=row.strong,
            weak=row.weak,
            strong_cost=row.strong_cost if row.priced == row.size else None,
            weak_cost=row.weak_cost if row.priced == row.size else None,
            computed=row.computed,
            overlaps=overlaps(row, routers),
        )
        for row in rows
    ]


def rated_line() -> RatedLine:
    """Counted by tier, without weights: the evaluation computes them."""
    rated = Feedback.objects.filter(
        metric=QUALITY,
        decision__propensity__gt=0,
        decision__fallback="",
        decision__tier__in=("strong", "weak"),
    )
    counts = dict(
        rated.values_list("decision__tier").annotate(n=Count("decision_id", distinct=True))
    )
    strong, weak = counts.get("strong", 0), counts.get("weak", 0)
    return RatedLine(PRODUCTION, strong + weak, strong, weak)


def overlaps(outcome_set: OutcomeSet, routers: Sequence[Router]) -> tuple[Overlap, ...]:
    return tuple(
        Overlap(row.name, _share(outcome_set, _folder(row), row.checkpoint)) for row in routers
    )


def overlap_with(outcome_set: OutcomeSet, router: Router) -> float | None:
    return _share(outcome_set, _folder(router), router.checkpoint)


def _folder(router: Router) -> Path:
    path = with_local_paths(router.arguments).get("checkpoint_path")
    if path:
        return Path(path)
    return shipped_folder(router.checkpoint) if router.kind == LOCAL else SHIPPED / router.kind


def _share(outcome_set: OutcomeSet, folder: Path, checkpoint: str) -> float | None:
    """Of the set's first 20,000 prompts; remembered until the set changes."""
    if outcome_set.name == PRODUCTION:
        return None
    key = f"overlap:{outcome_set.pk}:{outcome_set.updated_at.timestamp()}:{checkpoint[:32]}"
    kept = cache.get(key)
    if kept is not None:
        return None if kept < 0 else float(kept)
    trained_on = read_prompt_hashes(folder)
    found = -1.0
    if trained_on is not None:
        rows = RecordedOutcome.objects.filter(outcome_set=outcome_set).exclude(prompt="")
        prompts = rows.order_by("id").values_list("prompt", flat=True)[:MOST_HASHED]
        seen = prompt_hashes(prompts.iterator(chunk_size=2_000))
        found = float(np.isin(seen, trained_on).mean()) if len(seen) else -1.0
    cache.set(key, found, REMEMBERED_SECONDS)
    return None if found < 0 else found


def _domains() -> dict[int, list[tuple[str, int]]]:
    counted = RecordedOutcome.objects.values_list("outcome_set", "domain").annotate(n=Count("id"))
    found: dict[int, list[tuple[str, int]]] = {}
    for set_id, domain, count in counted.order_by("outcome_set", "-n"):
        found.setdefault(set_id, []).append((domain or "none named", count))
    return found
