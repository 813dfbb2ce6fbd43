"""What keys have used: locks keys, reads their usage, appends changes of it.

Usage is only appended (`experiments.models.sums`): a key without limits waits for nothing. Calls
of a limited key take its lock, which ends with the transaction. It is no row, so folding and
corrections do not wait for it. Calls that draw from a lease share it (`limits.leases`). To decide
by the usage, a transaction holds it alone: then every call admitted before is committed."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import connection
from django.db.models import Sum

from experiments.models import KeyUsage
from experiments.storage import bulk_sql
from experiments.storage.bulk_sql import Insertion, Statement

DAY, MINUTE = KeyUsage.DAY, KeyUsage.MINUTE
Span = tuple[int, str, datetime]


class Amounts(NamedTuple):
    requests: int = 0
    tokens: int = 0
    cost: int = 0

    def plus(self, other: "Amounts") -> "Amounts":
        return Amounts(
            self.requests + other.requests, self.tokens + other.tokens, self.cost + other.cost
        )


NOTHING = Amounts()


def lock(key_ids: Iterable[int], *, shared: bool = False) -> Statement | None:
    """The statement that locks keys in the order of their numbers, to be sent before anything of
    them is read. None on SQLite: it has one writer, who has its lock already."""
    if connection.vendor != "postgresql":
        return None
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    of_key = "(hashtextextended('switchyard-usage', key)) FROM unnest(%s::bigint[]) AS key"
    return Statement(f"SELECT {function}{of_key}", [sorted(set(key_ids))])


def lock_alone(key_ids: Iterable[int]) -> None:
    """Until the transaction ends no other one admits calls of these keys, and all that were
    admitted are committed."""
    if statement := lock(key_ids):
        with connection.cursor() as cursor:
            cursor.execute(*statement)


def read(
    spans: Collection[Span], months: Collection[tuple[int, datetime]] = ()
) -> dict[Span, Amounts]:
    """The usage in each of `spans` that has any, and in all days of the month before each of the
    days in `months`. One statement."""
    table = connection.ops.quote_name(KeyUsage._meta.db_table)
    adapt = connection.ops.adapt_datetimefield_value
    wanted = ["(key_id = %s AND span = %s AND starts_at = %s)"] * len(spans)
    values = [value for key_id, span, at in sorted(spans) for value in (key_id, span, adapt(at))]
    for key_id, day in sorted(months):
        wanted.append(f"(key_id = %s AND span = '{DAY}' AND starts_at >= %s AND starts_at < %s)")
        values += [key_id, adapt(day.replace(day=1)), adapt(day)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT key_id, span, starts_at, SUM(requests), SUM(tokens), SUM(cost) "  # noqa: S608
            f"FROM {table} WHERE {' OR '.join(wanted)} GROUP BY key_id, span, starts_at",
            values,
        )
        return {
            (key_id, span, _aware(at)): Amounts(int(requests), int(tokens), int(cost))
            for key_id, span, at, requests, tokens, cost in cursor.fetchall()
        }


def changes(amounts: Mapping[Span, Amounts]) -> list[Insertion]:
    """The rows to append, if any. Reads and writes nothing."""
    values = [
        {"key_id": key_id, "span": span, "starts_at": at, "folded": None, **found._asdict()}
        for (key_id, span, at), found in sorted(amounts.items())
    ]
    return [bulk_sql.appended(KeyUsage, values)] if values else []


def spent_today(key_id: int, now: datetime) -> int:
    """Nano-dollars this UTC day, calls in flight at their estimates. One query."""
    rows = KeyUsage.objects.filter(key_id=key_id, span=DAY, starts_at=day_of(now))
    return int(rows.aggregate(spent=Sum("cost", default=0))["spent"])


def minute_of(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def day_of(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _aware(at: datetime) -> datetime:
    """SQLite returns times without their zone, which is UTC."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)
