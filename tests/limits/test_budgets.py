"""Limits of keys per minute, day and month, at their boundaries."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from experiments.limits.budgets import UsageCorrection, reconcile, reserve
from experiments.limits.quotas import (
    Limits,
    OverLimitError,
    QuotaStatus,
    Reservation,
    limits_of_person,
    user_account,
)
from experiments.models import KeyUsage

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 30, 12, 0, 30, tzinfo=UTC)


def charge(
    limits: Limits, at: datetime = NOON, tokens: int = 10, cost: int | None = 100, key: int = 1
) -> Reservation:
    return Reservation(key, limits, at, tokens, cost)


def take(*charges: Reservation) -> list[str]:
    with transaction.atomic():
        found = reserve(charges)
    return [one.code if isinstance(one, OverLimitError) else "ok" for one in found]


def test_no_limit_takes_no_lock_and_is_counted_by_day() -> None:
    assert take(*[charge(Limits())] * 3) == ["ok"] * 3
    [row] = KeyUsage.objects.all()
    assert (row.span, row.requests, row.tokens, row.cost) == ("day", 3, 30, 300)


def test_within_one_batch_the_last_ones_are_refused() -> None:
    limits = Limits(day=250)
    assert take(*[charge(limits)] * 4) == ["ok", "ok", "budget_day", "budget_day"]


def test_cheap_call_fits_after_an_expensive_one_was_refused() -> None:
    limits = Limits(day=250)
    calls = [charge(limits, cost=200), charge(limits, cost=100), charge(limits, cost=50)]
    assert take(*calls) == ["ok", "budget_day", "ok"]


def test_refused_call_is_not_counted() -> None:
    take(*[charge(Limits(requests=1))] * 5)
    assert {row.requests for row in KeyUsage.objects.all()} == {1}


def test_message_for_a_user_without_a_key(settings: Any) -> None:
    settings.CHAT_BUDGET_PER_DAY, settings.API_KEY_REQUESTS_PER_MINUTE = 0.25, 0
    limits = limits_of_person()
    assert limits == Limits(day=250_000_000)
    with transaction.atomic():
        [refusal, unpriced] = reserve(
            [
                charge(limits, cost=250_000_001, key=user_account(7)),
                charge(limits, cost=None, key=user_account(7)),
            ]
        )
    assert str(refusal) == "Your budget of $0.25 a day (UTC) does not cover this call."
    assert str(unpriced).startswith("You have a budget and the chosen model has no price.")
    settings.CHAT_BUDGET_PER_DAY = 0.0
    assert limits_of_person() == Limits()


def test_usage_resets_with_each_minute_day_and_month() -> None:
    minute = Limits(requests=1)
    assert take(charge(minute), charge(minute)) == ["ok", "requests_per_minute"]
    assert take(charge(minute, NOON + timedelta(minutes=1))) == ["ok"]

    day = Limits(day=100)
    assert take(charge(day, key=2), charge(day, key=2)) == ["ok", "budget_day"]
    assert take(charge(day, NOON + timedelta(days=1), key=2)) == ["ok"]

    month = Limits(month=200)
    early = NOON - timedelta(days=20)
    assert take(charge(month, early, key=3), charge(month, key=3)) == ["ok", "ok"]
    assert take(charge(month, key=3)) == ["budget_month"]
    assert take(charge(month, NOON + timedelta(days=1), key=3)) == ["ok"]  # December


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        (Limits(requests=0), 30),
        (Limits(tokens=5), 30),
        (Limits(day=5), 12 * 3600 - 30),
        (Limits(month=5), 12 * 3600 - 30),  # the month's last day
    ],
)
def test_refusal_says_when_to_retry(limits: Limits, seconds: int) -> None:
    with transaction.atomic():
        [refused] = reserve([charge(limits)])
    assert isinstance(refused, OverLimitError)
    assert refused.retry_after == seconds


def test_correction_releases_the_unused_reservation() -> None:
    limits = Limits(tokens=100, day=1000)
    call = charge(limits, tokens=80, cost=900)
    assert take(call) == ["ok"]
    with transaction.atomic():
        reconcile([UsageCorrection(call, 20, 100)])
    assert take(charge(limits, tokens=80, cost=900)) == ["ok"]


def test_unknown_cost_keeps_the_estimate() -> None:
    call = charge(Limits(day=1000), cost=900)
    take(call)
    with transaction.atomic():
        reconcile([UsageCorrection(call, 10, None)])
    assert KeyUsage.objects.get().cost == 900


def test_correction_of_a_call_that_ran_past_midnight_counts_where_it_began() -> None:
    call = charge(Limits(day=1000), NOON, cost=900)
    take(call)
    with transaction.atomic():
        reconcile([UsageCorrection(call, 10, 100)])
    assert sum(row.cost for row in KeyUsage.objects.filter(starts_at__day=30)) == 100
    assert not KeyUsage.objects.exclude(starts_at__day=30).exists()


def test_soft_budget_admits_and_says_so() -> None:
    with transaction.atomic():
        found = reserve([charge(Limits(soft_day=150, soft_month=250))] * 3)
    above = [one.above_soft for one in found if isinstance(one, QuotaStatus)]
    assert above == [(), ("day",), ("day", "month")]


def test_price_that_is_unknown_is_refused_only_with_a_hard_budget() -> None:
    assert take(charge(Limits(day=10**9), cost=None)) == ["unpriced_model"]
    assert take(charge(Limits(soft_day=1), cost=None, key=2)) == ["ok"]


def test_keys_are_counted_separately() -> None:
    limits = Limits(requests=1)
    assert take(charge(limits, key=1), charge(limits, key=2)) == ["ok", "ok"]
