"""Admits calls within the limits of their keys, and charges them.

A call is charged with its estimate on admission, in the transaction that stores its decision,
and corrected when it has ended. So concurrent calls cannot overdraw a budget together, and a
call whose process dies stays charged as estimated.

There are two ways to admit a call of a limited key. `draw` takes it from a lease before the
transaction, and `store_drawn` stores it without waiting for others. What no lease covers `reserve`
decides, with its key locked and its usage added up; it also begins new leases."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from django.db import transaction

from experiments.limits import key_usage
from experiments.limits.key_usage import DAY, MINUTE, NOTHING, Amounts, Span
from experiments.limits.leases import (
    Draw,
    Holder,
    Outstanding,
    ProcessHolder,
    RevokedError,
    Want,
    slice_of,
    store,
)
from experiments.limits.quotas import (
    OWN_KEY,
    UNBOUNDED,
    Limits,
    OverLimitError,
    QuotaStatus,
    Reservation,
    Used,
    left,
    refusal,
    requests_limit,
    status,
)
from experiments.limits.redis_leases import SharedHolder
from experiments.models import APIKey
from experiments.storage import bulk_sql
from experiments.storage.bulk_sql import Insertion
from experiments.storage.transactions import ConcurrentUpdateError, run_transaction

# A limited key's usage by other processes may be missing for so long in the headers of its
# responses; never where a call is refused.
STATUS_SECONDS = 0.25

_calls = SharedHolder("calls", ProcessHolder())
_requests = SharedHolder("requests", ProcessHolder())  # of the REST API: with other limits


def draw(charges: Sequence[Reservation], holder: Holder = _calls) -> list[Draw]:
    """For each call, in order, whether a lease covers it. Writes nothing, so call it before the
    transaction. Calls of keys without limits are always covered."""
    wants = [_want(charge) for charge in charges if charge.limits.any]
    drawn = iter(holder.draw(wants))
    return [next(drawn) if charge.limits.any else Draw(charge.key_id) for charge in charges]


def store_drawn(
    charges: Sequence[Reservation], draws: Sequence[Draw], rows: Sequence[Insertion]
) -> None:
    """Stores covered calls and charges them, inside the caller's transaction. Raises RevokedError:
    then roll back, `discard` what was drawn, and `reserve` instead."""
    store(draws, [*_changes((charge, charge.amounts) for charge in charges), *rows])


def discard(draws: Sequence[Draw], holder: Holder = _calls) -> list[Draw]:
    """Forgets leases that others have ended: now they cover nothing."""
    holder.discard(draws)
    return [draw._replace(is_covered=False) for draw in draws]


def reserve(
    charges: Sequence[Reservation],
    draws: Sequence[Draw] = (),
    holder: Holder = _calls,
) -> list[QuotaStatus | OverLimitError]:
    """Charges each call that its key's limits admit; for each, in order, the remaining quota or
    the refusal. Runs inside the caller's transaction: until it ends no other one admits calls of
    the same limited keys. Where `draws` found no lease, or one too small, a new one begins."""
    limited = [charge for charge in charges if charge.limits.any]
    if not limited:
        bulk_sql.run(_changes((charge, charge.amounts) for charge in charges))
        return [QuotaStatus(charge.limits) for charge in charges]
    keys = {charge.key_id for charge in limited}
    key_usage.lock_alone(keys)
    found = Outstanding(keys)
    small = [draw for draw in draws if not draw.is_covered]
    found.end_found_small(small)
    found.end_old(max(charge.at for charge in limited))
    counters = _Counters(limited, found)
    results = [counters.admit(charge) for charge in charges]
    _begin_leases(counters, found, holder, {draw.key_id: draw for draw in small})
    changes = _changes((charge, charge.amounts) for charge in counters.admitted)
    bulk_sql.run([*found.write(), *changes])
    transaction.on_commit(lambda: _readings.put(counters.latest()))
    return results


def statuses(charges: Sequence[Reservation]) -> list[QuotaStatus]:
    """What is left after each of these calls, which `draw` covers, in order. One query at most
    each STATUS_SECONDS for a key with a limit that responses name."""
    _readings.refresh([charge for charge in charges if _is_named(charge.limits)])
    return [
        _readings.after(charge) if _is_named(charge.limits) else QuotaStatus(charge.limits)
        for charge in charges
    ]


def count_request(key: APIKey, now: datetime) -> bool:
    """Counts a request that calls no model, and returns whether the key's limit per minute
    admits it. Gateway calls use the same counter. No statement for a key without such a limit."""
    limit = requests_limit(key)
    if limit is None:
        return True
    charge = Reservation(key.pk, Limits(requests=limit), now, 0, 0, is_call=False)
    draws = draw([charge], _requests)
    if draws[0].is_covered:
        try:
            run_transaction(lambda: store_drawn([charge], draws, ()))
        except RevokedError:
            draws = discard(draws, _requests)
        else:
            _readings.forget([key.pk])
            return True
    [result] = run_transaction(lambda: reserve([charge], draws, _requests))
    return isinstance(result, QuotaStatus)


class UsageCorrection(NamedTuple):
    """The actual usage of a call, which replaces its reservation."""

    charge: Reservation
    tokens: int
    cost: int | None


def reconcile(corrections: Iterable[UsageCorrection]) -> None:
    """Replaces estimates, inside the caller's transaction. If the cost is unknown, the estimate
    remains."""
    changes = []
    for charge, tokens, cost in corrections:
        known = cost if cost is not None else charge.cost
        change = Amounts(0, tokens - charge.tokens, (known or 0) - (charge.cost or 0))
        if change != NOTHING:
            changes.append((charge, change))
    if not changes:
        return
    _cover(changes)
    bulk_sql.run(_changes(changes))
    limited = {charge.key_id for charge, _ in changes if charge.limits.any}
    transaction.on_commit(lambda: _readings.forget(limited))


def _cover(changes: Sequence[tuple[Reservation, Amounts]]) -> None:
    """Calls that used more than estimated take the rest from the lease of their key, or end all
    its leases: others may have leased what is used already."""
    more = _extra(changes)
    if not more:
        return
    draws = _calls.draw(more)
    covered = [draw for draw in draws if draw.is_covered]
    if len(covered) < len(draws):
        key_usage.lock_alone(draw.key_id for draw in draws)
        ended = Outstanding(draw.key_id for draw in draws if not draw.is_covered)
        ended.end_all()
        ended.write()
    try:
        store(covered, ())
    except RevokedError:
        _calls.discard(covered)
        raise ConcurrentUpdateError("Another process ended a lease.") from None


def _extra(changes: Sequence[tuple[Reservation, Amounts]]) -> list[Want]:
    """What the calls of each key used in sum beyond their reservations."""
    latest: dict[int, Reservation] = {}
    sums: defaultdict[int, Amounts] = defaultdict(Amounts)
    for charge, change in changes:
        if charge.key_id == OWN_KEY or not charge.limits.any:
            continue
        before = latest.get(charge.key_id)
        latest[charge.key_id] = charge if before is None or before.at < charge.at else before
        sums[charge.key_id] = sums[charge.key_id].plus(change)
    found = []
    for key_id, charge in sorted(latest.items()):
        tokens = sums[key_id].tokens if charge.limits.tokens is not None else 0
        cost = sums[key_id].cost if charge.limits.is_hard_on_money else 0
        if tokens > 0 or cost > 0:
            want = _want(charge)
            found.append(want._replace(amounts=Amounts(0, max(0, tokens), max(0, cost))))
    return found


def _want(charge: Reservation) -> Want:
    """A key without limits per minute has leases for a day."""
    limits = charge.limits
    cost = charge.cost or 0
    if charge.cost is None and limits.is_hard_on_money:
        cost = UNBOUNDED  # refused, which no lease may hide
    amounts = Amounts(
        0 if limits.requests is None else 1,
        0 if limits.tokens is None else charge.tokens,
        cost if limits.by_money else 0,
    )
    day = charge.day
    return Want(charge.key_id, limits, day, charge.minute if limits.by_minute else day, amounts)


class _Counters:
    """The usage of locked keys, with the calls admitted so far in this transaction."""

    def __init__(self, charges: Sequence[Reservation], found: Outstanding) -> None:
        self._usage = _read(charges)
        self._leases = found
        self.admitted: list[Reservation] = []

    def admit(self, charge: Reservation) -> QuotaStatus | OverLimitError:
        """What others have leased but not used comes back before a call is refused."""
        if not charge.limits.any:
            self.admitted.append(charge)
            return QuotaStatus(charge.limits)
        used = _used(self._usage, charge)
        after = used.plus(charge.amounts)
        if refused := refusal(charge, after):
            return OverLimitError(*refused, status(charge, used))
        if refusal(charge, after.and_leased(self.leased(charge))):
            self._leases.end(self._leases.of(charge.key_id))
        self.admitted.append(charge)
        for span in charge.spans():
            self._usage[span] = self._usage.get(span, NOTHING).plus(charge.amounts)
        return status(charge, after)

    def taken(self, charge: Reservation) -> Used:
        """What calls have used and others have leased, in the periods of this charge."""
        return _used(self._usage, charge).and_leased(self.leased(charge))

    def latest(self) -> dict[int, tuple[Reservation, Used]]:
        """The last admitted charge of each limited key, and what the key has used with it."""
        in_order = sorted(self.admitted, key=lambda charge: charge.at)
        last = {charge.key_id: charge for charge in in_order if charge.limits.any}
        return {key_id: (each, _used(self._usage, each)) for key_id, each in last.items()}

    def leased(self, charge: Reservation) -> Used:
        """What others may still use in the same periods: at most, because some of it is used."""
        requests = tokens = today = month = 0
        for lease in self._leases.of(charge.key_id):
            if lease.minute == charge.minute:
                requests += lease.amounts.requests
                tokens += lease.amounts.tokens
            if lease.day == charge.day:
                today += lease.amounts.cost
            if charge.day.replace(day=1) <= lease.day <= charge.day:
                month += lease.amounts.cost
        return Used(requests, tokens, today, month)


def _used(usage: Mapping[Span, Amounts], charge: Reservation) -> Used:
    limits, key_id, day = charge.limits, charge.key_id, charge.day
    requests = tokens = today = before = 0
    if limits.by_money:
        today = usage.get((key_id, DAY, day), NOTHING).cost
    if limits.by_month:
        before = sum(
            amounts.cost
            for (key, span, at), amounts in usage.items()
            if key == key_id and span == DAY and day.replace(day=1) <= at < day
        )
    if limits.by_minute:
        minute = usage.get((key_id, MINUTE, charge.minute), NOTHING)
        requests, tokens = minute.requests, minute.tokens
    return Used(requests, tokens, today, before + today)


def _read(charges: Sequence[Reservation]) -> dict[Span, Amounts]:
    spans = {span for charge in charges for span in charge.spans()}
    months = {(each.key_id, each.day) for each in charges if each.limits.by_month}
    return key_usage.read(spans, months)


def _begin_leases(
    counters: _Counters, found: Outstanding, holder: Holder, small: Mapping[int, Draw]
) -> None:
    """A new lease for each key of which a call was admitted, unless the holder has one. `small`
    are the draws that covered no call."""
    for key_id, (charge, _) in counters.latest().items():
        draw = small.get(key_id)
        if draw is None or draw.holder is None or found.held(draw):
            continue
        wants = [_want(each).amounts for each in counters.admitted if each.key_id == key_id]
        largest = Amounts(*map(max, zip(*wants, strict=True)))
        amounts = slice_of(left(charge.limits, counters.taken(charge)), largest)
        if amounts != NOTHING:
            want = _want(charge)
            lease = want.lease(draw.holder, amounts)
            found.begin(lease)
            transaction.on_commit(partial(holder.keep, lease, want, draw.lease))


def _changes(charged: Iterable[tuple[Reservation, Amounts]]) -> list[Insertion]:
    """The rows that count these amounts, one for each sum."""
    sums: defaultdict[Span, Amounts] = defaultdict(Amounts)
    for charge, amounts in charged:
        for span in charge.spans():
            sums[span] = sums[span].plus(amounts)
    return key_usage.changes(sums)


class _Reading(NamedTuple):
    """What a key had used in its current periods when it was read, and what this process has
    admitted since."""

    at: float
    period: tuple[datetime, datetime]
    used: Used


class _Readings:
    """What limited keys have used, for the headers of responses."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[int, _Reading] = {}

    def refresh(self, charges: Sequence[Reservation]) -> None:
        """Reads what is missing or too old, with one query."""
        old = {charge.key_id: charge for charge in charges if not self._is_fresh(charge)}
        if not old:
            return
        usage = _read(list(old.values()))
        self.put({key_id: (each, _used(usage, each)) for key_id, each in old.items()})

    def put(self, latest: Mapping[int, tuple[Reservation, Used]]) -> None:
        now = time.monotonic()
        with self._lock:
            for key_id, (charge, used) in latest.items():
                self._found[key_id] = _Reading(now, _period(charge), used)

    def after(self, charge: Reservation) -> QuotaStatus:
        """The status once this call is admitted too."""
        with self._lock:
            reading = self._found.get(charge.key_id)
            if reading is None or reading.period != _period(charge):
                reading = _Reading(float("-inf"), _period(charge), Used())
            used = reading.used.plus(charge.amounts)
            self._found[charge.key_id] = reading._replace(used=used)
        return status(charge, used)

    def forget(self, key_ids: Iterable[int]) -> None:
        with self._lock:
            for key_id in key_ids:
                self._found.pop(key_id, None)

    def _is_fresh(self, charge: Reservation) -> bool:
        reading = self._found.get(charge.key_id)
        if reading is None or reading.period != _period(charge):
            return False
        return time.monotonic() - reading.at < STATUS_SECONDS


def _period(charge: Reservation) -> tuple[datetime, datetime]:
    return charge.day, charge.minute if charge.limits.by_minute else charge.day


def _is_named(limits: Limits) -> bool:
    """Whether responses name what is left of any of these limits."""
    soft = limits.soft_day is not None or limits.soft_month is not None
    return limits.by_minute or soft


_readings = _Readings()
