"""Leases admit calls without waiting, up to a limit, in any number of processes."""

import os
import random
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from experiments.decisions.folding import fold_all
from experiments.decisions.pruning import prune
from experiments.limits.budgets import (
    UsageCorrection,
    discard,
    draw,
    reconcile,
    reserve,
    statuses,
    store_drawn,
)
from experiments.limits.key_usage import spent_today
from experiments.limits.leases import SHARE, Holder, ProcessHolder, RevokedError
from experiments.limits.quotas import Limits, OverLimitError, QuotaStatus, Reservation
from experiments.models import KeyUsage, QuotaLease
from experiments.storage.transactions import run_transaction

pytestmark = pytest.mark.django_db(transaction=True)
NOON = datetime(2026, 11, 30, 12, 0, 30, tzinfo=UTC)
DAY = Limits(day=1_000)


def call(
    limits: Limits = DAY, cost: int | None = 1, key: int = 1, at: datetime = NOON, tokens: int = 10
) -> Reservation:
    return Reservation(key, limits, at, tokens, cost)


def take(holder: Holder, *charges: Reservation) -> list[str]:
    """As chat calls are admitted."""
    return [_take(holder, charge) for charge in charges]


def _take(holder: Holder, charge: Reservation) -> str:
    draws = draw([charge], holder)
    if draws[0].is_covered:
        try:
            run_transaction(lambda: store_drawn([charge], draws, ()))
        except RevokedError:
            draws = discard(draws, holder)
        else:
            return "leased"
    [found] = run_transaction(lambda: reserve([charge], draws, holder))
    return found.code if isinstance(found, OverLimitError) else "ok"


def is_leased(holder: Holder, charge: Reservation) -> bool:
    return draw([charge], holder)[0].is_covered


def test_first_call_begins_a_lease_that_admits_the_next_ones() -> None:
    holder = ProcessHolder()
    assert take(holder, *[call()] * 4) == ["ok", "leased", "leased", "leased"]
    lease = QuotaLease.objects.get()
    assert (lease.key_id, lease.cost) == (1, (1_000 - 1) // SHARE)
    assert (lease.requests, lease.tokens) == (0, 0)  # not limited


def test_what_is_leased_and_not_used_is_not_spent() -> None:
    take(ProcessHolder(), *[call()] * 3)
    assert spent_today(1, NOON) == 3


def test_leased_call_is_one_round_trip() -> None:
    holder = ProcessHolder()
    take(holder, call())
    with CaptureQueriesContext(connection) as queries:
        assert take(holder, call()) == ["leased"]
    statements = [
        each["sql"] for each in queries if each["sql"].split()[0] not in {"BEGIN", "COMMIT"}
    ]
    assert len(statements) == (1 if connection.vendor == "postgresql" else 2), statements
    assert not any("pg_advisory_xact_lock(" in each for each in statements)


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(day=200), "budget_day"),
        (Limits(month=200), "budget_month"),
        (Limits(requests=200), "requests_per_minute"),
        (Limits(tokens=2_000), "tokens_per_minute"),
        (Limits(200, 3_000, 250, 300), "requests_per_minute"),
    ],
)
def test_several_holders_admit_what_the_limit_allows_and_no_more(limits: Limits, code: str) -> None:
    holders = [ProcessHolder() for _ in range(3)]
    answers = Counter(take(holders[n % 3], call(limits))[0] for n in range(230))
    assert answers["ok"] + answers["leased"] == 200
    assert answers["leased"] > 100
    assert answers[code] == 30


def test_lease_of_a_killed_process_comes_back() -> None:
    take(ProcessHolder(), call())
    other = ProcessHolder()
    assert Counter(take(other, *[call()] * 1_000))["budget_day"] == 1
    assert spent_today(1, NOON) == 1_000


def test_ended_lease_admits_nothing() -> None:
    first, second = ProcessHolder(), ProcessHolder()
    take(first, call())
    assert take(second, call(cost=999)) == ["ok"]
    charge = call()
    draws = draw([charge], first)
    assert draws[0].is_covered
    with pytest.raises(RevokedError):
        run_transaction(lambda: store_drawn([charge], draws, ()))
    assert spent_today(1, NOON) == 1_000
    assert take(first, call()) == ["budget_day"]


def test_failed_transaction_uses_nothing_up() -> None:
    holder = ProcessHolder()
    take(holder, call())

    def fail() -> None:
        store_drawn([call()], draw([call()], holder), ())
        raise RuntimeError("disk full")

    for _ in range(200):
        with pytest.raises(RuntimeError):
            run_transaction(fail)
    answers = Counter(take(holder, *[call()] * 1_010))
    assert (answers["ok"] + answers["leased"], answers["budget_day"]) == (999, 11)


def test_forked_process_starts_without_leases() -> None:
    holder = ProcessHolder()
    take(holder, call())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"leased" if is_leased(holder, call()) else b"none")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 10) == b"none"
    assert is_leased(holder, call())


@pytest.mark.parametrize(
    "other",
    [
        call(Limits(day=900)),
        call(at=NOON + timedelta(days=1)),
        call(cost=999),
        call(cost=None),
        call(key=2),
    ],
)
def test_lease_is_for_its_limits_day_and_size(other: Reservation) -> None:
    holder = ProcessHolder()
    take(holder, call())
    assert not is_leased(holder, other)


def test_lease_of_a_limit_per_minute_ends_with_the_minute() -> None:
    holder, limits = ProcessHolder(), Limits(requests=100)
    take(holder, call(limits))
    assert is_leased(holder, call(limits))
    assert not is_leased(holder, call(limits, at=NOON + timedelta(minutes=1)))


def test_lowered_limit_holds_at_once() -> None:
    first, second = ProcessHolder(), ProcessHolder()
    take(first, *[call()] * 10)
    assert take(second, call(Limits(day=10))) == ["budget_day"]
    assert take(first, call(Limits(day=10))) == ["budget_day"]


def test_call_without_a_price_is_refused_next_to_a_lease() -> None:
    holder = ProcessHolder()
    assert take(holder, call(), call(cost=None)) == ["ok", "unpriced_model"]
    assert take(holder, call(Limits(soft_day=5), cost=None, key=2)) == ["ok"]


def test_status_counts_leased_calls_and_the_soft_budget() -> None:
    holder = ProcessHolder()
    limits = Limits(requests=100, soft_day=10)
    left, above = [], []
    for _ in range(14):
        charge = call(limits)
        if is_leased(holder, charge):
            [status] = statuses([charge])
            run_transaction(lambda: store_drawn([charge], draw([charge], holder), ()))  # noqa: B023
        else:
            [found] = run_transaction(
                lambda: reserve([charge], draw([charge], holder), holder)  # noqa: B023
            )
            assert isinstance(found, QuotaStatus)
            status = found
        left.append(status.requests_left)
        above.append(status.above_soft)
    assert left == list(range(99, 85, -1))
    assert above == [()] * 10 + [("day",)] * 4


def test_old_leases_are_deleted() -> None:
    take(ProcessHolder(), call())
    take(ProcessHolder(), call(key=2))
    later = NOON + timedelta(days=5)
    take(ProcessHolder(), call(at=later))
    assert set(QuotaLease.objects.values_list("key_id", "day__day")) == {(1, 5), (2, 30)}
    QuotaLease.objects.update(day=datetime.now(UTC) - timedelta(days=3))
    prune(NOON.date())
    assert not QuotaLease.objects.exists()


def test_correction_above_the_reservation_counts_against_leases() -> None:
    """Of a thousand, 900 are used; the rest is leased to another process, or was."""
    from experiments.limits import budgets

    other, charge = ProcessHolder(), call(cost=700)
    take(other, charge, call())
    assert is_leased(other, call())
    run_transaction(lambda: reconcile([UsageCorrection(charge, 10, 900)]))
    assert not QuotaLease.objects.exists()
    answers = Counter(take(other, *[call()] * 150))
    assert (answers["ok"] + answers["leased"], spent_today(1, NOON)) == (99, 1_000)

    own = call(key=2)
    take(budgets._calls, own, call(key=2))
    run_transaction(lambda: reconcile([UsageCorrection(own, 10, 50)]))
    assert QuotaLease.objects.filter(key_id=2).exists()
    answers = Counter(take(budgets._calls, *[call(key=2)] * 1_000))
    assert (answers["ok"] + answers["leased"], spent_today(2, NOON)) == (949, 1_000)


@pytest.mark.parametrize("seed", range(3))
def test_random_calls_are_refused_only_where_nothing_is_left(seed: int) -> None:
    """Holders come and go, calls cost more or less than estimated, and usage is folded."""
    chance = random.Random(seed)
    holders = [ProcessHolder() for _ in range(3)]
    limits = Limits(requests=400, tokens=9_000, day=20_000, month=22_000)
    used, refused = 0, 0
    for number in range(150):
        if number % 40 == 39:
            holders[chance.randrange(3)] = ProcessHolder()
            fold_all()
        charge = call(limits, chance.randint(1, 400), tokens=chance.randint(1, 60))
        answer = _take(chance.choice(holders), charge)
        rows = KeyUsage.objects.filter(key_id=1, span=KeyUsage.DAY)
        spent = sum(rows.values_list("cost", flat=True))
        if answer == "budget_day":
            refused += 1
            assert used + (charge.cost or 0) > 20_000
            assert spent == used
            continue
        assert answer in {"ok", "leased"}
        used += charge.cost or 0
        assert used <= 20_000
        if chance.random() < 0.3:
            actual = chance.randint(1, 500)
            run_transaction(lambda: reconcile([UsageCorrection(charge, 5, actual)]))  # noqa: B023
            used += actual - (charge.cost or 0)
        assert spent_today(1, NOON) == used
    assert refused > 5


def in_threads(count: int, work: Callable[[int], None]) -> None:
    def run(number: int) -> None:
        work(number)
        connection.close()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()


def test_50_of_200_are_admitted_by_holders_at_once() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    answers: Counter[str] = Counter()
    holders = [ProcessHolder() for _ in range(4)]
    limits = Limits(day=50, requests=60)

    def run(number: int) -> None:
        for _ in range(20):
            answers[_take(holders[number % 4], call(limits))] += 1

    in_threads(10, run)
    assert answers["ok"] + answers["leased"] == 50
    assert answers["leased"] > 0
    assert answers["budget_day"] == 150
    assert spent_today(1, NOON) == 50
