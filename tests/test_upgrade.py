"""Databases of earlier releases, with rows in them, upgrade to this one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from experiments.reports.logged import read_log
from experiments.reports.rollups import Span
from tests.upgrading import Models, migrated_to, newest, restored

pytestmark = pytest.mark.django_db(transaction=True)

FIRST = "0001_initial"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield from restored()


def add_decision(models: Models, number: int = 1) -> Any:
    return models("Decision").objects.create(
        id=UUID(int=number),
        created_at=NOON,
        revision=1,
        unit_hash="u",
        sticky=True,
        domain="technical",
        confidence=1.0,
        method="routellm",
        reason="test",
        tier="weak",
        model="openai/gpt-4.1-mini",
        intended_model="openai/gpt-4.1-mini",
        counted=True,
        explored=False,
        epsilon=0.0,
        input_tokens=10,
        priced=False,
    )


def test_reports_from_the_future_count_from_their_arrival() -> None:
    before = migrated_to(FIRST)
    times = (
        NOON - timedelta(days=1),
        NOON + timedelta(minutes=4),
        datetime(8999, 1, 1, tzinfo=UTC),
    )
    for number, occurred_at in enumerate(times, start=1):
        decision = add_decision(before, number)
        when = {"occurred_at": occurred_at, "received_at": NOON}
        before("Outcome").objects.create(decision=decision, **when)
        before("Feedback").objects.create(
            decision=decision, metric="quality", source="human", value=0.5, **when
        )

    after = migrated_to(newest())
    for name in ("Outcome", "Feedback"):
        rows = after(name).objects.order_by("decision_id")
        assert list(rows.values_list("occurred_at", flat=True)) == [*times[:2], NOON]


def test_audited_decisions_of_before_are_read_by_what_if() -> None:
    before = migrated_to("0002_reports_from_the_future")
    decision = add_decision(before)
    decision.odds, decision.scores = '{"openai/gpt-4.1-mini":0.5}', '{"local":0.4}'
    decision.experiment, decision.phase, decision.audited = "old", 2, True
    decision.save()

    migrated_to(newest())
    logged = read_log(Span(NOON - timedelta(days=1), NOON + timedelta(days=1)))
    assert logged.audited.tolist() == [True]
    assert logged.scores["local"].tolist() == [0.4]


def test_an_experiment_that_runs_keeps_its_plan_without_a_cost_cap() -> None:
    before = migrated_to(FIRST)
    plan = {"key": "cheaper", "hypothesis": "?", "status": "running", "min_days": 7}
    before("Experiment").objects.create(**plan, started_at=NOON)

    after = migrated_to(newest())
    row = after("Experiment").objects.get(key="cheaper")
    assert (row.status, row.min_days, row.started_at) == ("running", 7, NOON)
    assert (row.cost_cap, row.prior_sd, row.ship_reason) == (None, 0.2, "")
