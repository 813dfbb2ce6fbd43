"""Hand-written SQL has the same effect as the ORM, logged or not."""

from datetime import UTC, datetime, timedelta
from datetime import timezone as fixed
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from experiments.models import Circuit, Decision, InFlightCall, Outcome, Rollup
from experiments.routing.route import RouteRequest, route
from experiments.storage.bulk_sql import appended, delete, insert, insert_all, present, put

pytestmark = pytest.mark.usefixtures("seeded")


def decisions_counted() -> int:
    """Of all domains: a router that is still loading may route the second call elsewhere."""
    return sum(Rollup.objects.values_list("decisions", flat=True))


def test_a_logged_statement_counts_like_one_that_is_not() -> None:
    request = RouteRequest("Write a haiku about the sea.", unit_id="user-42")
    with CaptureQueriesContext(connection) as queries:
        route(request)
    once = decisions_counted()
    assert any("experiments_rollup" in query["sql"] for query in queries)
    route(request)
    assert (once, decisions_counted()) == (1, 2)


def test_database_errors_are_djangos() -> None:
    row = route(RouteRequest("Write a haiku about the sea."))
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(row)


def test_present_values_are_returned_in_the_requested_order() -> None:
    first, second = (route(RouteRequest("Write a haiku.")).pk for _ in range(2))
    asked = [second, uuid4(), first]
    assert present(Decision, "id", asked) == [second, first]
    with transaction.atomic():
        assert present(Decision, "id", asked, locks=True) == [second, first]
    assert present(Outcome, "decision_id", asked) == []
    assert present(Decision, "id", []) == []


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
        datetime(2026, 1, 2, tzinfo=UTC),
        datetime(2026, 1, 2, 3, 4, tzinfo=fixed(timedelta(hours=2))),
    ],
)
def test_times_are_stored_as_django_stores_them(at: datetime) -> None:
    [[stored]] = appended(Circuit, [{"window_at": at}]).values
    assert stored == connection.ops.adapt_datetimefield_value(at)


def test_put_replaces_existing_values() -> None:
    now = timezone.now()
    row = {"model": "m", "window_at": now, "calls": 3, "failures": 1, "trips": 0, "reason": "busy"}
    put(Circuit, ["model"], [{**row, "open_until": now, "probe_until": None}])
    put(Circuit, ["model"], [{**row, "calls": 1, "open_until": None, "probe_until": None}])
    stored = Circuit.objects.get(model="m")
    assert (stored.calls, stored.failures, stored.window_at) == (1, 1, now)
    assert stored.open_until is None


def test_delete_counts_the_rows_it_deleted() -> None:
    now, ids = timezone.now(), [uuid4() for _ in range(3)]
    insert_all(
        [
            InFlightCall(decision_id=one, started_at=now, key_id=1, by_minute=True, tokens=5)
            for one in ids
        ]
    )
    assert delete(InFlightCall, "decision_id", [ids[0], uuid4(), ids[2]]) == 2
    assert list(InFlightCall.objects.values_list("pk", flat=True)) == [ids[1]]
    assert delete(InFlightCall, "decision_id", []) == 0
