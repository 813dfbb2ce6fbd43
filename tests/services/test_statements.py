"""Statements by hand do what the ORM does, logged or not."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from experiments.models import Rollup
from experiments.services.routing import RouteRequest, route
from experiments.services.statements import insert

pytestmark = pytest.mark.usefixtures("seeded")


def test_a_logged_statement_counts_like_one_that_is_not() -> None:
    request = RouteRequest("Write a haiku about the sea.", unit_id="user-42")
    with CaptureQueriesContext(connection) as queries:
        route(request)
    once = Rollup.objects.get().decisions
    assert any("experiments_rollup" in query["sql"] for query in queries)
    route(request)
    assert (once, Rollup.objects.get().decisions) == (1, 2)


def test_a_refusal_of_the_database_is_djangos() -> None:
    row = route(RouteRequest("Write a haiku about the sea."))
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(row)
