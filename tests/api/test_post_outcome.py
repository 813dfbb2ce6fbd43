"""POST /api/v1/decisions/{id}/outcome."""

from datetime import UTC, datetime
from typing import Any

import pytest
from uuid6 import uuid7

from experiments.models import Outcome, PruneMark
from tests.api.client import API, secret_with


def path(decision: Any) -> str:
    return f"/api/v1/decisions/{decision['decision_id']}/outcome"


def test_it_works(api: API) -> None:
    body = {
        "input_tokens": 1000,
        "output_tokens": 500,
        "latency_ms": 812.5,
        "success": True,
        "occurred_at": "2026-11-20T10:00:00+01:00",
    }
    assert api.post(path(api.route()), body).status == 204

    row = Outcome.objects.get()
    assert (row.input_tokens, row.output_tokens, row.latency_ms) == (1000, 500, 812.5)
    assert (row.success, row.error) == (True, "")
    assert row.occurred_at == datetime(2026, 11, 20, 9, tzinfo=UTC)


def test_everything_is_optional(api: API) -> None:
    assert api.post(path(api.route()), {}).status == 204
    assert Outcome.objects.get().cost is None


def test_a_failure_carries_its_error(api: API) -> None:
    api.post(path(api.route()), {"success": False, "error": "429 from the provider"})
    assert Outcome.objects.get().error == "429 from the provider"


def test_the_latest_applies_in_any_order(api: API) -> None:
    decision = api.route()
    for hour, tokens in ((2, 20), (3, 30), (1, 10), (3, 30)):
        body = {"output_tokens": tokens, "occurred_at": f"2026-11-20T0{hour}:00:00Z"}
        assert api.post(path(decision), body).status == 204
    assert Outcome.objects.get().output_tokens == 30


def test_a_time_without_an_offset_is_utc(api: API) -> None:
    api.post(path(api.route()), {"occurred_at": "2026-11-20T10:00:00"})
    assert Outcome.objects.get().occurred_at == datetime(2026, 11, 20, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"output_tokens": -1}, "output_tokens", "out_of_range"),
        ({"output_tokens": 1.5}, "output_tokens", "invalid_type"),
        ({"output_tokens": "12"}, "output_tokens", "invalid_type"),
        ({"output_tokens": 1e30}, "output_tokens", "out_of_range"),
        ({"latency_ms": -0.5}, "latency_ms", "out_of_range"),
        ({"success": 1}, "success", "invalid_type"),
        ({"error": "e" * 501}, "error", "too_long"),
        ({"occurred_at": "yesterday"}, "occurred_at", "invalid_value"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at", "invalid_value"),
        ({"tokens": 1}, "tokens", "unknown_field"),
    ],
)
def test_the_invalid_field_is_named(api: API, body: dict[str, Any], param: str, code: str) -> None:
    assert api.post(path(api.route()), body).fault == (400, param, code)
    assert not Outcome.objects.exists()


def test_an_unknown_decision_is_404(api: API) -> None:
    answer = api.post(path({"decision_id": uuid7()}), {})
    assert answer.fault == (404, "decision_id", "decision_not_found")


def test_a_pruned_decision_is_410(api: API) -> None:
    PruneMark.objects.create(pruned_before=datetime(2100, 1, 1, tzinfo=UTC))
    assert api.post(path({"decision_id": uuid7()}), {}).status == 410


def test_the_scope_feedback_is_needed(api: API) -> None:
    decision = api.route()
    reader = API(api.document, secret_with("read", "route"))
    assert reader.post(path(decision), {}).fault == (403, None, "forbidden")


def test_limits_are_formatted_as_readable_numbers(api: API) -> None:
    message = api.post(path(api.route()), {"input_tokens": -1}).error["message"]
    assert message == "'input_tokens' must lie between 0 and 100,000,000."
