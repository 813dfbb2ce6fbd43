"""Successes of healthy models are written together; a failure is written at once, with them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from experiments.limits import circuit_breakers
from experiments.limits.circuit_breakers import CallResult, record, tripped
from experiments.models import Circuit

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
OK, FAILED = CallResult("m", failed=False), CallResult("m", failed=True, reason="cut")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    circuit_breakers.invalidate()
    yield
    circuit_breakers.invalidate()


def _record(*results: CallResult, at: datetime = NOW) -> None:
    with transaction.atomic():
        record(results, at)


def test_successes_wait_and_a_failure_brings_them_along() -> None:
    _record(OK)
    for _ in range(7):
        _record(OK)
    assert Circuit.objects.get(model="m").calls == 1
    _record(FAILED)
    row = Circuit.objects.get(model="m")
    assert (row.calls, row.failures) == (9, 1)
    _record(FAILED)
    assert Circuit.objects.get(model="m").calls == 10  # nothing is counted twice


def test_successes_that_were_not_written_keep_a_circuit_closed() -> None:
    _record(OK)
    for _ in range(9):
        _record(OK)
    for _ in range(5):
        _record(FAILED)
    assert not tripped(NOW).closed_to_all


def test_a_transaction_that_is_rolled_back_counts_nothing() -> None:
    _record(OK)
    with transaction.atomic():
        record([OK], NOW)
        transaction.set_rollback(True)
    _record(FAILED)
    assert Circuit.objects.get(model="m").calls == 2


def test_the_success_of_a_probe_is_written_at_once() -> None:
    for _ in range(5):
        _record(FAILED)
    until = Circuit.objects.get(model="m").open_until
    assert until is not None
    tripped(NOW)  # reads that the circuit breaker is open
    _record(OK, at=until + timedelta(seconds=1))
    assert Circuit.objects.get(model="m").open_until is None
