"""What a router, a provider or a library said is stored with such characters replaced."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from uuid6 import uuid7

from experiments.decisions.attempts import Attempted
from experiments.decisions.group_commit import store_decisions
from experiments.decisions.outcomes import OutcomeReport
from experiments.gateway.settlement import Settlement, settle
from experiments.limits.quotas import Limits, Reservation
from experiments.models import Attempt, Circuit, Decision, InFlightCall, Outcome
from experiments.routing.route import RouteRequest, route
from experiments.storage.bulk_sql import insert

pytestmark = pytest.mark.usefixtures("seeded")
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def another(row: Decision) -> Decision:
    row.pk = row.id = UUID(str(uuid7()))
    return row


def test_what_a_router_said() -> None:
    row = another(route(RouteRequest("Prove it.", metadata={"a": "b\x00"}, request_id="r\x00")))
    row.detail["fallbacks"] = [{"reason": "router_failed", "detail": "a\x00b\ud800"}]
    row.fallback, row.reason = "f\x00", "\udfff"
    store_decisions([row])
    kept = Decision.objects.get(pk=row.pk)
    assert kept.detail["fallbacks"] == [{"reason": "router_failed", "detail": "a\ufffdb\ufffd"}]
    assert kept.detail["metadata"] == {"a": "b\ufffd"}
    assert (kept.fallback, kept.reason, kept.request_id) == ("f\ufffd", "\ufffd", "r\ufffd")


def test_what_a_provider_said() -> None:
    row, charge = route(RouteRequest("Prove it.")), Reservation(1, Limits(), NOW, 10, 100)
    attempt = Attempted("m", "e", False, NOW, 5.0, "failed", error="no\x00 \ud800")
    report = OutcomeReport(NOW, success=False, error="no\x00 \ud800")
    InFlightCall.objects.create(
        decision_id=row.pk, started_at=NOW, key_id=1, by_minute=False, tokens=10, cost=100
    )
    settle([Settlement(row, charge, (attempt,), report, "m\x00", 0, 0)])
    outcome = Outcome.objects.get(pk=row.pk)
    assert (outcome.error, outcome.model) == ("no\ufffd \ufffd", "m\ufffd")
    assert Attempt.objects.get().error == "no\ufffd \ufffd"
    assert Circuit.objects.get().model == "m"


def test_the_prompt_where_its_domain_keeps_it() -> None:
    row = another(route(RouteRequest("Prove it.")))
    row.text = "a\x00b\ud83d\ude42"
    insert(row)
    assert Decision.objects.get(pk=row.pk).text == "a\ufffdb🙂"
