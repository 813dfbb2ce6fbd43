"""The newest scores of routed decisions, kept in memory by the process that moves thresholds.

Read from stored decisions: dry runs are not stored, and forced decisions are left out. A process
that starts, or that takes over from another one, reads the newest decisions of each domain.
"""

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from experiments.analysis.learning.threshold_tables import Floats
from experiments.core.policy import PolicyRouter
from experiments.core.values import TableKey
from experiments.models import Decision
from experiments.routers.building import build
from experiments.routers.errors import RouterConfigurationError
from experiments.routers.learning_features import shipped_quantiles

log = logging.getLogger("switchyard.thresholds")

KEPT = 1_000
MOST_AT_ONCE = 2_000
# Decisions get their time before they are committed, by the clocks of several machines.
OVERLAP = timedelta(seconds=5)

_COLUMNS = (
    "id",
    "created_at",
    "domain",
    "unit_hash",
    "detail__scores",
    "detail__tables",
    "detail__cautious",
    "detail__propensity_reason",
)


class ScoredDecision(NamedTuple):
    """One score of a decision. `number` is that of the table which its router's threshold followed;
    None if no policy of the domain followed one."""

    id: UUID
    at: datetime
    unit: str
    score: float
    number: int | None


class RecentScores:
    """The newest scores of each domain and of all traffic, by router and checkpoint."""

    def __init__(self) -> None:
        self._own: dict[TableKey, deque[ScoredDecision]] = {}
        self._everyone: dict[tuple[str, str], deque[ScoredDecision]] = {}
        self._known: dict[UUID, datetime] = {}
        self._newest: datetime | None = None

    @property
    def is_read(self) -> bool:
        return self._newest is not None

    def read(self, domains: Iterable[str]) -> dict[TableKey, int]:
        """Reads what was decided since the last time; how many new scores each series got. One
        query, the first time one for each domain."""
        rows = self._first(domains) if self._newest is None else self._since(self._newest)
        counts: dict[TableKey, int] = {}
        for row in sorted(rows, key=lambda one: one[1]):
            if row[0] not in self._known:
                self._known[row[0]] = row[1]
                for key in self._add(row):
                    counts[key] = counts.get(key, 0) + 1
        self._forget()
        return counts

    def own(self, key: TableKey) -> list[ScoredDecision]:
        """The series' scores, oldest first."""
        return list(self._own.get(key, ()))

    def everyone(self, router: str, checkpoint: str) -> list[ScoredDecision]:
        return list(self._everyone.get((router, checkpoint), ()))

    def checkpoints(self, router: str) -> list[str]:
        """The checkpoints of the router that scored recent decisions."""
        return [checkpoint for name, checkpoint in self._everyone if name == router]

    def _first(self, domains: Iterable[str]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for name in domains:
            newest = Decision.objects.filter(domain=name).order_by("-created_at")
            rows += newest.values_list(*_COLUMNS)[:KEPT]
        return rows

    def _since(self, newest: datetime) -> list[tuple[Any, ...]]:
        rows = Decision.objects.filter(created_at__gte=newest - OVERLAP).order_by("-created_at")
        return list(rows.values_list(*_COLUMNS)[:MOST_AT_ONCE])

    def _add(self, row: tuple[Any, ...]) -> Iterator[TableKey]:
        decision_id, at, domain, unit, scores, tables, cautious, reason = row
        self._newest = max(at, self._newest or at)
        if reason == "forced":
            return
        for router, answer in (scores or {}).items():
            if "value" not in answer:
                continue
            key = TableKey(cautious or domain, router, answer.get("checkpoint", ""))
            number = (tables or {}).get(router)
            found = ScoredDecision(decision_id, at, unit, answer["value"], number)
            self._own.setdefault(key, deque(maxlen=KEPT)).append(found)
            self._everyone.setdefault(key[1:], deque(maxlen=KEPT)).append(found)
            yield key

    def _forget(self) -> None:
        """Ids older than the next read goes back."""
        if self._newest is not None and len(self._known) > MOST_AT_ONCE:
            limit = self._newest - OVERLAP
            self._known = {key: at for key, at in self._known.items() if at >= limit}


class ShippedScores:
    """What local routers give the shipped prompts: where thresholds start."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, Floats] | None] = {}

    def checkpoints(self, router: PolicyRouter) -> list[str]:
        """The router's checkpoint; empty if it is not local or cannot be loaded."""
        found = self._of(router)
        return [found[0]] if found else []

    def scores(self, router: PolicyRouter, checkpoint: str) -> Floats | None:
        """Its sorted scores, if this is its checkpoint."""
        found = self._of(router)
        return found[1] if found and found[0] == checkpoint else None

    def _of(self, router: PolicyRouter) -> tuple[str, Floats] | None:
        """Loads a router and scores 300 prompts, once."""
        key = repr(router)
        if key not in self._known:
            self._known[key] = _scored(router) if router.local else None
        return self._known[key]


def _scored(router: PolicyRouter) -> tuple[str, Floats] | None:
    try:
        built = build(router)
    except RouterConfigurationError:
        log.warning("Router not loaded", extra={"router": router.name})
        return None
    return built.checkpoint or "", shipped_quantiles(built.score)
