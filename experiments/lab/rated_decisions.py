"""Rated decisions of production as an outcome set: one model's answer is known per prompt.

It includes only decisions whose rating can be weighted: a model of the pair was intended and
answered, and its propensity was stored. People's ratings take precedence over judges'; ratings of
the same kind are averaged.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

import numpy as np

from experiments.decisions.unit_totals import QUALITY, combined_rating
from experiments.lab.columns import OutcomeColumns, RouterInputs
from experiments.models import Decision, Feedback
from experiments.models.sums import FIXED_POINT

PRODUCTION = "production-ratings"
_CHUNK = 500


class RatedDecision(NamedTuple):
    """One decision and the rating of its answer in [0, 1]."""

    decision: Decision
    quality: float


def rated_columns(*, with_inputs: bool) -> OutcomeColumns:
    rows = list(rated_decisions(with_inputs=with_inputs))
    is_strong = np.array([row.decision.model == row.decision.strong_model for row in rows], bool)
    quality = np.array([row.quality for row in rows], dtype=np.float64)
    return OutcomeColumns(
        name=PRODUCTION,
        ids=np.array([str(row.decision.pk) for row in rows], dtype=object),
        strong=np.where(is_strong, quality, np.nan),
        weak=np.where(is_strong, np.nan, quality),
        strong_cost=_costs(row.decision.cost_strong for row in rows),
        weak_cost=_costs(row.decision.cost_weak for row in rows),
        domains=np.array([row.decision.domain for row in rows], dtype=object),
        groups=np.array([row.decision.unit_hash for row in rows], dtype=object),
        propensity=np.array([row.decision.propensity for row in rows], dtype=np.float64),
        by_unit=True,
        inputs=_inputs([row.decision for row in rows]) if with_inputs else None,
    )


def rated_decisions(*, with_inputs: bool) -> Iterator[RatedDecision]:
    """Oldest first, a few hundred in memory at a time."""
    found = Feedback.objects.filter(
        metric=QUALITY,
        value__gte=0,
        value__lte=1,
        decision__propensity__gt=0,
        decision__fallback="",
        decision__tier__in=("strong", "weak"),
    ).order_by("decision_id")
    ratings = found.only("decision_id", "source", "value").iterator(chunk_size=2000)
    by_decision = groupby(ratings, key=attrgetter("decision_id"))
    qualities = (
        (pk, value / FIXED_POINT)
        for pk, those in by_decision
        if (value := combined_rating(those)) is not None
    )
    while chunk := dict(islice(qualities, _CHUNK)):
        yield from _with_decisions(chunk, with_inputs)


def _with_decisions(qualities: dict[UUID, float], with_inputs: bool) -> Iterator[RatedDecision]:
    decisions = Decision.objects.filter(pk__in=qualities).order_by("pk")
    if not with_inputs:
        decisions = decisions.defer("text", "detail")
    for decision in decisions:
        yield RatedDecision(decision, qualities[decision.pk])


def _inputs(decisions: Sequence[Decision]) -> RouterInputs:
    kept = [decision.detail.get("features") or {} for decision in decisions]
    return RouterInputs(
        prompts=tuple(decision.text or "" for decision in decisions),
        embeddings={
            row: np.array(features["embedding"], dtype=np.float32)
            for row, (decision, features) in enumerate(zip(decisions, kept, strict=True))
            if not decision.text and "embedding" in features
        },
    )


def _costs(values: Iterator[int | None]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([np.nan if cost is None else cost for cost in values], dtype=np.float64)
