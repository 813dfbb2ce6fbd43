"""The log of decisions page by page: order, filters, marks, and no row read that is not shown."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pytest_django import DjangoAssertNumQueries

from experiments.decisions.queries import DecisionFilter, Mark, decision_page, every_decision
from experiments.models import Decision

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 20, tzinfo=UTC)
EVERYTHING = DecisionFilter(START - timedelta(days=1), START + timedelta(days=1))


def store(number: int, **fields: Any) -> Decision:
    """Two decisions share each moment, so that the id has to order them."""
    values: dict[str, Any] = {
        "id": UUID(int=number),
        "created_at": START + timedelta(seconds=number // 2),
        "revision": 1,
        "unit_hash": "u",
        "sticky": True,
        "domain": "technical",
        "confidence": 1.0,
        "method": "routellm",
        "reason": "score_below_threshold",
        "tier": "weak",
        "model": "openai/gpt-4.1-mini",
        "intended_model": "openai/gpt-4.1-mini",
        "counted": False,
        "explored": False,
        "epsilon": 0.0,
        "input_tokens": 1,
        "priced": True,
        "cost": 1_000_000,
    }
    return Decision.objects.create(**{**values, **fields})


def numbers(rows: tuple[Decision, ...]) -> list[int]:
    return [row.id.int for row in rows]


def wanted(**fields: Any) -> DecisionFilter:
    return DecisionFilter(EVERYTHING.since, EVERYTHING.until, **fields)


def test_pages_lead_through_everything_and_back(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(1, 8):
        store(number)
    with django_assert_num_queries(2):
        first = decision_page(EVERYTHING, size=3)
    assert numbers(first.rows) == [7, 6, 5]
    assert first.newer is None
    second = decision_page(EVERYTHING, before=first.older, size=3)
    assert numbers(second.rows) == [4, 3, 2]
    third = decision_page(EVERYTHING, before=second.older, size=3)
    assert (numbers(third.rows), third.older) == ([1], None)
    back = decision_page(EVERYTHING, after=third.newer, size=3)
    assert numbers(back.rows) == [4, 3, 2]
    start = decision_page(EVERYTHING, after=back.newer, size=3)
    assert (numbers(start.rows), start.newer) == ([7, 6, 5], None)


def test_nothing_stored_is_an_empty_page() -> None:
    assert decision_page(EVERYTHING) == ((), None, None)


def test_a_mark_past_the_end_is_an_empty_page() -> None:
    store(1)
    page = decision_page(EVERYTHING, before=Mark(START - timedelta(hours=1), UUID(int=9)))
    assert page.rows == ()
    assert page.older is None


@pytest.mark.parametrize(
    "fields",
    [
        {"domain": "legal"},
        {"model": "openai/gpt-4.1"},
        {"method": "always_strong"},
        {"reason": "router_failed"},
        {"fallback": "router_failed"},
        {"experiment": "cheaper"},
        {"arm": "weak"},
        {"revision": 7},
    ],
)
def test_a_filter_leaves_the_others_out(fields: dict[str, Any]) -> None:
    store(1)
    store(2, **fields)
    assert numbers(decision_page(wanted(**fields)).rows) == [2]


def test_cost_is_a_range_with_both_ends_in_it() -> None:
    for number, cost in enumerate([None, 10, 20, 30], start=1):
        store(number, cost=cost)
    assert numbers(decision_page(wanted(cost_from=10, cost_to=20)).rows) == [3, 2]
    assert numbers(decision_page(wanted(cost_from=0)).rows) == [4, 3, 2]


def test_a_flag_says_on_or_off_by_the_reason() -> None:
    store(1, reason="master_flag_off")
    store(2, reason="domain_flag_off")
    store(3, reason="holdout")
    store(4)
    store(5, domain="legal", reason="domain_flag_off")

    def found(flag: str, *, on: bool) -> list[int]:
        return numbers(decision_page(wanted(flag=flag, flag_on=on)).rows)

    assert found("routellm_enabled", on=False) == [1]
    assert found("routellm_enabled", on=True) == [5, 4, 3, 2]
    assert found("routellm_technical_domain", on=False) == [2]
    assert found("routellm_technical_domain", on=True) == [4]


def test_the_index_alone_finds_a_page() -> None:
    """Otherwise a filter that matches little would read a million rows."""
    rows = Decision.objects.filter(
        created_at__gte=START, domain="legal", model="m", reason="r", revision=3, cost__gte=1
    )
    plan = rows.order_by("-created_at", "-id").values_list("created_at", "id").explain()
    if "decision_list" not in plan:
        pytest.skip("PostgreSQL reads a table this small from end to end")
    assert "COVERING INDEX decision_list" in plan or "Index Only Scan" in plan


def test_every_decision_comes_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.decisions.queries.EXPORTED", 3)
    for number in range(1, 8):
        store(number)
    chunks = list(every_decision(EVERYTHING, ("id", "domain")))
    assert [len(chunk) for chunk in chunks] == [3, 3, 1]
    assert [row[0].int for chunk in chunks for row in chunk] == [7, 6, 5, 4, 3, 2, 1]
