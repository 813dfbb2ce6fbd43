"""Feedback on a computed metric, and reports from the future, are refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from experiments.models import Feedback, Outcome
from tests.api.client import API

FEEDBACK = "/api/v1/feedback"
COMPUTED = (
    "cost",
    "saving",
    "strong_share",
    "latency",
    "error_rate",
    "fallback_rate",
    "rated_share",
)


def rating(decision: Any, **fields: Any) -> dict[str, Any]:
    return {"decision_id": decision["decision_id"], "metric": "quality", "value": 0.75, **fields}


def ahead(**by: float) -> str:
    return (datetime.now(UTC) + timedelta(**by)).isoformat()


@pytest.mark.parametrize("metric", COMPUTED)
def test_feedback_on_a_computed_metric_is_refused(api: API, metric: str) -> None:
    answer = api.post(FEEDBACK, rating(api.route(), metric=metric))
    assert answer.fault == (400, "metric", "built_in_metric")
    assert f"'{metric}' is built in" in answer.error["message"]
    assert not Feedback.objects.exists()


def test_in_a_list_only_the_computed_metric_is_refused(api: API) -> None:
    decision = api.route()
    items = [rating(decision, metric="cost"), rating(decision), rating(decision, metric="stars")]
    answer = api.post(FEEDBACK, {"items": items})
    assert [result["status"] for result in answer.data["results"]] == [400, 204, 204]
    assert answer.data["results"][0]["error"]["code"] == "built_in_metric"


@pytest.mark.parametrize("when", [{"minutes": 6}, {"days": 1}, {"days": 365 * 100}])
def test_feedback_from_the_future_is_refused(api: API, when: dict[str, float]) -> None:
    answer = api.post(FEEDBACK, rating(api.route(), occurred_at=ahead(**when)))
    assert answer.fault == (400, "occurred_at", "out_of_range")
    assert not Feedback.objects.exists()


def test_in_a_list_only_the_future_is_refused(api: API) -> None:
    decision = api.route()
    items = [rating(decision, occurred_at=ahead(hours=1)), rating(decision)]
    answer = api.post(FEEDBACK, {"items": items})
    assert [result["status"] for result in answer.data["results"]] == [400, 204]
    assert answer.data["results"][0]["error"]["param"] == "items[0].occurred_at"


def test_an_outcome_from_the_future_is_refused(api: API) -> None:
    path = f"/api/v1/decisions/{api.route()['decision_id']}/outcome"
    answer = api.post(path, {"success": False, "occurred_at": ahead(minutes=6)})
    assert answer.fault == (400, "occurred_at", "out_of_range")
    assert not Outcome.objects.exists()


def test_a_clock_may_be_four_minutes_ahead(api: API) -> None:
    decision = api.route()
    assert api.post(FEEDBACK, rating(decision, occurred_at=ahead(minutes=4))).status == 204
    path = f"/api/v1/decisions/{decision['decision_id']}/outcome"
    assert api.post(path, {"success": True, "occurred_at": ahead(minutes=4)}).status == 204


def test_a_later_correction_overrides_a_clock_that_was_ahead(api: API) -> None:
    decision = api.route()
    api.post(FEEDBACK, rating(decision, value=0.1, occurred_at=ahead(minutes=1)))
    api.post(FEEDBACK, rating(decision, value=0.9, occurred_at=ahead(minutes=2)))
    assert Feedback.objects.get().value == 0.9
