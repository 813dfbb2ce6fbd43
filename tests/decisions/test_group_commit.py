"""Calls that wait for their turn share a transaction, and none pays for another's fault."""

import threading
from collections.abc import Sequence

import pytest
from django.db import IntegrityError, OperationalError, connection

from experiments.decisions import group_commit
from experiments.decisions.group_commit import store_decisions
from experiments.models import Decision, Rollup
from experiments.routing.route import RouteRequest, configuration, decide_one
from tests.installation import install

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def installed() -> None:
    install()


def decided(count: int) -> list[Decision]:
    policy, expected = configuration()
    return [decide_one(policy, expected, RouteRequest(f"Prompt {i}")) for i in range(count)]


def stored() -> set[object]:
    return set(Decision.objects.values_list("pk", flat=True))


def counted() -> int:
    return sum(Rollup.objects.values_list("decisions", flat=True))


def gathered(calls: Sequence[Sequence[Decision]]) -> list[BaseException | None]:
    """What each call ended with, when all but the first come while it writes."""
    errors: list[BaseException | None] = [None] * len(calls)

    def call(number: int) -> None:
        try:
            store_decisions(calls[number])
        except Exception as error:
            errors[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(calls))]
    with group_commit._turn:
        for thread in threads:
            thread.start()
        while len(group_commit._waiting) < len(calls):
            pass
    for thread in threads:
        thread.join()
    return errors


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many decisions each transaction was to hold."""
    sizes: list[int] = []
    write = group_commit._write

    def counting(rows: Sequence[Decision]) -> None:
        sizes.append(len(rows))
        write(rows)

    monkeypatch.setattr(group_commit, "_write", counting)
    return sizes


def test_who_waits_is_written_together(batches: list[int]) -> None:
    rows = decided(5)
    assert gathered([[row] for row in rows]) == [None] * 5
    assert batches == [5]
    assert stored() == {row.pk for row in rows}
    assert counted() == 5


def test_what_the_database_refuses_affects_no_other_call(batches: list[int]) -> None:
    first, good, bad = decided(3)
    store_decisions([first])
    bad.pk = first.pk
    errors = gathered([[good], [bad]])
    assert errors[0] is None
    assert isinstance(errors[1], IntegrityError)
    assert sorted(batches) == [1, 1, 1, 2]
    assert stored() == {first.pk, good.pk}
    assert counted() == 2


def test_a_database_that_is_away_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(rows: Sequence[Decision]) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(group_commit, "_write", away)
    errors = gathered([[row] for row in decided(3)])
    assert [type(error) for error in errors] == [OperationalError] * 3
    assert stored() == set()


def test_a_fault_of_ours_ends_the_call_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(rows: Sequence[Decision]) -> None:
        raise KeyError("fault")

    monkeypatch.setattr(group_commit, "_write", broken)
    with pytest.raises(KeyError):
        store_decisions(decided(1))
    assert not group_commit._waiting
