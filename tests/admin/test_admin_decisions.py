"""The pages of decisions: quick with many rows, and explained."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from experiments.admin import paging
from experiments.configuration.policy_store import store
from experiments.models import Decision, Feedback, Outcome
from experiments.routing.route import RouteRequest, route
from experiments.routing.runtime import engine
from experiments.storage.unit_hash import hash_unit
from tests.admin.decision_rows import START, decision_row

LIST = "/admin/experiments/decision/"


@pytest.fixture
def decision(seeded: None) -> Decision:
    engine.warm_up(store.current())
    row = route(RouteRequest("How do I reverse a list?", unit_id="user-42", domain="technical"))
    return Decision.objects.get(pk=row.pk)


def page(row: Decision) -> str:
    return reverse("admin:experiments_decision_change", args=[row.pk])


def test_page_explains_the_decision(operator: Client, decision: Decision) -> None:
    response = operator.get(page(decision))
    assert response.context["sentence"].startswith(f"Sent to {decision.model}: ")
    content = response.content.decode()
    assert 'class="explanation"' in content
    assert "technical, as asked" in content
    assert "user-42" not in content
    assert content.count("None reported yet.") == 2


def test_outcome_and_feedback_are_on_the_page(operator: Client, decision: Decision) -> None:
    now = timezone.now()
    Outcome.objects.create(
        decision=decision, output_tokens=212, occurred_at=now, received_at=now, cost=2_300_000
    )
    Feedback.objects.create(
        decision=decision,
        metric="quality",
        source="human",
        value=1,
        occurred_at=now,
        received_at=now,
    )
    content = operator.get(page(decision)).content.decode()
    assert "212 output tokens, $0.0023, quality 1 (human)" in content
    assert "<td>212</td>" in content
    assert "<td>human</td>" in content


def test_replay_gives_the_same_decision(operator: Client, decision: Decision) -> None:
    response = operator.get(page(decision), {"replay": "1"})
    assert "is the same decision in every part" in response.content.decode()


def test_replay_that_differs_names_the_part(operator: Client, decision: Decision) -> None:
    Decision.objects.filter(pk=decision.pk).update(tier="selected", model="own/other")
    response = operator.get(page(decision), {"replay": "1"})
    differences = {part: stored for part, stored, _ in response.context["replay"].differences}
    assert differences["model"] == "own/other"


def test_replay_without_its_revision_says_so(operator: Client, decision: Decision) -> None:
    Decision.objects.filter(pk=decision.pk).update(revision=99)
    content = operator.get(page(decision), {"replay": "1"}).content.decode()
    assert "Revision 99 is gone" in content


def test_decisions_cannot_be_edited(administrator: Client, decision: Decision) -> None:
    assert administrator.get(f"{LIST}add/").status_code == 403
    assert administrator.post(page(decision), {"model": "x"}).status_code == 403
    delete = reverse("admin:experiments_decision_delete", args=[decision.pk])
    assert administrator.post(delete, {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(
    ("parameter", "value", "count"),
    [
        ("domain", "legal", 1),
        ("method", "always_weak", 1),
        ("model", "own/llm", 1),
        ("reason", "holdout", 1),
        ("fallback", "router_timeout", 1),
        ("fallback", "any", 1),
        ("experiment", "pricing-2", 1),
        ("time", "day", 1),
        ("time", "month", 2),
    ],
)
def test_filters(operator: Client, parameter: str, value: str, count: int) -> None:
    now = timezone.now()
    odd = {
        "domain": "legal",
        "method": "always_weak",
        "model": "own/llm",
        "reason": "holdout",
        "fallback": "router_timeout",
        "experiment": "pricing-2",
    }
    Decision.objects.bulk_create(
        [
            decision_row(START - timedelta(days=300)),
            decision_row(now - timedelta(days=3)),
            decision_row(now - timedelta(hours=2), **odd),
        ]
    )
    response = operator.get(LIST, {parameter: value})
    assert len(response.context["cl"].result_list) == count


def test_search_finds_a_decision_by_its_id_or_its_unit(operator: Client) -> None:
    row = decision_row(START, unit_hash=hash_unit("user-42"), request_id="req-7")
    Decision.objects.bulk_create([row, decision_row(START)])
    for term in (str(row.id), "user-42", "req-7"):
        found = operator.get(LIST, {"q": term}).context["cl"].result_list
        assert [decision.id for decision in found] == [row.id]
    assert not operator.get(LIST, {"q": "unknown"}).context["cl"].result_list


def test_search_for_a_unit_looks_through_the_newest_and_an_id_is_found_anywhere(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "LOOKED_THROUGH", 10)
    rows = [decision_row(START + timedelta(minutes=minute)) for minute in range(30)]
    rows[0].unit_hash = rows[25].unit_hash = hash_unit("user-42")
    Decision.objects.bulk_create(rows)
    of_unit = operator.get(LIST, {"q": "user-42"}).context["cl"].result_list
    assert [decision.id for decision in of_unit] == [rows[25].id]
    by_id = operator.get(LIST, {"q": str(rows[0].id)}).context["cl"].result_list
    assert [decision.id for decision in by_id] == [rows[0].id]


def test_list_neither_counts_nor_reads_the_detail(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    Decision.objects.bulk_create(decision_row(START) for _ in range(60))
    with django_assert_max_num_queries(9) as queries:
        content = operator.get(LIST).content.decode()
    sql = " ".join(query["sql"] for query in queries.captured_queries)
    assert "COUNT(" not in sql.upper()
    assert "DISTINCT" not in sql.upper()
    assert '"experiments_decision"."detail"' not in sql
    assert "60 decisions" in content


def test_more_than_it_counts(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "COUNTED", 50)
    Decision.objects.bulk_create(decision_row(START) for _ in range(60))
    assert "More than 50 decisions" in operator.get(LIST).content.decode()


def test_filter_without_an_index_looks_through_the_newest(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "LOOKED_THROUGH", 10)
    Decision.objects.bulk_create(
        decision_row(START + timedelta(minutes=minute)) for minute in range(30)
    )
    response = operator.get(LIST, {"reason": "policy"})
    assert len(response.context["cl"].result_list) == 10
    assert "These filters search only the newest 10 decisions" in response.content.decode()
    assert len(operator.get(LIST, {"reason": "policy", "time": ""}).context["cl"].result_list) == 10
    assert len(operator.get(LIST, {"domain": "technical"}).context["cl"].result_list) == 30
