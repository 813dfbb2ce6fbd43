"""Savings from exact sums, against every alternative."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from pytest_django import DjangoAssertNumQueries
from uuid6 import uuid7

from experiments.analytics.savings import Alternative, pruned_days, savings_report
from experiments.models import Decision, Outcome

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SINCE, UNTIL = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def decision(tier: str = "strong", **values: Any) -> Decision:
    cost = {"strong": 100, "weak": 10, "selected": 40}[tier]
    fields: dict[str, Any] = {
        "id": UUID(str(uuid7())),
        "created_at": NOW,
        "revision": 1,
        "unit_hash": "u",
        "sticky": True,
        "domain": "technical",
        "confidence": 1.0,
        "method": "routellm",
        "reason": "r",
        "tier": tier,
        "model": "m",
        "intended_model": "m",
        "counted": False,
        "explored": False,
        "epsilon": 0.0,
        "input_tokens": 1,
        "priced": True,
        "cost": cost,
        "cost_strong": 100,
        "cost_weak": 10,
        "cost_baseline": 100,
    }
    return Decision.objects.create(**{**fields, **values})


def test_it_works() -> None:
    for tier in ("strong", "weak", "weak", "weak"):
        decision(tier)
    total = savings_report(SINCE, UNTIL).total
    assert (total.decisions, total.priced, total.cost, total.baseline) == (4, 4, 130, 400)
    assert total.saving == 270
    assert total.strong_share == 0.25
    assert total.always_strong == Alternative(4, 400, 130)
    assert total.always_weak == Alternative(4, 40, 130)
    # A random router that sends a quarter to the strong model: 4 * (100 / 4 + 10 * 3 / 4).
    assert total.random == Alternative(4, 130, 130)
    assert total.random.saving == 0


def test_routing_better_than_random_shows() -> None:
    """The prompts sent to the strong model are the cheap ones."""
    decision("strong", cost=20, cost_strong=20, cost_weak=2, cost_baseline=20)
    decision("weak", cost=10, cost_strong=100, cost_weak=10, cost_baseline=100)
    total = savings_report(SINCE, UNTIL).total
    assert total.random == Alternative(2, 66, 30)
    assert total.random.saving == 36


def test_an_outcomes_costs_replace_the_estimate() -> None:
    for _ in range(2):
        row = decision("weak")
    Outcome.objects.create(
        decision=row,
        occurred_at=NOW,
        received_at=NOW,
        cost=7,
        cost_strong=70,
        cost_weak=7,
        cost_baseline=70,
    )
    total = savings_report(SINCE, UNTIL).total
    assert (total.actual, total.estimated) == (1, 1)
    assert (total.cost, total.baseline) == (17, 170)


def test_an_outcome_without_costs_leaves_the_estimate() -> None:
    Outcome.objects.create(decision=decision("weak"), occurred_at=NOW, received_at=NOW)
    total = savings_report(SINCE, UNTIL).total
    assert (total.actual, total.estimated, total.cost) == (0, 1, 10)


def test_what_has_no_price_claims_no_saving() -> None:
    decision("weak", priced=False, cost=None)
    total = savings_report(SINCE, UNTIL).total
    assert (total.decisions, total.priced, total.saving) == (1, 0, 0)
    assert total.always_weak == Alternative(0, 0, 0)


def test_the_selectors_choices_do_not_count_in_the_random_baseline() -> None:
    decision("selected")
    decision("weak")
    total = savings_report(SINCE, UNTIL).total
    assert total.strong_share == 0.0
    assert total.random == Alternative(1, 10, 10)
    assert total.always_strong == Alternative(2, 200, 50)


def test_the_total_is_the_sum_of_the_domains() -> None:
    decision("strong", domain="creative")
    decision("weak", domain="technical")
    report = savings_report(SINCE, UNTIL)
    assert [line.domain for line in report.domains] == ["creative", "technical"]
    assert report.total.random.cost == sum(line.random.cost for line in report.domains)
    assert report.total.cost == sum(line.cost for line in report.domains)


def test_the_end_of_the_range_is_not_included() -> None:
    decision(created_at=SINCE)
    decision(created_at=UNTIL)
    assert savings_report(SINCE, UNTIL).total.decisions == 1


def test_large_sums_are_exact() -> None:
    big = 2**53 + 1
    for _ in range(3):
        decision("weak", cost=big, cost_weak=big)
    assert savings_report(SINCE, UNTIL).total.cost == 3 * big


def test_it_costs_two_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    decision()
    with django_assert_num_queries(2):
        savings_report(SINCE, UNTIL)


def test_pruned_days_are_those_that_begin_inside() -> None:
    noon = datetime(2026, 11, 2, 12, tzinfo=UTC)
    assert pruned_days(SINCE, noon) == (date(2026, 11, 1), date(2026, 11, 3))
    assert pruned_days(noon, UNTIL) == (date(2026, 11, 3), date(2026, 12, 1))
