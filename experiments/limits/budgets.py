"""Limits of keys and of users of the chat page: requests and tokens per minute, money per day and
month.

A call is charged with its estimate on admission, in the transaction that stores its decision,
and corrected when it has ended. So concurrent calls cannot overdraw a budget together, and a
call whose process dies stays charged as estimated.

Usage is only appended (`experiments.models.sums`): a key without limits waits for nothing. Calls
of a limited key are admitted one batch after another, under a lock of that key which ends with
the transaction; it is no row, so folding and corrections do not wait for it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from django.db.models import Sum

from experiments.core.money import NANO, usd
from experiments.models import APIKey, KeyUsage
from experiments.storage import bulk_sql
from experiments.storage.transactions import run_transaction

DAY, MINUTE = KeyUsage.DAY, KeyUsage.MINUTE
OWN_KEY = 0  # Switchyard's own calls are charged to it: no API key has this number
Span = tuple[int, str, datetime]


class Limits(NamedTuple):
    """None means no limit. Money in nano-dollars."""

    requests: int | None = None
    tokens: int | None = None
    day: int | None = None
    month: int | None = None
    soft_day: int | None = None
    soft_month: int | None = None

    @property
    def by_minute(self) -> bool:
        return self.requests is not None or self.tokens is not None

    @property
    def by_money(self) -> bool:
        return any(limit is not None for limit in self[2:])


def requests_limit(key: APIKey) -> int | None:
    """Per minute. The key's own limit, else the default; 0 means no limit."""
    own = key.requests_per_minute
    return (settings.API_KEY_REQUESTS_PER_MINUTE if own is None else own) or None


def limits_of(key: APIKey) -> Limits:
    return Limits(
        requests_limit(key),
        key.tokens_per_minute,
        _nano(key.budget_day),
        _nano(key.budget_month),
        _nano(key.soft_budget_day),
        _nano(key.soft_budget_month),
    )


def user_account(user_id: int) -> int:
    """The account that calls without a key are charged to: a number that no key has."""
    return -user_id


def limits_of_person() -> Limits:
    """The limits of every user of the chat page."""
    return Limits(
        settings.API_KEY_REQUESTS_PER_MINUTE or None,
        day=_nano(Decimal(str(settings.CHAT_BUDGET_PER_DAY))) or None,
    )


def spent_today(key_id: int, now: datetime) -> int:
    """Nano-dollars this UTC day, calls in flight at their estimates. One query."""
    rows = KeyUsage.objects.filter(key_id=key_id, span=DAY, starts_at=_day(now))
    return int(rows.aggregate(spent=Sum("cost", default=0))["spent"])


class Reservation(NamedTuple):
    """The expected usage of one call. `cost` is None if the price is unknown."""

    key_id: int
    limits: Limits
    at: datetime
    tokens: int
    cost: int | None

    def as_detail(self) -> dict[str, Any]:
        """The part a decision stores, so that usage can be recomputed."""
        return {"key": self.key_id, "tokens": self.tokens, "cost": self.cost}


class QuotaStatus(NamedTuple):
    """What a key has left this minute, and which soft budgets it exceeds."""

    limits: Limits
    requests_left: int | None = None
    tokens_left: int | None = None
    resets_in: int = 0
    above_soft: tuple[str, ...] = ()


class OverLimitError(Exception):
    """A call that a key's limit refuses. `code` names the limit, `retry_after` is in seconds."""

    def __init__(self, code: str, message: str, retry_after: int, standing: QuotaStatus) -> None:
        self.code = code
        self.retry_after = retry_after
        self.standing = standing
        super().__init__(message)


class Used(NamedTuple):
    """What a key has used so far in the periods of its limits."""

    requests: int
    tokens: int
    day: int
    month: int

    def plus(self, charge: Reservation) -> "Used":
        cost = charge.cost or 0
        return Used(
            self.requests + 1, self.tokens + charge.tokens, self.day + cost, self.month + cost
        )


def reserve(charges: Sequence[Reservation]) -> list[QuotaStatus | OverLimitError]:
    """Charges each call that its key's limits admit; for each, in order, the remaining quota or
    the refusal. Runs inside the caller's transaction: until it ends no other one admits calls of
    the same limited keys."""
    results: list[QuotaStatus | OverLimitError] = [QuotaStatus(charge.limits) for charge in charges]
    counters = _Counters(charges)
    for index, charge in enumerate(charges):
        if charge.limits.by_money or charge.limits.by_minute:
            results[index] = _admit(charge, counters)
    admitted = zip(charges, results, strict=True)
    _add([(charge, 1) for charge, result in admitted if isinstance(result, QuotaStatus)])
    return results


def count_request(key: APIKey, now: datetime) -> bool:
    """Counts a request that calls no model, and returns whether the key's limit per minute
    admits it. Gateway calls use the same counter. No statement for a key without such a limit."""
    limit = requests_limit(key)
    if limit is None:
        return True
    table = connection.ops.quote_name(KeyUsage._meta.db_table)
    minute = (key.pk, MINUTE, connection.ops.adapt_datetimefield_value(_minute(now)))

    def count() -> bool:
        _lock([key.pk])
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} (key_id, span, starts_at, folded, requests) "  # noqa: S608
                "SELECT %s, %s, %s, NULL, 1 WHERE %s > (SELECT COALESCE(SUM(requests), 0) "
                f"FROM {table} WHERE key_id = %s AND span = %s AND starts_at = %s) "
                "RETURNING requests",
                [*minute, limit, *minute],
            )
            return cursor.fetchone() is not None

    return run_transaction(count)


class UsageCorrection(NamedTuple):
    """The actual usage of a call, which replaces its reservation."""

    charge: Reservation
    tokens: int
    cost: int | None


def reconcile(corrections: Iterable[UsageCorrection]) -> None:
    """Replaces estimates. If the cost is unknown, the estimate remains."""
    changes = []
    for charge, tokens, cost in corrections:
        known = cost if cost is not None else charge.cost
        change = charge._replace(
            tokens=tokens - charge.tokens, cost=(known or 0) - (charge.cost or 0)
        )
        if change.tokens or change.cost:
            changes.append((change, 0))
    _add(changes)


def _admit(charge: Reservation, counters: "_Counters") -> QuotaStatus | OverLimitError:
    used = counters.used(charge)
    after = used.plus(charge)
    refusal = _refusal(charge, after)
    if refusal is None:
        counters.add(charge)
        return _standing(charge, after)
    code, message, retry_after = refusal
    return OverLimitError(code, message, retry_after, _standing(charge, used))


def _refusal(charge: Reservation, after: Used) -> tuple[str, str, int] | None:
    limits, at = charge.limits, charge.at
    who, whose, has = _WORDS[charge.key_id < 0]
    if limits.requests is not None and after.requests > limits.requests:
        text = f"{who} may make {limits.requests:,} requests a minute."
        return "requests_per_minute", text, _seconds_to(_next_minute(at), at)
    if limits.tokens is not None and after.tokens > limits.tokens:
        text = (
            f"{who} may use {limits.tokens:,} tokens a minute; "
            f"this call needs about {charge.tokens:,}."
        )
        return "tokens_per_minute", text, _seconds_to(_next_minute(at), at)
    if charge.cost is None and (limits.day is not None or limits.month is not None):
        text = f"{who} {has} a budget and the chosen model has no price. Give it one in the admin."
        return "unpriced_model", text, _seconds_to(_next_day(at), at)
    if limits.day is not None and after.day > limits.day:
        text = f"{whose} budget of ${usd(limits.day)} a day (UTC) does not cover this call."
        return "budget_day", text, _seconds_to(_next_day(at), at)
    if limits.month is not None and after.month > limits.month:
        text = f"{whose} budget of ${usd(limits.month)} a month (UTC) does not cover this call."
        return "budget_month", text, _seconds_to(_next_month(at), at)
    return None


_WORDS = {False: ("This key", "This key's", "has"), True: ("You", "Your", "have")}


def _standing(charge: Reservation, used: Used) -> QuotaStatus:
    limits = charge.limits
    soft = (("day", limits.soft_day, used.day), ("month", limits.soft_month, used.month))
    return QuotaStatus(
        limits,
        None if limits.requests is None else max(0, limits.requests - used.requests),
        None if limits.tokens is None else max(0, limits.tokens - used.tokens),
        _seconds_to(_next_minute(charge.at), charge.at),
        tuple(name for name, limit, spent in soft if limit is not None and spent > limit),
    )


class _Counters:
    """The usage of keys, including the charges admitted so far in this transaction."""

    def __init__(self, charges: Sequence[Reservation]) -> None:
        limited = [each for each in charges if each.limits.by_money or each.limits.by_minute]
        self._rows = _locked(limited) if limited else {}
        self._earlier: dict[tuple[int, datetime], int] = {}
        self._added: defaultdict[tuple[int, datetime], int] = defaultdict(int)

    def used(self, charge: Reservation) -> Used:
        """One query for each key with a budget and day."""
        limits, day = charge.limits, _day(charge.at)
        requests = tokens = today = before = 0
        if limits.by_money:
            _, _, today = self._row(charge.key_id, DAY, day)
            before = self._spent_before(charge.key_id, day)
        if limits.by_minute:
            requests, tokens, _ = self._row(charge.key_id, MINUTE, _minute(charge.at))
        return Used(requests, tokens, today, before + today)

    def add(self, charge: Reservation) -> None:
        for span in _spans(charge):
            requests, tokens, cost = self._row(*span)
            self._rows[span] = requests + 1, tokens + charge.tokens, cost + (charge.cost or 0)
        self._added[charge.key_id, _day(charge.at)] += charge.cost or 0

    def _row(self, *span: Any) -> tuple[int, int, int]:
        return self._rows.get(span, (0, 0, 0))

    def _spent_before(self, key_id: int, day: datetime) -> int:
        if (key_id, day) not in self._earlier:
            self._earlier[key_id, day] = _spent_before(key_id, day)
        added = (
            cost
            for (key, at), cost in self._added.items()
            if key == key_id and day.replace(day=1) <= at < day
        )
        return self._earlier[key_id, day] + sum(added)


def _locked(charges: Sequence[Reservation]) -> dict[Any, tuple[int, int, int]]:
    """Requests, tokens and cost so far in every span that `charges` count in. Until the
    transaction ends no other one admits calls of these keys."""
    _lock({charge.key_id for charge in charges})
    spans = sorted({span for charge in charges for span in _spans(charge)})
    table = connection.ops.quote_name(KeyUsage._meta.db_table)
    adapt = connection.ops.adapt_datetimefield_value
    wanted = " OR ".join(["(key_id = %s AND span = %s AND starts_at = %s)"] * len(spans))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT key_id, span, starts_at, SUM(requests), SUM(tokens), SUM(cost) "  # noqa: S608
            f"FROM {table} WHERE {wanted} GROUP BY key_id, span, starts_at",
            [value for key_id, span, at in spans for value in (key_id, span, adapt(at))],
        )
        return {
            (key_id, span, _aware(at)): (int(requests), int(tokens), int(cost))
            for key_id, span, at, requests, tokens, cost in cursor.fetchall()
        }


def _lock(key_ids: Iterable[int]) -> None:
    """Locks keys in the order of their numbers, before anything of them is read. SQLite has one
    writer, who has its lock already."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('switchyard-usage', key)) "
            "FROM unnest(%s::bigint[]) AS key",
            [sorted(key_ids)],
        )


def _aware(at: datetime) -> datetime:
    """SQLite returns times without their zone, which is UTC."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _spans(charge: Reservation) -> list[Span]:
    """The rows that a charge counts in: its day, and its minute if its key has a limit per
    minute."""
    spans = [(charge.key_id, DAY, _day(charge.at))]
    if charge.limits.by_minute:
        spans.append((charge.key_id, MINUTE, _minute(charge.at)))
    return spans


def _spent_before(key_id: int, day: datetime) -> int:
    days = KeyUsage.objects.filter(
        key_id=key_id, span=DAY, starts_at__gte=day.replace(day=1), starts_at__lt=day
    )
    return int(days.aggregate(spent=Sum("cost"))["spent"] or 0)


def _add(changes: Sequence[tuple[Reservation, int]]) -> None:
    """Appends a change for every span that the charges count in."""
    rows: defaultdict[Span, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for charge, requests in changes:
        for span in _spans(charge):
            row = rows[span]
            row["requests"] += requests
            row["tokens"] += charge.tokens
            row["cost"] += charge.cost or 0
    if rows:
        values = [
            {
                "key_id": key_id,
                "span": span,
                "starts_at": at,
                "folded": None,
                **rows[key_id, span, at],
            }
            for key_id, span, at in sorted(rows)
        ]
        bulk_sql.run([bulk_sql.appended(KeyUsage, values)])


def _nano(dollars: Decimal | None) -> int | None:
    return None if dollars is None else int(dollars * NANO)


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _day(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _next_minute(at: datetime) -> datetime:
    return _minute(at) + timedelta(minutes=1)


def _next_day(at: datetime) -> datetime:
    return _day(at) + timedelta(days=1)


def _next_month(at: datetime) -> datetime:
    return (_day(at).replace(day=1) + timedelta(days=32)).replace(day=1)


def _seconds_to(then: datetime, now: datetime) -> int:
    return max(1, round((then - now).total_seconds()))
