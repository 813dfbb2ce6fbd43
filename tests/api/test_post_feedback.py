"""POST /api/v1/feedback."""

from decimal import Decimal
from typing import Any

import pytest
from uuid6 import uuid7

from experiments.configuration.revisions import revision
from experiments.models import Feedback, Flag, Metric
from tests.api.client import API

FEEDBACK = "/api/v1/feedback"


def rating(decision: Any, **fields: Any) -> dict[str, Any]:
    return {"decision_id": decision["decision_id"], "metric": "quality", "value": 0.75, **fields}


def test_it_works(api: API) -> None:
    body = rating(api.route(), source="judge", comment="Concise.")
    assert api.post(FEEDBACK, body).status == 204

    row = Feedback.objects.get()
    assert (row.metric, row.value, row.source, row.comment) == (
        "quality",
        0.75,
        "judge",
        "Concise.",
    )


def test_the_source_is_human_unless_said(api: API) -> None:
    api.post(FEEDBACK, rating(api.route()))
    assert Feedback.objects.get().source == "human"


def test_true_and_false_are_1_and_0(api: API) -> None:
    api.post(FEEDBACK, rating(api.route(), metric="thumbs_up", value=True))
    assert Feedback.objects.get().value == 1.0


def test_one_value_per_metric_and_source_the_latest_holds(api: API) -> None:
    decision = api.route()
    for hour, value in ((2, 0.2), (3, 0.3), (1, 0.1)):
        occurred_at = f"2026-11-20T0{hour}:00:00Z"
        api.post(FEEDBACK, rating(decision, value=value, occurred_at=occurred_at))
    assert Feedback.objects.get().value == 0.3


def test_of_two_at_the_same_time_the_greater_holds(api: API) -> None:
    decision = api.route()
    for value in (0.2, 0.9, 0.5):
        api.post(FEEDBACK, rating(decision, value=value, occurred_at="2026-11-20T00:00:00Z"))
    assert Feedback.objects.get().value == 0.9


def test_a_list_is_answered_item_by_item(api: API) -> None:
    decision = api.route()
    items = [
        rating(decision),
        rating({"decision_id": str(uuid7())}),
        rating(decision, value=1.5),
        rating(decision, source="judge", metric="Quality"),
        rating(decision, source="judge"),
        "good",
    ]
    answer = api.post(FEEDBACK, {"items": items})

    assert answer.status == 200
    assert [r["status"] for r in answer.data["results"]] == [204, 404, 400, 400, 204, 400]
    assert answer.data["results"][3]["error"]["param"] == "items[3].metric"
    assert Feedback.objects.count() == 2


def test_a_list_with_the_same_rating_twice_keeps_the_winner(api: API) -> None:
    decision = api.route()
    same = {"occurred_at": "2026-11-20T00:00:00Z"}
    items = [rating(decision, value=value, **same) for value in (0.4, 0.6, 0.5)]
    api.post(FEEDBACK, {"items": items})
    assert Feedback.objects.get().value == 0.6


def test_a_metric_that_is_defined_has_its_range(api: API) -> None:
    Metric.objects.create(name="stars", minimum=1, maximum=5)
    decision = api.route()
    assert api.post(FEEDBACK, rating(decision, metric="stars", value=5)).status == 204
    answer = api.post(FEEDBACK, rating(decision, metric="stars", value=6))
    assert answer.fault == (400, "value", "out_of_range")
    assert "from 1 to 5" in answer.error["message"]


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"value": -0.1}, "value", "out_of_range"),
        ({"value": 1.1}, "value", "out_of_range"),
        ({"value": "0.5"}, "value", "invalid_type"),
        ({"value": None}, "value", "missing"),
        ({"metric": None}, "metric", "missing"),
        ({"metric": "Quality"}, "metric", "invalid_value"),
        ({"metric": "q" * 61}, "metric", "invalid_value"),
        ({"decision_id": None}, "decision_id", "missing"),
        ({"decision_id": "latest"}, "decision_id", "invalid_type"),
        ({"source": ""}, "source", "empty"),
        ({"comment": "c" * 2001}, "comment", "too_long"),
        ({"comment": "c\x00"}, "comment", "nul_character"),
        ({"score": 1}, "score", "unknown_field"),
    ],
)
def test_the_invalid_field_is_named(
    api: API, change: dict[str, Any], param: str, code: str
) -> None:
    assert api.post(FEEDBACK, rating(api.route(), **change)).fault == (400, param, code)
    assert not Feedback.objects.exists()


def test_an_unknown_decision_is_404(api: API) -> None:
    answer = api.post(FEEDBACK, rating({"decision_id": str(uuid7())}))
    assert answer.fault == (404, "decision_id", "decision_not_found")


def test_while_the_flag_is_off_it_is_refused_and_says_so(api: API) -> None:
    decision = api.route()
    with revision("test"):
        Flag.objects.filter(key="routellm_quality_feedback").update(percentage=Decimal(0))
    answer = api.post(FEEDBACK, rating(decision))
    assert answer.fault == (403, None, "feedback_off")
    assert "routellm_quality_feedback" in answer.error["message"]
    assert not Feedback.objects.exists()


@pytest.mark.parametrize("items", [None, [], "quality", [{}] * 257])
def test_items_other_than_a_list_of_1_to_256_are_refused(api: API, items: object) -> None:
    answer = api.post(FEEDBACK, {"items": items})
    assert (answer.status, answer.error["param"]) == (400, "items")
