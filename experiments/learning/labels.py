"""Everything labeled so far of the domains with one pair of models, as arrays for a round.

A judged pair shows both answers: their qualities are the shares of the judge's preference. A rating
shows the quality of the answer that the caller got; people take precedence over judges.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import orjson
from numpy.typing import NDArray

from experiments.analysis.learning.gain_model import GainModel
from experiments.analysis.learning.prompt_kernel import PromptKernel
from experiments.analysis.learning.rounds import Flags, Floats, LabeledRequests, Rows
from experiments.core.bucketing import bucket
from experiments.core.values import Pair
from experiments.decisions.unit_totals import QUALITY, combined_rating
from experiments.learning.inputs import keep, kept_row, read
from experiments.models import Decision, Domain, Feedback, LearningInput, ShadowPair
from experiments.models.sums import FIXED_POINT
from experiments.routers.learned import PromptInput, shipped_router, stacked
from experiments.routers.learning_features import standard_score
from experiments.storage.encryption import SealBrokenError

MOST_PAIRS = 1_250
MOST_RATINGS = 2_000
MOST_COLLECTED = 2_000


class LabeledRow(NamedTuple):
    """One labeled decision. `pair` is the strong model's share of the preference, `rating` the
    quality of the answer that the caller got; at least one is known, since `known_at`. `odds` are
    those with which the pair was drawn."""

    decision: Decision
    seen: PromptInput
    pair: float | None
    odds: float
    rating: float | None
    known_at: datetime

    @property
    def strong(self) -> bool:
        """Whether the strong model answered the caller."""
        return _answered_by(self.decision) == self.decision.strong_model


@dataclass(frozen=True, eq=False)
class LabeledTraffic:
    """Labeled decisions, oldest first, and the gain model of their prompts."""

    rows: Sequence[LabeledRow]
    shipped: Floats
    tie_seed: str

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def domains(self) -> NDArray[np.object_]:
        return np.array([row.decision.domain for row in self.rows], dtype=object)

    @cached_property
    def domain_numbers(self) -> dict[str, int]:
        return {str(name): number for number, name in enumerate(np.unique(self.domains))}

    @cached_property
    def model(self) -> GainModel:
        numbers = np.array([self.domain_numbers[name] for name in self.domains], dtype=np.intp)
        prior = np.array([row.seen.prior for row in self.rows])
        vectors = stacked([row.seen for row in self.rows], numbers)
        return GainModel(PromptKernel(vectors), standard_score(prior), self.units)

    @cached_property
    def units(self) -> Rows:
        hashes = np.array([row.decision.unit_hash for row in self.rows], dtype=object)
        return np.unique(hashes, return_inverse=True)[1].astype(np.intp)

    @cached_property
    def ties(self) -> Floats:
        return np.array([bucket(self.tie_seed, str(row.decision.pk)) for row in self.rows])

    @cached_property
    def requests(self) -> LabeledRequests:
        strong = np.array([row.strong for row in self.rows], dtype=np.bool_)
        pairs = np.array([np.nan if row.pair is None else row.pair for row in self.rows])
        ratings = np.array([np.nan if row.rating is None else row.rating for row in self.rows])
        paired = ~np.isnan(pairs)
        return LabeledRequests(
            rows=np.arange(len(self.rows)),
            shipped=self.shipped,
            units=self.units,
            strong=strong,
            rated=~np.isnan(ratings),
            paired=paired,
            strong_quality=np.where(paired, pairs, ratings),
            weak_quality=np.where(paired, 1 - pairs, ratings),
        )

    def known_by(self, moment: datetime) -> Flags:
        """Which rows were labeled by then."""
        return np.array([row.known_at <= moment for row in self.rows], dtype=np.bool_)


def part(requests: LabeledRequests, mask: Flags) -> LabeledRequests:
    """The requests of the mask, with their rows in the same model."""
    return LabeledRequests(
        **{name: getattr(requests, name)[mask] for name in LabeledRequests.__dataclass_fields__}
    )


def collect_ratings(domains: Iterable[str], since: datetime | None) -> int:
    """Keeps the inputs of decisions rated since then, where the domain stores enough of them."""
    stores = Domain.objects.filter(name__in=list(domains)).exclude(prompt_storage="none")
    found = Feedback.objects.filter(
        metric=QUALITY,
        decision__domain__in=list(stores.values_list("name", flat=True)),
        decision__learning_input__isnull=True,
        decision__tier__in=("strong", "weak"),
    )
    if since is not None:
        found = found.filter(received_at__gte=since)
    ids = found.order_by("-received_at").values_list("decision_id", flat=True)
    decisions = Decision.objects.filter(pk__in=list(ids[:MOST_COLLECTED]))
    rows = [row for decision in decisions if (row := kept_row(decision)) is not None]
    keep(rows)
    return len(rows)


def load_labels(
    pair: Pair, domains: Sequence[str], comparators: dict[str, str], tie_seed: str
) -> LabeledTraffic:
    """The newest labels of these domains. `comparators` names the router that the learned one is
    compared with in each; if it did not score a prompt, the shipped router's score counts."""
    inputs = LearningInput.objects.filter(
        strong_model=pair.strong,
        weak_model=pair.weak,
        domain__in=list(domains),
        shipped=shipped_router().router.sha256,
    )
    judged = inputs.filter(decision__shadow__preference__isnull=False)
    rated = inputs.filter(decision__shadow__preference__isnull=True)
    rated = rated.filter(decision__feedback__metric=QUALITY).distinct()
    newest = [*_newest(judged, MOST_PAIRS), *_newest(rated, MOST_RATINGS)]
    ratings = _ratings([row.pk for row in newest])
    rows = [one for row in newest if (one := _labeled(row, ratings.get(row.pk))) is not None]
    rows.sort(key=lambda one: (one.decision.created_at, str(one.decision.pk)))
    shipped = [_shipped_score(one, comparators.get(one.decision.domain, "")) for one in rows]
    return LabeledTraffic(rows, np.array(shipped, dtype=np.float64), tie_seed)


def _newest(rows: Any, most: int) -> list[LearningInput]:
    related = rows.select_related("decision", "decision__shadow", "decision__outcome")
    return list(related.defer("decision__detail").order_by("-decided_at", "-pk")[:most])


class _Rating(NamedTuple):
    quality: float
    at: datetime


def _ratings(ids: Sequence[UUID]) -> dict[UUID, _Rating]:
    found = Feedback.objects.filter(
        metric=QUALITY, value__gte=0, value__lte=1, decision__in=list(ids)
    )
    ratings: dict[UUID, _Rating] = {}
    for pk, group in groupby(found.order_by("decision_id"), key=attrgetter("decision_id")):
        rows = list(group)
        if (value := combined_rating(rows)) is not None:
            ratings[pk] = _Rating(value / FIXED_POINT, max(row.received_at for row in rows))
    return ratings


def _labeled(row: LearningInput, rating: _Rating | None) -> LabeledRow | None:
    """None if a model outside of the pair answered, or the input cannot be decrypted."""
    decision = row.decision
    pair: ShadowPair | None = getattr(decision, "shadow", None)
    judged = pair is not None and pair.preference is not None
    if not judged and (rating is None or not _is_of_pair(decision)):
        return None
    try:
        seen = read(row)
    except SealBrokenError:
        return None
    if pair is not None and pair.preference is not None:
        given = pair.preference
        strong = given if pair.model == decision.strong_model else 1 - given
        known = pair.ended_at or pair.created_at
        quality = rating.quality if rating else None
        return LabeledRow(decision, seen, strong, pair.odds or 1.0, quality, known)
    if rating is None:
        return None
    return LabeledRow(decision, seen, None, 1.0, rating.quality, rating.at)


def _is_of_pair(decision: Decision) -> bool:
    return _answered_by(decision) in {decision.strong_model, decision.weak_model}


def _answered_by(decision: Decision) -> str:
    outcome = getattr(decision, "outcome", None)
    return str(outcome.model or decision.model) if outcome else decision.model


def _shipped_score(row: LabeledRow, router: str) -> float:
    scores = orjson.loads(row.decision.scores) if row.decision.scores else {}
    return float(scores.get(router, row.seen.prior))
