"""Tracked decisions, and the reports made from them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from experiments.python_api.tracking import CostTracker, RoutingMetrics

START = datetime(2026, 11, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tracker(clock: Clock) -> CostTracker:
    return CostTracker(30, clock=clock)


def track(tracker: CostTracker, **values: Any) -> str:
    defaults: dict[str, Any] = {
        "text": "Is this mole dangerous?",
        "domains": [("medical", 0.4)],
        "routing_method": "routellm",
        "selected_model": "weak",
        "estimated_cost": 0.25,
        "routing_latency_ms": 2.0,
        "routing_confidence": 0.75,
        "success": True,
        "error_message": None,
    }
    return tracker.track_routing_decision(**defaults | values)


def test_it_works(tracker: CostTracker) -> None:
    tracking_id = track(tracker, baseline_cost=1.0)
    (metrics,) = tracker.metrics
    assert metrics.tracking_id == tracking_id
    assert metrics.timestamp == START
    assert metrics.input_text_length == 23
    assert metrics.detected_domains == ["medical"]
    assert metrics.domain_confidence == 0.4
    assert metrics.cost_savings_vs_baseline == 0.75


def test_the_arguments_in_their_order(tracker: CostTracker) -> None:
    tracker.track_routing_decision(
        "text", ["legal"], "domain_selector", "strong", 1.0, 5.0, 0.5, False, "no model"
    )
    (metrics,) = tracker.metrics
    assert metrics.detected_domains == ["legal"]
    assert metrics.error_message == "no model"
    assert not metrics.success


def test_the_text_is_not_kept(tracker: CostTracker) -> None:
    track(tracker, text="my secret")
    assert "my secret" not in repr(tracker.metrics)


def test_report(tracker: CostTracker) -> None:
    first = track(tracker, baseline_cost=1.0)
    track(tracker, selected_model="strong", estimated_cost=1.0, baseline_cost=1.0)
    track(tracker, routing_method="domain_selector", estimated_cost=0.5, routing_latency_ms=5.0)
    track(tracker, routing_method="domain_selector", estimated_cost=None, success=False)
    tracker.update_quality_score(first, 0.9)
    report = tracker.get_cost_savings_report()
    assert report.total_requests == 4
    assert report.routellm_requests == 2
    assert report.traditional_requests == 2
    assert report.total_estimated_cost == 1.75
    assert report.routellm_estimated_cost == 1.25
    assert report.traditional_estimated_cost == 0.5
    assert report.estimated_savings == 0.75
    assert report.savings_percentage == 37.5
    assert report.average_routing_latency_ms == 2.75
    assert report.success_rate == 0.75
    assert report.average_quality_score == 0.9
    assert (report.priced_requests, report.unpriced_requests) == (2, 2)


def test_no_saving_is_claimed_without_a_baseline_price(tracker: CostTracker) -> None:
    track(tracker)
    report = tracker.get_cost_savings_report()
    assert report.estimated_savings == 0.0
    assert report.savings_percentage == 0.0
    assert report.priced_requests == 0


def test_an_unknown_cost_is_not_zero(tracker: CostTracker) -> None:
    track(tracker, estimated_cost=None)
    report = tracker.get_cost_savings_report()
    assert report.total_estimated_cost is None
    assert report.traditional_estimated_cost == 0
    assert tracker.get_metrics_summary().unpriced_requests == 1


def test_a_choice_more_expensive_than_the_baseline_is_a_loss(tracker: CostTracker) -> None:
    track(tracker, estimated_cost=1.5, baseline_cost=1.0)
    assert tracker.get_cost_savings_report().estimated_savings == -0.5


def test_the_report_of_nothing(tracker: CostTracker) -> None:
    report = tracker.get_cost_savings_report()
    assert report.total_requests == 0
    assert report.total_estimated_cost == 0
    assert report.average_quality_score is None


def test_a_report_reads_like_a_mapping_too(tracker: CostTracker) -> None:
    report = tracker.get_cost_savings_report(7)
    assert report["period_days"] == 7
    assert dict(report)["total_requests"] == 0
    assert "no_such_field" not in report


def test_the_period_of_a_report(tracker: CostTracker, clock: Clock) -> None:
    track(tracker)
    clock.now = START + timedelta(days=10)
    track(tracker)
    assert tracker.get_cost_savings_report(7).total_requests == 1
    assert tracker.get_cost_savings_report(30).total_requests == 2


def test_decisions_are_forgotten_after_the_retention_period(
    tracker: CostTracker, clock: Clock
) -> None:
    """By the next decision that is tracked."""
    first = track(tracker)
    clock.now = START + timedelta(days=31)
    assert [metrics.tracking_id for metrics in tracker.metrics] == [first]
    second = track(tracker)
    assert [metrics.tracking_id for metrics in tracker.metrics] == [second]


def test_actual_cost_replaces_the_estimate_but_not_the_saving(tracker: CostTracker) -> None:
    tracking_id = track(tracker, baseline_cost=1.0)
    tracker.update_actual_cost(tracking_id, 0.5, model_response_time_ms=900.0)
    (metrics,) = tracker.metrics
    assert metrics.actual_cost == 0.5
    assert metrics.model_response_time_ms == 900.0
    report = tracker.get_cost_savings_report()
    assert report.total_estimated_cost == 0.5
    assert report.estimated_savings == 0.75


def test_quality_and_satisfaction(tracker: CostTracker) -> None:
    tracking_id = track(tracker)
    tracker.update_quality_score(tracking_id, 0.0, user_satisfaction=4.0)
    summary = tracker.get_metrics_summary()
    assert summary.average_quality_score == 0.0
    assert summary.average_user_satisfaction == 4.0


def test_an_unknown_tracking_id_is_a_warning(
    tracker: CostTracker, caplog: pytest.LogCaptureFixture
) -> None:
    track(tracker)
    tracker.update_actual_cost("decision-7", 1.0)
    tracker.update_quality_score("decision-7", 1.0)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "No decision 'decision-7' is kept" in caplog.text
    assert tracker.metrics[0].actual_cost is None


def test_metrics_work_without_arguments() -> None:
    first, second = RoutingMetrics(), RoutingMetrics()
    assert first.tracking_id != second.tracking_id
    assert first.timestamp.tzinfo is UTC
    assert (first.success, first.detected_domains, first.actual_cost) == (True, [], None)


def test_a_timestamp_without_a_zone_is_utc(tracker: CostTracker, clock: Clock) -> None:
    ids = [track(tracker) for _ in range(3)]
    tracker.metrics[1].timestamp = datetime(2026, 9, 1)  # noqa: DTZ001 - what older code assigns
    track(tracker)
    kept = [metrics.tracking_id for metrics in tracker.metrics]
    assert ids[1] not in kept
    assert len(kept) == 3
    assert tracker.metrics[0].timestamp == START


def test_the_optional_arguments_have_defaults(tracker: CostTracker) -> None:
    tracker.track_routing_decision("text", ["legal"], "routellm", "strong", 1.0)
    (metrics,) = tracker.metrics
    assert (metrics.routing_latency_ms, metrics.routing_confidence) == (0.0, 0.0)
    assert metrics.success


def test_the_summary_of_nothing(tracker: CostTracker) -> None:
    summary = tracker.get_metrics_summary()
    assert summary == {"total_requests": 0, "success_rate": 1.0}
    assert dict(summary) == {"total_requests": 0, "success_rate": 1.0}
    assert "average_cost" not in summary


def test_the_summary_as_a_mapping(tracker: CostTracker) -> None:
    track(tracker, estimated_cost=0.25, routing_latency_ms=2.0)
    track(tracker, estimated_cost=0.75, routing_latency_ms=4.0, routing_method="domain_selector")
    summary = tracker.get_metrics_summary()
    assert summary["routellm_usage_rate"] == 0.5
    assert summary["average_cost"] == 0.5
    assert summary["average_latency_ms"] == 3.0


def test_quality_of_routed_requests_in_percent_of_the_others(tracker: CostTracker) -> None:
    routed = track(tracker)
    classic = track(tracker, routing_method="domain_selector")
    assert tracker.get_cost_savings_report().quality_maintained_percentage is None
    tracker.update_quality_score(routed, 0.6)
    tracker.update_quality_score(classic, 0.8)
    report = tracker.get_cost_savings_report()
    assert report["quality_maintained_percentage"] == pytest.approx(75.0)
    assert report["average_latency_ms"] == report["average_routing_latency_ms"] == 2.0


def test_summary(tracker: CostTracker) -> None:
    track(tracker)
    track(tracker, domains=[], selected_model="strong", routing_method="domain_selector")
    track(tracker, success=False, selected_model="", error_message="no model")
    summary = tracker.get_metrics_summary()
    assert summary.total_requests == 3
    assert summary.requests_by_method == {"routellm": 2, "domain_selector": 1}
    assert summary.requests_by_model == {"weak": 1, "strong": 1}
    assert summary.requests_by_domain == {"medical": 2, "general": 1}
    assert summary.average_routing_confidence == 0.75
    assert summary.success_rate == pytest.approx(2 / 3)


def test_the_default_clock_is_utc() -> None:
    tracker = CostTracker()
    track(tracker)
    assert tracker.metrics[0].timestamp.tzinfo is UTC
