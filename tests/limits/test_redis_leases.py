"""Leases in Redis: shared by all processes, exact whatever happens to Redis."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.limits import redis_leases
from experiments.limits.budgets import draw
from experiments.limits.key_usage import spent_today
from experiments.limits.leases import SHARE, ProcessHolder
from experiments.limits.quotas import Limits
from experiments.limits.redis_leases import PATIENCE_SECONDS, SILENT_SECONDS, SharedHolder
from experiments.models import QuotaLease
from tests.limits.redis_server import RedisServer, redis_server
from tests.limits.test_leases import DAY, NOON, call, in_threads, is_leased, take

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "calls"
KEY = f"switchyard:{NAME}:1"


@pytest.fixture
def server(tmp_path: Path, settings: Any) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as found:
        settings.REDIS_URL = found.url
        yield found
        redis_leases._client(found.url).close()
        redis_leases._client.cache_clear()


def process() -> SharedHolder:
    """What a process of its own has."""
    return SharedHolder(NAME, ProcessHolder())


def admitted(answers: "Counter[str]") -> int:
    return answers["ok"] + answers["leased"]


def test_processes_share_one_lease(server: RedisServer) -> None:
    first, second = process(), process()
    assert take(first, call()) == ["ok"]
    assert take(second, *[call()] * 3) == ["leased"] * 3
    assert QuotaLease.objects.get().cost == 999 // SHARE
    left = server.client.hget(KEY, "cost")
    assert left is not None
    assert int(left) == 999 // SHARE - 3
    assert spent_today(1, NOON) == 4


@pytest.mark.parametrize(
    "limits", [Limits(day=200), Limits(requests=200), Limits(tokens=2_000), Limits(month=200)]
)
def test_processes_admit_what_the_limit_allows_and_no_more(
    server: RedisServer, limits: Limits
) -> None:
    holders = [process() for _ in range(3)]
    answers = Counter(take(holders[n % 3], call(limits))[0] for n in range(230))
    assert admitted(answers) == 200
    assert answers["leased"] > 100


def test_threads_of_several_processes_at_once(server: RedisServer) -> None:
    from django.db import connection

    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    answers: Counter[str] = Counter()
    holders = [process() for _ in range(4)]

    def run(number: int) -> None:
        answers.update(take(holders[number % 4], *[call(Limits(day=50))] * 20))

    in_threads(10, run)
    assert (admitted(answers), answers["budget_day"]) == (50, 150)
    assert spent_today(1, NOON) == 50


def test_large_amounts_are_exact(server: RedisServer) -> None:
    """Beyond what a floating-point number of Lua holds exactly."""
    limits = Limits(day=8 * (2**60 + 1))
    holder = process()
    assert take(holder, call(limits, cost=8)) == ["ok"]
    lease = QuotaLease.objects.get()
    assert take(holder, call(limits, cost=3)) == ["leased"]
    left = server.client.hget(KEY, "cost")
    assert left is not None
    assert int(left) == lease.cost - 3


def test_lost_redis_stops_nothing_and_admits_nothing_beyond_the_limit(server: RedisServer) -> None:
    holders = [process() for _ in range(3)]
    answers = Counter(take(holders[n % 3], call())[0] for n in range(100))
    server.kill()
    answers += Counter(take(holders[n % 3], call())[0] for n in range(950))
    assert (admitted(answers), answers["budget_day"]) == (1_000, 50)
    assert spent_today(1, NOON) == 1_000


def test_redis_that_comes_back_empty_is_filled_from_the_database(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_leases, "SILENT_SECONDS", 0.0)
    holder = process()
    answers = Counter(take(holder, *[call()] * 100))
    server.kill()
    answers += Counter(take(holder, *[call()] * 10))
    server.start()
    answers += Counter(take(holder, *[call()] * 20))
    assert server.client.exists(KEY)
    answers += Counter(take(holder, *[call()] * 900))
    assert (admitted(answers), answers["budget_day"]) == (1_000, 30)


def test_a_process_that_does_not_reach_redis_shares_the_limit(server: RedisServer) -> None:
    near, far = process(), process()
    far._silent_until = float("inf")
    answers = Counter(take((near, far)[n % 2], call())[0] for n in range(1_050))
    assert (admitted(answers), answers["budget_day"]) == (1_000, 50)


def test_redis_that_hangs_delays_one_call(server: RedisServer) -> None:
    holder = process()
    take(holder, call())
    server.send(signal.SIGSTOP)
    try:
        started = time.monotonic()
        assert not is_leased(holder, call())
        assert time.monotonic() - started < 4 * PATIENCE_SECONDS
        assert take(holder, *[call()] * 50)[-1] == "leased"
        assert time.monotonic() - started < SILENT_SECONDS
    finally:
        server.send(signal.SIGCONT)


def test_older_data_gives_out_one_lease_again_and_no_more(server: RedisServer) -> None:
    """As after a restart from a copy. Another process has leased all the rest since."""
    holder, other = process(), ProcessHolder()
    take(holder, call())
    lease = QuotaLease.objects.get()
    copy: dict[Any, Any] = server.client.hgetall(KEY)
    assert take(other, call(cost=1_000 - 1 - lease.cost)) == ["ok"]
    take(holder, *[call()] * 100)
    server.client.hset(KEY, mapping=copy)
    answers = Counter(take(holder, *[call()] * 500))
    assert answers["budget_day"] == 500 - lease.cost
    assert 1_000 < spent_today(1, NOON) == 1_100 <= 1_000 + lease.cost


def test_without_a_redis_url_nothing_is_asked(settings: Any) -> None:
    settings.REDIS_URL = ""
    holder = process()
    assert take(holder, call(), call()) == ["ok", "leased"]
    assert draw([call(DAY)], holder)[0].holder != holder.id
