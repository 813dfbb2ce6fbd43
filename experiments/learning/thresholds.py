"""Moves the thresholds of domains and arms that follow a target strong share.

The background process moves about every second what got new scores: one row of `ThresholdTable`
for each domain and router checkpoint, with a cut for each share that the domain or an arm aims at.
Which arm a unit has and which model answered play no part, so comparisons of arms, propensities
and replays stay exact.

Any number of processes may move: one does at a time, under a lock that ends with its transaction or
with its connection. So a process that is killed leaves no gap.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
from django.db import IntegrityError, connection
from django.db.models import Max
from django.utils import timezone

from experiments.analysis.learning.threshold_tables import (
    ENOUGH_SCORES,
    RECENT_SCORES,
    Floats,
    corrected_share,
    fair_rows,
    horizon_of,
    jump_of,
    recency_weights,
    recent_rows,
    table_for_share,
)
from experiments.configuration.policy_store import NoPolicyError, store
from experiments.core.bucketing import BUCKETS, bucket_index
from experiments.core.policy import Method, Policy, PolicyRouter, RoutingPolicy
from experiments.core.values import NumberedTable, ScoreCut, TableKey, share_of_target
from experiments.learning.recent_scores import (
    KEPT,
    RecentScores,
    ScoredDecision,
    ShippedScores,
)
from experiments.models import Arm, Experiment, ThresholdTable
from experiments.storage.transactions import run_transaction

Basis = ThresholdTable.ScoreBasis
OPEN = (Experiment.Status.DRAFT, Experiment.Status.RUNNING, Experiment.Status.PAUSED)


class Followed(NamedTuple):
    """What a domain's tables have to offer: routers whose thresholds follow, and strong shares."""

    routers: Mapping[str, PolicyRouter]
    shares: tuple[float, ...]


class _Scores(NamedTuple):
    """The scores that a table is from, oldest first."""

    values: Floats
    basis: Basis


class ThresholdMover:
    """Reads new scores and adds the tables that follow from them. One for a process."""

    def __init__(self) -> None:
        self._scores = RecentScores()
        self._shipped = ShippedScores()
        self._newest: dict[TableKey, ThresholdTable] = {}
        self._newest_id = 0
        self._tables: dict[TableKey, dict[int, ThresholdTable]] = defaultdict(dict)
        self._pace: dict[TableKey, float] = {}
        self._since_move: dict[TableKey, int] = defaultdict(int)
        self._followed: tuple[int, Mapping[str, Followed]] = (-1, {})

    def move(self, now: datetime | None = None) -> int:
        """Adds a table for each series that has new scores; returns how many. Leaves it to another
        process that moves at the same time."""
        try:
            policy = store.current()
        except NoPolicyError:
            return 0
        followed = self._what_follows(policy)
        if not followed:
            return 0
        self._read_tables()
        is_first = not self._scores.is_read
        for key, count in self._scores.read(policy.domains).items():
            self._since_move[key] += count
            if not is_first:
                self._pace[key] = max(count, 0.9 * self._pace.get(key, 0.0))
        rows = list(self._moved(policy, followed, now or timezone.now()))
        return self._store(rows) if rows else 0

    def _what_follows(self, policy: Policy) -> Mapping[str, Followed]:
        """Read again with each revision."""
        if self._followed[0] != policy.revision:
            self._followed = (policy.revision, what_follows(policy))
        return self._followed[1]

    def _read_tables(self) -> None:
        """Tables that other processes added. One query."""
        rows = ThresholdTable.objects.order_by("pk")
        if not self._newest_id:
            keys = ThresholdTable.objects.order_by().values("domain", "router", "checkpoint")
            rows = rows.filter(pk__in=keys.annotate(newest=Max("pk")).values("newest"))
        for row in rows.filter(pk__gt=self._newest_id):
            self._learn(row)

    def _learn(self, row: ThresholdTable) -> None:
        self._newest_id = max(self._newest_id, row.pk)
        self._newest[row.key] = row
        self._tables[row.key][row.number] = row

    def _series(self, followed: Mapping[str, Followed]) -> Iterator[TableKey]:
        """Each followed router with the checkpoints that scored, and every router that has a table
        and still scores: a learned router has one before a policy uses it."""
        for domain, one in followed.items():
            keys = {
                TableKey(domain, name, checkpoint)
                for name, router in one.routers.items()
                for checkpoint in self._checkpoints(router)
            }
            scored = (key for key in self._newest if key.domain == domain)
            keys |= {key for key in scored if self._scores.own(key)}
            yield from sorted(keys)

    def _checkpoints(self, router: PolicyRouter) -> list[str]:
        return self._scores.checkpoints(router.name) or self._shipped.checkpoints(router)

    def _moved(
        self, policy: Policy, followed: Mapping[str, Followed], now: datetime
    ) -> Iterator[ThresholdTable]:
        for key in self._series(followed):
            own = self._scores.own(key)
            if not self._is_due(key, own):
                continue
            scores = self._scores_for(policy, key, own)
            if scores is None:
                continue
            self._since_move[key] = 0
            yield self._table(policy, key, followed[key.domain].shares, own, scores, now)

    def _is_due(self, key: TableKey, own: Sequence[ScoredDecision]) -> bool:
        """New scores of its own, newer than the table; or, while the domain has too few, as many
        new ones of all traffic as make a difference."""
        newest = self._newest.get(key)
        if newest is None:
            return True
        if own and self._since_move[key] and own[-1].at > newest.at:
            return True
        if newest.basis == Basis.DOMAIN:
            return False
        everyone = self._scores.everyone(key.router, key.checkpoint)
        later = sum(one.at > newest.at for one in everyone[-ENOUGH_SCORES:])
        return later >= ENOUGH_SCORES

    def _scores_for(
        self, policy: Policy, key: TableKey, own: Sequence[ScoredDecision]
    ) -> _Scores | None:
        """The domain's own scores, else those of all traffic, else those of shipped prompts. Never
        back from a table of the domain's own scores."""
        values = _recent(own)
        if len(values) >= ENOUGH_SCORES:
            return _Scores(values, Basis.DOMAIN)
        newest = self._newest.get(key)
        if newest is not None and newest.basis == Basis.DOMAIN:
            return None
        values = _recent(self._scores.everyone(key.router, key.checkpoint))
        if len(values) >= ENOUGH_SCORES:
            return _Scores(values, Basis.TRAFFIC)
        router = policy.routers.get(key.router)
        shipped = self._shipped.scores(router, key.checkpoint) if router else None
        return None if shipped is None else _Scores(shipped, Basis.SHIPPED)

    def _table(
        self,
        policy: Policy,
        key: TableKey,
        shares: Iterable[float],
        own: Sequence[ScoredDecision],
        scores: _Scores,
        now: datetime,
    ) -> ThresholdTable:
        newest = self._newest.get(key)
        horizon = horizon_of(round(self._pace.get(key, 0.0)))
        decided = self._decided(key, own, cold_counts=scores.basis == Basis.SHIPPED)
        is_traffic = scores.basis != Basis.SHIPPED
        weights = recency_weights(len(scores.values)) if is_traffic else None
        cuts = []
        for share in shares:
            realized = _realized(policy, decided, share)
            wanted = corrected_share(share, len(realized), sum(realized), horizon)
            cut = cut_of(scores.values, wanted, weights)
            cuts.append({"share": share, "wanted": wanted, **cut._asdict()})
        return ThresholdTable(
            **key._asdict(),
            number=newest.number + 1 if newest else 1,
            at=now,
            cuts=cuts,
            basis=scores.basis,
            scores=len(scores.values),
            jump=jump_of(_recent(own, 2 * RECENT_SCORES)) if own else None,
        )

    def _decided(
        self, key: TableKey, own: Sequence[ScoredDecision], *, cold_counts: bool
    ) -> list[tuple[ScoredDecision, NumberedTable]]:
        """Decisions with the tables that were read for them, at most 1 % from one unit. What a cold
        table decided is not made up, unless the domain stays cold."""
        units = _numbered(one.unit for one in own)
        rows = [own[at] for at in fair_rows(units, KEPT)]
        known = self._tables[key]
        wanted = {one.number for one in rows if one.number is not None}
        if missing := wanted - set(known):
            stored = ThresholdTable.objects.filter(**key._asdict(), number__in=missing)
            known.update({row.number: row for row in stored})
        for number in set(known) - wanted - {self._newest[key].number if known else 0}:
            del known[number]
        found = [
            (one, known[one.number])
            for one in rows
            if one.number is not None and one.number in known
        ]
        cold = cold_counts and len(found) >= ENOUGH_SCORES
        return [(one, row.as_table()) for one, row in found if cold or not row.is_cold]

    def _store(self, rows: Sequence[ThresholdTable]) -> int:
        """All of them, unless another process moved since they were computed."""

        def write() -> int:
            if not _is_alone():
                return 0
            newest = ThresholdTable.objects.aggregate(newest=Max("pk"))["newest"] or 0
            if newest != self._newest_id:
                return 0
            ThresholdTable.objects.bulk_create(rows)
            return len(rows)

        try:
            stored = run_transaction(write)
        except IntegrityError:
            return 0
        if stored:
            self._read_tables()
        return stored


def what_follows(policy: Policy) -> Mapping[str, Followed]:
    """Domains where a threshold follows a strong share: in their own policy, or in an arm of an
    experiment that runs or may start. One query."""
    routers: dict[str, set[str]] = defaultdict(set)
    shares: dict[str, set[float]] = defaultdict(set)

    def add(domain: str, router: str | None, share: float | None) -> None:
        if router is not None and share is not None:
            routers[domain].add(router)
            shares[domain].add(share_of_target(share))

    for name, domain in policy.domains.items():
        if domain.policy.method is Method.ROUTELLM:
            add(name, domain.policy.router, domain.policy.target_share)
    for wanted, named in _arms():
        for name in [named] if named else policy.domains:
            add(name, wanted.router, wanted.target_share)
    return {
        name: Followed(
            {one: policy.routers[one] for one in sorted(routers[name]) if one in policy.routers},
            tuple(sorted(shares[name])),
        )
        for name in policy.domains
        if routers[name]
    }


def _arms() -> Iterator[tuple[RoutingPolicy, str | None]]:
    arms = Arm.objects.filter(
        method=Method.ROUTELLM, target_share__isnull=False, experiment__status__in=OPEN
    )
    related = arms.select_related("router", "strong_model", "weak_model", "experiment__domain")
    for arm in related:
        domain = arm.experiment.domain
        yield arm.routing_policy(), domain.name if domain else None


def cut_of(scores: Floats, wanted: float, weights: Floats | None = None) -> ScoreCut:
    """Where this share of the scores, or of their weights, goes to the strong model."""
    table = table_for_share(scores, wanted, weights=weights)
    if wanted <= 0:
        return ScoreCut(1.0, 0.0)
    if wanted >= 1:
        return ScoreCut(0.0, 1.0)
    return ScoreCut(table.threshold, round(table.tie_share * BUCKETS) / BUCKETS)


def write_first_table(
    policy: Policy, key: TableKey, scores: Sequence[float], shares: Iterable[float], now: datetime
) -> ThresholdTable:
    """The first table of a checkpoint that scored prompts before it serves; later scores of
    decisions move it. Raises IntegrityError if it has a table."""
    values = np.array(scores, dtype=np.float64)
    cuts = [
        {"share": share, "wanted": share, **cut_of(values, share)._asdict()}
        for share in map(share_of_target, shares)
    ]
    row = ThresholdTable(
        **key._asdict(), number=1, at=now, cuts=cuts, basis=Basis.DOMAIN, scores=len(scores)
    )
    run_transaction(row.save)
    return row


def prune_tables(before: datetime) -> int:
    """Deletes tables that no stored decision names any more; the newest of each series remains."""
    keys = ThresholdTable.objects.order_by().values("domain", "router", "checkpoint")
    newest = keys.annotate(newest=Max("pk")).values_list("newest", flat=True)
    old = ThresholdTable.objects.filter(at__lt=before).exclude(pk__in=list(newest))
    return run_transaction(old.delete)[0] if old.exists() else 0


def _recent(rows: Sequence[ScoredDecision], most: int = RECENT_SCORES) -> Floats:
    """The scores that count, oldest first: the newest, at most 1 % from one unit; with so few units
    that too little would remain, an equal share of each."""
    values = np.array([one.score for one in rows], dtype=np.float64)
    units = _numbered(one.unit for one in rows)
    kept = recent_rows(units) if most == RECENT_SCORES else fair_rows(units, most)
    if len(kept) < ENOUGH_SCORES <= len(rows):
        kept = fair_rows(units, most)
    return values[kept]


def _numbered(names: Iterable[str]) -> list[int]:
    known: dict[str, int] = {}
    return [known.setdefault(name, len(known)) for name in names]


def _realized(
    policy: Policy, decided: Sequence[tuple[ScoredDecision, NumberedTable]], share: float
) -> list[bool]:
    """Which of the decisions went, or would have gone, to the strong model at this share. Only
    scores and ids count: not the arm, nor exploration."""
    found = []
    for one, table in decided:
        cut = table.cuts.get(share)
        if cut is not None:
            chance = cut.strong_probability(one.score)
            is_tie = 0 < chance < 1
            found.append(
                bucket_index(policy.tie_seed, str(one.id)) < round(chance * BUCKETS)
                if is_tie
                else chance >= 1
            )
    return found


def _is_alone() -> bool:
    """Whether this transaction got the lock. On SQLite the write lock is enough."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('switchyard-thresholds'))")
        return bool(cursor.fetchone()[0])


mover = ThresholdMover()


def move_tables(now: datetime | None = None) -> int:
    """One move by this process's mover."""
    return mover.move(now)
