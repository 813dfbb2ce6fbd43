"""The limits of keys and of users of the chat page: requests and tokens per minute, money per day
and month. Which calls they admit, and what is left; nothing here reads what was used."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.conf import settings

from experiments.core.money import NANO, usd
from experiments.limits.key_usage import DAY, MINUTE, Amounts, Span, day_of, minute_of
from experiments.models import APIKey

OWN_KEY = 0  # Switchyard's own calls are charged to it: no API key has this number


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

    @property
    def by_month(self) -> bool:
        return self.month is not None or self.soft_month is not None

    @property
    def is_hard_on_money(self) -> bool:
        return self.day is not None or self.month is not None

    @property
    def any(self) -> bool:
        return any(limit is not None for limit in self)


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


class Reservation(NamedTuple):
    """The expected usage of one call. `cost` is None if the price is unknown. A request of the
    REST API calls no model (`is_call` false): only its minute counts it."""

    key_id: int
    limits: Limits
    at: datetime
    tokens: int
    cost: int | None
    is_call: bool = True

    def as_detail(self) -> dict[str, Any]:
        """The part a decision stores, so that usage can be recomputed."""
        return {"key": self.key_id, "tokens": self.tokens, "cost": self.cost}

    @property
    def amounts(self) -> Amounts:
        return Amounts(1, self.tokens, self.cost or 0)

    @property
    def day(self) -> datetime:
        return day_of(self.at)

    @property
    def minute(self) -> datetime:
        return minute_of(self.at)

    def spans(self) -> list[Span]:
        """The sums that count it: its day, and its minute if its key has a limit per minute."""
        spans = [(self.key_id, DAY, self.day)] if self.is_call else []
        if self.limits.by_minute:
            spans.append((self.key_id, MINUTE, self.minute))
        return spans


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

    requests: int = 0
    tokens: int = 0
    day: int = 0
    month: int = 0

    def plus(self, amounts: Amounts) -> "Used":
        requests, tokens, cost = amounts
        return Used(
            self.requests + requests, self.tokens + tokens, self.day + cost, self.month + cost
        )

    def and_leased(self, leased: "Used") -> "Used":
        return Used(*(mine + theirs for mine, theirs in zip(self, leased, strict=True)))


class Refusal(NamedTuple):
    code: str
    message: str
    retry_after: int


def refusal(charge: Reservation, after: Used) -> Refusal | None:
    """Why a call is refused whose key would have used `after` with it; None if it is admitted."""
    limits, at = charge.limits, charge.at
    who, whose, has = _WORDS[charge.key_id < 0]
    if limits.requests is not None and after.requests > limits.requests:
        text = f"{who} may make {limits.requests:,} requests a minute."
        return Refusal("requests_per_minute", text, _seconds_to(_next_minute(at), at))
    if limits.tokens is not None and after.tokens > limits.tokens:
        text = (
            f"{who} may use {limits.tokens:,} tokens a minute; "
            f"this call needs about {charge.tokens:,}."
        )
        return Refusal("tokens_per_minute", text, _seconds_to(_next_minute(at), at))
    if charge.cost is None and limits.is_hard_on_money:
        text = f"{who} {has} a budget and the chosen model has no price. Give it one in the admin."
        return Refusal("unpriced_model", text, _seconds_to(_next_day(at), at))
    if limits.day is not None and after.day > limits.day:
        text = f"{whose} budget of ${usd(limits.day)} a day (UTC) does not cover this call."
        return Refusal("budget_day", text, _seconds_to(_next_day(at), at))
    if limits.month is not None and after.month > limits.month:
        text = f"{whose} budget of ${usd(limits.month)} a month (UTC) does not cover this call."
        return Refusal("budget_month", text, _seconds_to(_next_month(at), at))
    return None


_WORDS = {False: ("This key", "This key's", "has"), True: ("You", "Your", "have")}


def status(charge: Reservation, used: Used) -> QuotaStatus:
    limits = charge.limits
    soft = (("day", limits.soft_day, used.day), ("month", limits.soft_month, used.month))
    return QuotaStatus(
        limits,
        None if limits.requests is None else max(0, limits.requests - used.requests),
        None if limits.tokens is None else max(0, limits.tokens - used.tokens),
        _seconds_to(_next_minute(charge.at), charge.at),
        tuple(name for name, limit, spent in soft if limit is not None and spent > limit),
    )


UNBOUNDED = 2**62


def left(limits: Limits, used: Used) -> Amounts:
    """What can still be used before any limit, or a soft budget, is reached; 0 where there is no
    such limit."""
    money = [
        limit - spent
        for limit, spent in ((limits.day, used.day), (limits.month, used.month))
        if limit is not None
    ]
    money += [
        limit - spent
        for limit, spent in ((limits.soft_day, used.day), (limits.soft_month, used.month))
        if limit is not None and spent <= limit
    ]
    return Amounts(
        0 if limits.requests is None else limits.requests - used.requests,
        0 if limits.tokens is None else limits.tokens - used.tokens,
        min(money, default=UNBOUNDED) if limits.by_money else 0,
    )


def _nano(dollars: Decimal | None) -> int | None:
    return None if dollars is None else int(dollars * NANO)


def _next_minute(at: datetime) -> datetime:
    return minute_of(at) + timedelta(minutes=1)


def _next_day(at: datetime) -> datetime:
    return day_of(at) + timedelta(days=1)


def _next_month(at: datetime) -> datetime:
    return (day_of(at).replace(day=1) + timedelta(days=32)).replace(day=1)


def _seconds_to(then: datetime, now: datetime) -> int:
    return max(1, round((then - now).total_seconds()))
