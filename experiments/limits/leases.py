"""Leases: slices of keys' limits, from which calls are admitted without waiting for each other.

A lease is a row (`QuotaLease`) that takes a part of what a key has left. What is left of the lease
is known to its holder: a process in memory, or Redis for all (`limits.redis_leases`). A call draws
from it there, and its transaction counts the call only if the row still exists, under the key's
shared lock. A process in need of what others
have leased takes the key's lock alone and deletes their rows: what they did not use is free again,
and what they used is in the sums. So nothing is admitted beyond a limit, nothing is refused while
anything is left, and the lease of a process that was killed is not lost.

Memory may be wrong in one direction only: a transaction that failed has drawn in vain. What it
drew comes back with the next lease.

docs/decisions/0065-limits-by-leases.md gives the reasons."""

import os
import threading
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID, uuid4

from django.db import connection

from experiments.limits import key_usage
from experiments.limits.key_usage import NOTHING, Amounts
from experiments.models import QuotaLease
from experiments.storage import bulk_sql
from experiments.storage.bulk_sql import Insertion, Statement

SHARE = 8  # a lease is this part of what is left
LEAST_CALLS = 2  # a smaller lease is none: near a limit each call is admitted alone
KEPT = timedelta(days=1)
Terms = tuple[object, ...]


class RevokedError(Exception):
    """The lease that a call drew from does not exist any more: nothing was stored."""


class Want(NamedTuple):
    """What a call needs of its key's lease. `limits` are those it is admitted by."""

    key_id: int
    limits: tuple[int | None, ...]
    day: datetime
    minute: datetime
    amounts: Amounts

    @property
    def terms(self) -> Terms:
        """A lease covers calls with these terms only."""
        return (*self.limits, self.day, self.minute)

    def lease(self, holder: UUID, amounts: Amounts) -> "Lease":
        """A new lease for calls like this one."""
        return Lease(uuid4(), holder, self.key_id, self.day, self.minute, amounts)


class Draw(NamedTuple):
    """Whether a lease covers a call, and which: if not, the one that was found too small. `holder`
    is the one that was asked."""

    key_id: int
    holder: UUID | None = None
    lease: UUID | None = None
    is_covered: bool = True


class Lease(NamedTuple):
    """A row of `QuotaLease`."""

    id: UUID
    holder: UUID
    key_id: int
    day: datetime
    minute: datetime
    amounts: Amounts

    def insertion(self) -> Insertion:
        values = {**self._asdict(), **self.amounts._asdict()}
        del values["amounts"]
        return bulk_sql.appended(QuotaLease, [values])


class Holder(Protocol):
    """Knows what is left of leases."""

    def draw(self, wants: Sequence[Want]) -> list[Draw]:
        """Takes what is wanted from leases, where they cover it."""
        ...

    def keep(self, lease: Lease, want: Want, instead_of: UUID | None) -> None:
        """Holds a new lease, which is stored, for calls like this one."""
        ...

    def discard(self, draws: Iterable[Draw]) -> None:
        """Forgets leases that do not exist any more."""
        ...


class _Held:
    """What is left of a lease."""

    def __init__(self, lease: Lease, want: Want) -> None:
        self.id = lease.id
        self.terms = want.terms
        self.left = lease.amounts


class ProcessHolder:
    """Holds leases for the threads of this process. A forked process starts with none."""

    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self.id = uuid4()
        self._lock = threading.Lock()
        self._held: dict[int, _Held] = {}

    def draw(self, wants: Sequence[Want]) -> list[Draw]:
        with self._lock:
            return [self._draw(want) for want in wants]

    def _draw(self, want: Want) -> Draw:
        held = self._held.get(want.key_id)
        if held is None:
            return Draw(want.key_id, self.id, is_covered=False)
        left = Amounts(*(a - b for a, b in zip(held.left, want.amounts, strict=True)))
        if held.terms != want.terms or min(left) < 0:
            return Draw(want.key_id, self.id, held.id, is_covered=False)
        held.left = left
        return Draw(want.key_id, self.id, held.id)

    def keep(self, lease: Lease, want: Want, instead_of: UUID | None) -> None:
        with self._lock:
            self._held[lease.key_id] = _Held(lease, want)

    def discard(self, draws: Iterable[Draw]) -> None:
        with self._lock:
            for draw in draws:
                held = self._held.get(draw.key_id)
                if held is not None and held.id == draw.lease:
                    del self._held[draw.key_id]


def store(draws: Iterable[Draw], insertions: Sequence[Insertion]) -> None:
    """Inserts the rows of calls that leases cover; one round trip. Runs inside the caller's
    transaction. Raises RevokedError if a lease does not exist any more: roll back then."""
    drawn = {draw.lease: draw.key_id for draw in draws if draw.lease is not None}
    if not drawn:
        bulk_sql.run(insertions)
        return
    lock = key_usage.lock(drawn.values(), shared=True)
    check = _count(drawn.keys())
    [found] = bulk_sql.run(insertions, [check] if lock is None else [lock, check])
    if found != len(drawn):
        raise RevokedError


def _count(leases: Collection[UUID | None]) -> Statement:
    table = connection.ops.quote_name(QuotaLease._meta.db_table)
    field = QuotaLease._meta.pk
    values = [field.get_db_prep_value(lease, connection) for lease in leases]
    marks = ", ".join(["%s"] * len(values))
    return Statement(f"SELECT COUNT(*) FROM {table} WHERE id IN ({marks})", values)  # noqa: S608


class Outstanding:
    """The leases of some keys, read under their locks. What changes here is written by `write`."""

    def __init__(self, key_ids: Iterable[int]) -> None:
        columns = ("id", "holder", "key_id", "day", "minute", "requests", "tokens", "cost")
        rows = QuotaLease.objects.filter(key_id__in=set(key_ids)).values_list(*columns)
        self._leases = [
            Lease(pk, holder, key_id, day, minute, Amounts(*amounts))
            for pk, holder, key_id, day, minute, *amounts in rows
        ]
        self._ended: set[UUID] = set()
        self._new: list[Lease] = []

    def of(self, key_id: int) -> list[Lease]:
        return [each for each in self._leases if each.key_id == key_id]

    def end(self, leases: Iterable[Lease]) -> None:
        self._ended |= {lease.id for lease in leases}
        self._leases = [each for each in self._leases if each.id not in self._ended]

    def end_all(self) -> None:
        self.end(self._leases)

    def end_found_small(self, draws: Iterable[Draw]) -> None:
        """A lease that did not cover a call ends. If the holder knows none of a key, those it has
        are lost."""
        for draw in draws:
            self.end(each for each in self.held(draw) if draw.lease in {None, each.id})

    def held(self, draw: Draw) -> list[Lease]:
        """The leases of the holder that was asked."""
        return [each for each in self.of(draw.key_id) if each.holder == draw.holder]

    def end_old(self, now: datetime) -> None:
        self.end(each for each in self._leases if each.day < now - 2 * KEPT)

    def begin(self, lease: Lease) -> None:
        self._new.append(lease)

    def write(self) -> list[Insertion]:
        """Deletes the ended leases and returns the new ones, which are to be inserted."""
        if self._ended:
            bulk_sql.delete(QuotaLease, "id", sorted(self._ended))
        return [lease.insertion() for lease in self._new]


def slice_of(free: Amounts, largest: Amounts) -> Amounts:
    """How much to lease while this much is free. `largest` is what a call takes; NOTHING if too
    few calls like it would fit."""
    amounts = Amounts(*(max(0, each) // SHARE for each in free))
    fits = all(
        has >= LEAST_CALLS * takes for has, takes in zip(amounts, largest, strict=True) if takes
    )
    return amounts if fits else NOTHING
