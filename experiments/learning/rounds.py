"""Rounds of learning: every 50 requests, for each domain that learns and for all of them together.

One fit serves all domains with the same pair of models; each domain has its own comparison, claims
and checkpoint. Everything a round decides is written in one transaction at its end, so a process
that is killed in the middle leaves nothing, and the next one runs the round again.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from django.db import IntegrityError, transaction
from django.db.models import Count, Max
from threadpoolctl import threadpool_limits

from experiments.analysis.learning.claims import Claim, ClaimProcess
from experiments.analysis.learning.comparison import Compared, serves_next
from experiments.analysis.learning.rounds import (
    Chosen,
    Fitted,
    Flags,
    bet_on_pairs,
    choose,
    first_of_unit,
    fit,
)
from experiments.analysis.learning.schedule import ROUND_EVERY
from experiments.configuration.experiment_locks import LockedError
from experiments.configuration.policy_store import store
from experiments.configuration.revisions import lock_configuration, revision
from experiments.core.choice import pair_of
from experiments.core.policy import Method, Policy
from experiments.core.shadowing import learns
from experiments.core.values import Pair, TableKey
from experiments.formatting import number, plural
from experiments.learning import checkpoints, serving
from experiments.learning.labels import LabeledTraffic, collect_ratings, load_labels, part
from experiments.learning.pair_worth import worth_of_routers
from experiments.learning.serving import AUTHOR, RouterChoice, ServingError
from experiments.learning.thresholds import write_first_table
from experiments.models import (
    Decision,
    Domain,
    LearnedCheckpoint,
    LearningRound,
    ThresholdTable,
)
from experiments.storage.transactions import retried

Report = Callable[[str], object]
Basis = LearningRound.PairBasis

ALL = ""
BEGAN = "Learning began."
TIES = "learning-ties"
OVERLAP = timedelta(minutes=10)
LEARNED, SHIPPED = "learned", "shipped"


class LearningGroup(NamedTuple):
    """The learning domains with one pair of models."""

    pair: Pair
    domains: tuple[str, ...]


def run_rounds(now: datetime, report: Report = lambda line: None) -> int:
    """Runs the rounds that are due; returns how many. Repeatable at any time."""
    policy = store.current()
    return_outdated(policy, now, report)
    done = 0
    for group in groups(policy):
        done += _run_group(policy, group, now, report)
    return done


OUTDATED = "The shipped router was updated, so what was learned with the older one does not fit."


def return_outdated(policy: Policy, now: datetime, report: Report) -> None:
    """Retires checkpoints that this version cannot load; the routers before them serve again."""
    names = checkpoints.retire_outdated(policy.routers)
    served = Domain.objects.select_related("router").filter(router__name__in=names)
    for domain in served:
        serving.change(domain, serving.comparator(domain), AUTHOR, now, OUTDATED)
        report(f"{domain.name}: {OUTDATED}")


def groups(policy: Policy) -> list[LearningGroup]:
    """Domains that learn and route by a score, by their pair of models."""
    found: dict[Pair, list[str]] = {}
    for name, domain in sorted(policy.domains.items()):
        pair = pair_of(policy, domain, domain.policy)
        if pair and learns(policy, name) and domain.policy.method is Method.ROUTELLM:
            found.setdefault(pair, []).append(name)
    return [LearningGroup(pair, tuple(names)) for pair, names in found.items()]


def newest_round(domain: str, pair: Pair) -> LearningRound | None:
    return LearningRound.objects.filter(
        domain=domain, strong_model=pair.strong, weak_model=pair.weak
    ).first()


def _run_group(policy: Policy, group: LearningGroup, now: datetime, report: Report) -> int:
    last = newest_round(ALL, group.pair)
    collect_ratings(group.domains, last.at - OVERLAP if last else None)
    if last is None:
        _begin(group.pair, (ALL, *group.domains), now)
        return 0
    for name in group.domains:
        if newest_round(name, group.pair) is None:
            _begin(group.pair, (name,), now)
    counted = _count(group, group.domains, last.through)
    if counted.requests < ROUND_EVERY:
        return 0
    return _Round(policy, group, last, counted, now, report).run()


def _begin(pair: Pair, domains: Sequence[str], now: datetime) -> None:
    """A mark from which requests count. A second scheduler's mark is the same one."""
    rows = [_row(domain, pair, now, now, 0, reason=BEGAN, claim=Claim.NONE) for domain in domains]
    with transaction.atomic():
        LearningRound.objects.bulk_create(rows, ignore_conflicts=True)


class Counted(NamedTuple):
    requests: int
    through: datetime


def _count(group: LearningGroup, domains: Sequence[str], since: datetime) -> Counted:
    """Decisions of these domains after that moment."""
    found = Decision.objects.filter(
        created_at__gt=since,
        domain__in=list(domains),
        strong_model=group.pair.strong,
        weak_model=group.pair.weak,
    )
    counted = found.aggregate(requests=Count("pk"), through=Max("created_at"))
    return Counted(counted["requests"], counted["through"] or since)


@dataclass(frozen=True, eq=False)
class _Scope:
    """One domain, or all of them, in a round."""

    domain: str
    last: LearningRound
    counted: Counted
    mask: Flags


@dataclass
class _Round:
    """One round of one group."""

    policy: Policy
    group: LearningGroup
    last: LearningRound
    counted: Counted
    now: datetime
    report: Report

    def run(self) -> int:
        """With one thread, because requests need the other processors."""
        with threadpool_limits(limits=1):
            return self._run()

    def _run(self) -> int:
        started = time.perf_counter()
        scopes = list(self._scopes())
        everything = self._result(scopes[0], None) if len(self.traffic) else None
        rows = [self._row_of(scopes[0], everything, started)]
        if not _save(rows):
            return 0  # another process has run this round
        self.report(_line(rows[0]))
        for scope in scopes[1:]:
            result = self._result(scope, everything) if everything else None
            row = self._row_of(scope, result, started)
            if not self._conclude(scope, result, row):
                return 1
            self.report(_line(row))
        return 1

    def _scopes(self) -> Iterator[_Scope]:
        """All domains, then each one with 50 requests of its own."""
        count = len(self.traffic)
        yield _Scope(ALL, self.last, self.counted, np.ones(count, dtype=np.bool_))
        for name in self.group.domains:
            last = newest_round(name, self.group.pair)
            if last is None:
                continue
            counted = _count(self.group, [name], last.through)
            if counted.requests >= ROUND_EVERY:
                mask = np.asarray(self.traffic.domains == name, dtype=np.bool_)
                yield _Scope(name, last, counted, mask)

    @cached_property
    def traffic(self) -> LabeledTraffic:
        rows = Domain.objects.filter(name__in=self.group.domains).select_related("router")
        comparators = {row.name: serving.comparator(row).router for row in rows}
        seed = f"{self.policy.exploration_seed}:{TIES}"
        return load_labels(self.group.pair, self.group.domains, comparators, seed)

    @cached_property
    def fitted(self) -> Fitted:
        requests = self.traffic.requests
        return fit(self.traffic.model, requests, requests.rows)

    def _result(self, scope: _Scope, everything: "_Result | None") -> "_Result":
        was_learned = self._serves_learned(scope)
        process = self._bets(scope)
        only = None if scope.domain == ALL else scope.mask
        requests = self.traffic.requests
        chosen = choose(self.fitted, requests, process, serving=was_learned, only=only)
        basis = Basis.DOMAIN if scope.domain else Basis.ALL
        if chosen.compared is None and everything is not None:
            compared = everything.chosen.compared
            basis = Basis.ALL
            serves = everything.serves_if(was_learned) and chosen.claim is not Claim.WORSE
            chosen = Chosen(compared, serves, chosen.claim)
        return _Result(chosen, process, basis, was_learned)

    def _serves_learned(self, scope: _Scope) -> bool:
        if scope.domain == ALL:
            return scope.last.serving_after == LEARNED
        row = Domain.objects.select_related("router").get(name=scope.domain)
        return serving.is_learned(row)

    def _bets(self, scope: _Scope) -> ClaimProcess:
        """The claims after the pairs judged since the last round, with the fit from before them."""
        process = ClaimProcess(**_bets_of(scope.last))
        requests = self.traffic.requests
        earlier = self.traffic.known_by(scope.last.at)
        before, block = scope.mask & earlier, scope.mask & ~earlier
        if not block.any() or not earlier.any():
            return process
        known = part(requests, earlier)
        order = np.concatenate((np.flatnonzero(earlier), np.flatnonzero(~earlier)))
        gains = fit(self.traffic.model, known, requests.rows[order]).gains
        place = np.empty(len(order), dtype=np.intp)
        place[order] = np.arange(len(order))
        held_out = gains.held_out[place].astype(np.float64)
        fresh = gains.fresh[place].astype(np.float64)
        paired_before = requests.units[before & requests.paired]
        pairs = first_of_unit(requests.units[block], requests.paired[block], paired_before)
        shown = (requests.strong_quality - requests.weak_quality)[block][pairs]
        return bet_on_pairs(
            process,
            (held_out[before], requests.shipped[before], requests.units[before]),
            (fresh[block], requests.shipped[block]),
            share=self._share(scope.domain),
            ties=self.traffic.ties[block],
            pairs=pairs,
            gains=shown,
        )

    def _share(self, domain: str) -> float:
        """The strong share that the domain aims at; the mean of all for all of them."""
        names = [domain] if domain else list(self.group.domains)
        shares = [wanted_share(row) for row in Domain.objects.filter(name__in=names)]
        return float(np.mean(shares)) if shares else 0.5

    def _row_of(self, scope: _Scope, result: "_Result | None", started: float) -> LearningRound:
        requests = self.traffic.requests if len(self.traffic) else None
        pairs = int((requests.paired & scope.mask).sum()) if requests else 0
        ratings = int((requests.rated & ~requests.paired & scope.mask).sum()) if requests else 0
        row = _row(
            scope.domain,
            self.group.pair,
            self.now,
            scope.counted.through,
            scope.last.requests + scope.counted.requests,
            pairs=pairs,
            ratings=ratings,
            claim=result.chosen.claim if result else Claim.NONE,
            bets=_bets_as_document(result.process if result else ClaimProcess()),
            basis=result.basis if result else Basis.ALL,
            reason=_reason(result, pairs),
        )
        if result and result.chosen.compared:
            row.z = result.chosen.compared.z
            row.difference = result.chosen.compared.difference
        if result and scope.domain:
            row.worth = worth_of_routers(
                self.traffic, self.fitted, scope.mask, self._share(scope.domain)
            )
        was_learned = result.was_learned if result else False
        row.serving_before = LEARNED if was_learned else SHIPPED
        serves = result.chosen.serving if result else False
        row.serving_after = LEARNED if serves else SHIPPED
        row.milliseconds = 1000 * (time.perf_counter() - started)
        return row

    def _conclude(self, scope: _Scope, result: "_Result | None", row: LearningRound) -> bool:
        """Writes the domain's round with what follows from it. False if it was written before."""
        reason = row.reason
        written = self._new_checkpoint(scope, result, row)
        try:
            self._write(scope, result, row, written)
        except IntegrityError:
            return False
        except (LockedError, ServingError) as error:
            row.pk, row.reason = None, f"{reason} {error}"[:300]
            return _save([row])
        checkpoints.prune_folders(scope.domain)
        return True

    def _write(
        self,
        scope: _Scope,
        result: "_Result | None",
        row: LearningRound,
        written: checkpoints.Written | None,
    ) -> None:
        """In one transaction, under the lock of the configuration."""
        reason = row.reason

        @retried
        def write() -> None:
            row.pk, row.reason = None, reason
            with transaction.atomic():
                lock_configuration()
                domain = Domain.objects.select_related("router").get(name=scope.domain)
                row.serving_before = row.serving_after = serving.present(domain).router
                row.save()
                if written is not None:
                    self._register(scope.domain, written, row)
                if result is not None:
                    self._serve(domain, result, row)

        write()

    def _new_checkpoint(
        self, scope: _Scope, result: "_Result | None", row: LearningRound
    ) -> checkpoints.Written | None:
        """A checkpoint once there is a comparison, unless one scores in shadow already."""
        labels = self.fitted.labels if result else None
        if labels is None or result is None or result.chosen.compared is None:
            return None
        if not checkpoints.is_worth_writing(scope.domain, len(labels.rows)):
            return None
        coefficients = self.fitted.gains.coefficients
        written = checkpoints.write(self.traffic, labels, coefficients, scope.domain)
        row.checkpoint = written.sha256
        return written

    def _register(self, domain: str, written: checkpoints.Written, row: LearningRound) -> None:
        note = f"A learned router of {domain} scores in shadow, from {plural(row.pairs, 'pair')}"
        with revision(AUTHOR, note):
            checkpoints.drop_retired(domain)
            made = checkpoints.register(domain, written, self.now)
        made.round = row
        made.save(update_fields=["round"])

    def _serve(self, domain: Domain, result: "_Result", row: LearningRound) -> None:
        """Serves, returns, or says why neither happens."""
        now, reason = self.now, row.reason
        best = checkpoints.update_states(domain.name, serving.present(domain).router)
        if not result.chosen.serving:
            serving.withdraw(domain.name)
            if not serving.is_learned(domain):
                return
            if blocked := serving.blocked_by(domain):
                row.reason = f"{reason} {blocked}"[:300]
            else:
                serving.change(domain, serving.comparator(domain), AUTHOR, now, reason, row)
        elif best is None:
            row.reason = f"{reason} It serves once a checkpoint has scored 200 decisions."[:300]
        elif best.router != serving.present(domain).router:
            self._serve_checkpoint(domain, best, row)
        row.serving_after = serving.present(domain).router
        row.save(update_fields=["reason", "serving_after"])
        checkpoints.update_states(domain.name, row.serving_after)

    def _serve_checkpoint(
        self, domain: Domain, best: LearnedCheckpoint, row: LearningRound
    ) -> None:
        scores = checkpoints.shadow_scores(best)
        share = wanted_share(domain)
        threshold = checkpoints.threshold_for_share(scores, share)
        to = RouterChoice(best.router, threshold, best.sha256)
        if domain.learning_mode == Domain.LearningMode.APPROVAL:
            open_ = serving.proposal(domain.name)
            if open_ is None or open_.router_after != to.router:
                serving.propose(domain, to, self.now, row.reason, row)
            row.reason = f"{row.reason} It waits for approval."[:300]
        elif blocked := serving.blocked_by(domain):
            row.reason = f"{row.reason} {blocked}"[:300]
        else:
            self._write_first_table(domain, best, scores, share)
            serving.change(domain, to, AUTHOR, self.now, row.reason, row)

    def _write_first_table(
        self, domain: Domain, best: LearnedCheckpoint, scores: Sequence[float], share: float
    ) -> None:
        """So that the first decision follows the target; where the threshold is fixed, none."""
        key = TableKey(domain.name, best.router, best.sha256)
        has_one = ThresholdTable.objects.filter(**key._asdict()).exists()
        if domain.followed_share is not None and not has_one:
            write_first_table(self.policy, key, scores, [share], self.now)


def wanted_share(domain: Domain) -> float:
    """The strong share that a domain aims at, also where its threshold is fixed."""
    followed = domain.followed_share
    return domain.target_strong_share if followed is None else followed


class _Result(NamedTuple):
    """What a round found in a scope."""

    chosen: Chosen
    process: ClaimProcess
    basis: LearningRound.PairBasis
    was_learned: bool

    def serves_if(self, serving: bool) -> bool:
        """What the comparison says if the learned router serves now, or does not."""
        return serves_next(serving, self.chosen.compared)


@retried
def _save(rows: Sequence[LearningRound]) -> bool:
    """False if a round was written before: another process ran it."""
    try:
        with transaction.atomic():
            for row in rows:
                row.save()
    except IntegrityError:
        return False
    return True


def _row(
    domain: str, pair: Pair, at: datetime, through: datetime, requests: int, **values: Any
) -> LearningRound:
    filled = {"pairs": 0, "ratings": 0, "milliseconds": 0.0, **values}
    return LearningRound(
        domain=domain,
        strong_model=pair.strong,
        weak_model=pair.weak,
        at=at,
        through=through,
        requests=requests,
        **filled,
    )


def _bets_of(row: LearningRound) -> dict[str, Any]:
    bets = row.bets
    if not bets:
        return {}
    return {**bets, "better": tuple(bets["better"]), "worse": tuple(bets["worse"])}


def _bets_as_document(process: ClaimProcess) -> dict[str, Any]:
    return {
        "better": list(process.better),
        "worse": list(process.worse),
        "pairs": process.pairs,
    }


def _reason(result: _Result | None, pairs: int) -> str:
    if result is None or result.chosen.compared is None:
        return f"No comparison yet: {plural(pairs, 'pair')}, it needs 10."
    compared: Compared = result.chosen.compared
    where = " on the pairs of all domains" if result.basis == Basis.ALL else ""
    found = f"z = {number(compared.z, 2)} with {plural(compared.pairs, 'pair')}{where}"
    if result.chosen.claim is Claim.WORSE:
        return f"The learned router is shown to be worse; {found}."
    if result.chosen.serving:
        return f"The learned router looks better; {found}."
    if result.was_learned:
        return f"The learned router no longer looks better; {found}."
    return f"The learned router does not look better yet; {found}."


def _line(row: LearningRound) -> str:
    return f"{row.domain or 'All domains'} after {plural(row.requests, 'request')}: {row.reason}"
