"""Conflicting transactions are retried, and an error fails only its own call."""

import threading
import time
from collections.abc import Callable, Sequence

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from experiments.decisions.group_commit import _Waiting, _write_together
from experiments.gateway.admission import Admitted, admit
from experiments.gateway.call_request import asking
from experiments.gateway.protocols.chat import read_chat
from experiments.limits import circuit_breakers
from experiments.models import APIKey, Circuit, Decision, KeyUsage, Rollup, Scope
from experiments.routing.route import (
    RouteRequest,
    StorageUnavailableError,
    configuration,
    decide_one,
)
from experiments.storage.transactions import (
    MAX_ATTEMPTS,
    ConcurrentUpdateError,
    retry_conflicts,
    run_transaction,
    write_each,
)
from tests.database_faults import DEADLOCK, SERIALIZATION, TOO_LARGE, refusing
from tests.installation import install

pytestmark = pytest.mark.django_db(transaction=True)

POSTGRESQL_ONLY = "SQLite has one writer: its transactions cannot wait for each other in a circle"
CHAT = b'{"model": "router/%s", "messages": [{"role": "user", "content": "Sort it."}]}'


def in_threads(*works: Callable[[], object]) -> list[BaseException]:
    raised: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


def circuit(model: str) -> None:
    Circuit.objects.create(model=model, window_at=timezone.now())


def count(model: str) -> int:
    changed = Circuit.objects.get(model=model)
    Circuit.objects.filter(model=model).update(calls=changed.calls + 1)
    return changed.calls


def test_a_real_deadlock_is_retried_until_both_have_written() -> None:
    if connection.vendor != "postgresql":
        pytest.skip(POSTGRESQL_ONLY)
    circuit("a")
    circuit("b")
    together, attempts = threading.Barrier(2), []

    def crossing(*models: str) -> Callable[[], object]:
        tried: list[str] = []

        def work() -> None:
            tried.append(models[0])
            attempts.append(models[0])
            count(models[0])
            if len(tried) == 1:
                together.wait(30)
            count(models[1])

        return lambda: run_transaction(work)

    assert in_threads(crossing("a", "b"), crossing("b", "a")) == []
    assert [row.calls for row in Circuit.objects.all()] == [2, 2]
    assert len(attempts) == 3


def test_a_serialization_failure_is_retried() -> None:
    if connection.vendor != "postgresql":
        pytest.skip(POSTGRESQL_ONLY)
    circuit("a")
    read, written, seen = threading.Event(), threading.Event(), []

    def work() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        seen.append(Circuit.objects.get(model="a").calls)
        read.set()
        written.wait(30)
        count("a")

    def other() -> None:
        read.wait(30)
        count("a")
        written.set()

    assert in_threads(lambda: run_transaction(work), other) == []
    assert (seen, Circuit.objects.get().calls) == ([0, 1], 2)


def test_a_busy_sqlite_is_tried_again() -> None:
    """SQLite in memory does not wait: it reports at once that the table is locked."""
    if connection.vendor != "sqlite":
        pytest.skip("SQLite's own")
    circuit("a")
    begun, attempts = threading.Event(), []

    def slow() -> None:
        with transaction.atomic():
            count("a")
            begun.set()
            time.sleep(0.2)

    def work() -> None:
        attempts.append(1)
        count("a")

    def waiting() -> None:
        begun.wait(30)
        run_transaction(work)

    assert in_threads(slow, waiting) == []
    assert Circuit.objects.get().calls == 2
    assert len(attempts) == 1


def test_a_lasting_conflict_is_raised_after_a_few_attempts() -> None:
    attempts: list[float] = []

    def work() -> None:
        attempts.append(time.monotonic())
        raise ConcurrentUpdateError

    with pytest.raises(ConcurrentUpdateError):
        run_transaction(work)
    assert len(attempts) == MAX_ATTEMPTS
    assert attempts[-1] - attempts[0] < 5


def test_another_error_is_raised_at_once() -> None:
    attempts: list[int] = []

    def work() -> None:
        attempts.append(1)
        raise IntegrityError

    with pytest.raises(IntegrityError):
        run_transaction(work)
    assert attempts == [1]


def test_what_was_written_before_the_conflict_is_not_written_twice() -> None:
    attempts: list[int] = []

    def work() -> None:
        circuit(f"attempt-{len(attempts)}")
        attempts.append(1)
        if len(attempts) < 3:
            raise ConcurrentUpdateError

    run_transaction(work)
    assert [row.model for row in Circuit.objects.all()] == ["attempt-2"]


def test_only_the_outermost_transaction_is_retried() -> None:
    inner: list[int] = []
    outer: list[int] = []

    def nested() -> None:
        inner.append(1)
        if len(inner) == 1:
            raise ConcurrentUpdateError

    def work() -> None:
        outer.append(1)
        retry_conflicts(lambda: run_transaction(nested))

    run_transaction(work)
    assert (len(outer), len(inner)) == (2, 2)


def test_an_error_fails_only_its_own_item() -> None:
    written: list[int] = []

    def write(items: Sequence[int]) -> Sequence[int]:
        if 2 in items:
            raise OperationalError from _Refusal("54000")
        written.extend(items)
        return [10 * item for item in items]

    first, second, third = write_each([1, 2, 3], write)
    assert (first, third) == (10, 30)
    assert isinstance(second, OperationalError)
    assert written == [1, 3]


class _Refusal(Exception):  # noqa: N818 - what a driver raises
    def __init__(self, sqlstate: str | None) -> None:
        self.sqlstate = sqlstate


@pytest.mark.parametrize("state", [None, "08006", "57P01", "53300", "53100", "25006"])
def test_an_unavailable_database_is_tried_once(state: str | None) -> None:
    asked: list[int] = []

    def write(items: Sequence[int]) -> Sequence[int]:
        asked.append(len(items))
        raise OperationalError from _Refusal(state)

    assert [type(error) for error in write_each([1, 2, 3], write)] == [OperationalError] * 3
    assert asked == [3]


def decided(count: int) -> list[Decision]:
    policy, expected = configuration()
    return [
        decide_one(policy, expected, RouteRequest(f"Prompt {i}", request_id=f"r{i}"))
        for i in range(count)
    ]


@pytest.mark.parametrize("code", [DEADLOCK, SERIALIZATION, TOO_LARGE])
def test_a_group_of_decisions_loses_only_the_one_that_is_refused(code: str) -> None:
    install()
    calls = [_Waiting([row]) for row in decided(4)]
    with refusing(Decision, "NEW.request_id = 'r2'", code):
        _write_together(calls)
    assert [call.error is None for call in calls] == [True, True, False, True]
    assert isinstance(calls[2].error, DatabaseError)
    assert sum(row.decisions for row in Rollup.objects.all()) == 3


@pytest.mark.parametrize("code", [DEADLOCK, SERIALIZATION, TOO_LARGE])
def test_a_group_of_chat_calls_loses_only_the_one_that_is_refused(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none-at-all")
    install()
    circuit_breakers.invalidate()
    secret = APIKey.issue("tests", [Scope.ROUTE]).secret
    chats = [read_chat(CHAT % domain, None) for domain in (b"technical", b"creative", b"technical")]
    with refusing(Decision, "NEW.domain = 'creative'", code):
        first, second, third = admit([asking(chat, secret, "r") for chat in chats])
    assert isinstance(first, Admitted)
    assert isinstance(second, StorageUnavailableError)
    assert isinstance(third, Admitted)
    usage = list(KeyUsage.objects.all())
    assert sum(row.requests for row in usage) == 2
    assert sum(row.tokens for row in usage) == first.charge.tokens + third.charge.tokens
