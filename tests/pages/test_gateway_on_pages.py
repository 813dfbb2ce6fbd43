"""What the gateway did, on the pages: calls of models, and open circuit breakers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from experiments.decisions.outcomes import FinalCall, OutcomeReport, record_outcomes
from experiments.models import Attempt, Circuit, Decision
from experiments.routing.route import RouteRequest, route

STRONG, WEAK = "openai/gpt-4.1", "openai/gpt-4.1-mini"


def routed() -> Decision:
    return route(RouteRequest("Explain recursion.", domain="technical", unit_id="u"))


def attempt(row: Decision, number: int, **values: Any) -> None:
    usual = {"model": STRONG, "endpoint": "openai", "is_fallback": False, "status": "ok"}
    Attempt.objects.create(
        decision=row,
        number=number,
        started_at=datetime(2026, 11, 1, tzinfo=UTC),
        ended_ms=1234.5,
        **{**usual, **values},
    )


def page(client: Client, row: Decision) -> str:
    return client.get(f"/decisions/{row.pk}/").content.decode()


def test_calls_of_models_are_listed_in_order(viewer: Client) -> None:
    row = routed()
    attempt(row, 1, status="rate_limited", http_status=429, error="Slow down.", cost=0)
    attempt(
        row,
        2,
        model=WEAK,
        is_fallback=True,
        first_token_ms=87.4,
        input_tokens=1200,
        cached_tokens=1000,
        output_tokens=34,
        reasoning_tokens=20,
        cost=1_900_000,
    )
    content = page(viewer, row)
    assert f"{WEAK} answered as fallback for {STRONG}, after 1 failed call." in content
    for shown in (
        "rate limited",
        "Slow down.",
        "1,000 cached",
        "20 reasoning",
        "$0.0019",
        "fallback",
    ):
        assert shown in content
    assert content.index("rate limited") < content.index("1,000 cached")


def test_parameters_that_were_sent_otherwise_are_listed(viewer: Client) -> None:
    row = routed()
    changes = [
        {"parameter": "seed", "action": "drop", "detail": "left out", "rule": "claude-seed"},
        {"parameter": "user", "action": "drop", "detail": "left out", "rule": "learned"},
    ]
    attempt(row, 1, changes=changes)
    content = page(viewer, row)
    assert "Changed parameters" in content
    assert "seed: left out (rule claude-seed)" in content
    assert "user: left out (the provider refused it)" in content


def test_call_that_was_sent_as_it_came_lists_no_parameters(viewer: Client) -> None:
    row = routed()
    attempt(row, 1)
    assert "Changed parameters" not in page(viewer, row)


@pytest.mark.parametrize(
    ("statuses", "sentence"),
    [
        (["ok"], f"{STRONG} answered the first call."),
        (["failed", "failed", "ok"], f"{STRONG} answered after 2 failed calls."),
        (["failed"], f"No model answered after 1 call; the last was {STRONG}."),
        (
            ["hung_up"],
            f"The client disconnected during the call of {STRONG}; usage so far is counted.",
        ),
    ],
)
def test_sentence_about_the_calls(viewer: Client, statuses: list[str], sentence: str) -> None:
    row = routed()
    for number, status in enumerate(statuses, start=1):
        attempt(row, number, status=status, cost=None)
    assert sentence in page(viewer, row)


def test_decision_of_the_other_door_shows_no_calls(viewer: Client) -> None:
    assert "Model calls" not in page(viewer, routed())


def test_what_a_provider_said_is_no_markup(viewer: Client) -> None:
    row = routed()
    attempt(row, 1, status="failed", error="<script>alert(1)</script>")
    assert "<script>alert(1)" not in page(viewer, row)


def test_model_that_keeps_failing_needs_attention(viewer: Client) -> None:
    until = timezone.now() + timedelta(seconds=30)
    Circuit.objects.create(
        model=STRONG, window_at=timezone.now(), open_until=until, reason="Overloaded."
    )
    Circuit.objects.create(model=WEAK, window_at=timezone.now(), calls=9)
    content = viewer.get("/").content.decode()
    assert f"{STRONG} keeps failing" in content
    assert f"No calls until {until:%H:%M:%S} UTC" in content
    assert "Last error: Overloaded." in content
    assert f"{WEAK} keeps failing" not in content


def test_models_page_says_which_keep_failing_since_when_why_and_when_they_are_tried(
    viewer: Client,
) -> None:
    now = timezone.now()
    assert "keep failing" not in viewer.get("/models/").content.decode()
    Circuit.objects.create(
        model=STRONG,
        window_at=now,
        opened_at=datetime(2026, 11, 1, 9, 30, tzinfo=UTC),
        open_until=now + timedelta(minutes=1),
        trips=3,
        reason="Overloaded <now>.",
    )
    Circuit.objects.create(model=WEAK, window_at=now, open_until=now - timedelta(minutes=1))
    content = viewer.get("/models/").content.decode()
    assert f"{STRONG} and {WEAK} are temporarily unavailable (circuit breaker open)." in content
    assert "2026-11-01 09:30 UTC" in content
    assert "Overloaded &lt;now&gt;." in content
    assert f"No calls until {now + timedelta(minutes=1):%H:%M:%S} UTC" in content
    assert "The next call that would use it is the probe." in content
    assert content.count("circuit open</span>") == 4  # two models in both tables


def test_admin_shows_the_calls_and_changes_none(admin_client: Client, seeded: None) -> None:
    row = routed()
    attempt(row, 1, status="rate_limited", http_status=429, error="Slow down.")
    content = admin_client.get(f"/admin/experiments/decision/{row.pk}/change/").content.decode()
    assert "⚠ rate limited (429)" in content
    assert "Slow down." in content
    assert 'name="attempts-0-status"' not in content


def test_answer_of_another_model_is_shown_and_counts_as_a_fallback(viewer: Client) -> None:
    row = routed()
    report = OutcomeReport(timezone.now(), 1200, 34, 90.0, success=True)
    record_outcomes(
        {row.pk: report}, timezone.now(), {row.pk: FinalCall("openai/gpt-5-nano", 1000)}
    )
    assert "it failed, so openai/gpt-5-nano answered" in page(viewer, row)
    overview = viewer.get("/").content.decode()
    assert "<dt>fallbacks</dt><dd>100 %</dd>" in overview


def test_cost_of_another_model_says_nothing_about_the_estimate(viewer: Client) -> None:
    row = routed()
    report = OutcomeReport(timezone.now(), 1200, 34, 90.0, success=True)
    record_outcomes(
        {row.pk: report}, timezone.now(), {row.pk: FinalCall("openai/gpt-5-nano", 1000)}
    )
    assert "the estimate." not in viewer.get("/models/").content.decode()
    other = routed()
    record_outcomes({other.pk: report}, timezone.now(), {other.pk: FinalCall(other.model, 1000)})
    assert "below the estimate." in viewer.get("/models/").content.decode()
