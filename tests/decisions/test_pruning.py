"""Pruning keeps every sum, and remembers that there was something."""

from datetime import UTC, date, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from experiments.analytics.routing import routing_report
from experiments.analytics.savings import savings_report
from experiments.decisions.outcomes import OutcomeReport, Rating, record_feedback, record_outcome
from experiments.decisions.pruning import PruningProgress, prune
from experiments.models import Decision, Feedback, Outcome, PrunedTotal, PruneMark
from experiments.routing.route import RouteRequest, route

pytestmark = pytest.mark.usefixtures("seeded")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
DOMAINS = ("technical", "creative", "legal", "medical")


def history(n: int = 24) -> None:
    """Decisions of the first days of September, every other one with an outcome."""
    for i in range(n):
        made = route(RouteRequest(f"Prompt {i}", unit_id=f"u{i}", domain=DOMAINS[i % 4]))
        if i % 2:
            record_outcome(made.pk, OutcomeReport(NOW, 100 + i, 10 * i, 50.0, success=True), NOW)
        day = datetime(2026, 9, 1 + i % 6, i % 24, tzinfo=UTC)
        Decision.objects.filter(pk=made.pk).update(created_at=day)
    newest = Decision.objects.values_list("pk", flat=True)[0]
    record_feedback([Rating(newest, "quality", 0.5, "human", NOW)], NOW)


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_reports_stay_exactly_the_same(batch: int) -> None:
    history()
    before = savings_report(SINCE, UNTIL)
    assert prune(date(2026, 9, 4), batch) == 12

    assert Decision.objects.count() == 12
    after = savings_report(SINCE, UNTIL)
    assert after.total.pruned == 12
    for old, new in zip(
        (before.total, *before.domains), (after.total, *after.domains), strict=True
    ):
        assert new._replace(pruned=0) == old


def test_what_can_be_known_of_routing_stays_the_same() -> None:
    history()
    before = routing_report(SINCE, UNTIL)
    prune(date(2026, 9, 4))
    after = routing_report(SINCE, UNTIL)
    assert (after.decisions, after.pruned) == (before.decisions, 12)
    assert (after.methods, after.tiers, after.models) == (
        before.methods,
        before.tiers,
        before.models,
    )
    assert after.latency[:2] == before.latency[:2]


def test_outcomes_and_feedback_go_with_their_decisions() -> None:
    history()
    prune(date(2026, 10, 1))
    assert not Decision.objects.exists()
    assert not Outcome.objects.exists()
    assert not Feedback.objects.exists()


def test_pruning_twice_counts_nothing_twice() -> None:
    history()
    prune(date(2026, 9, 4))
    totals = list(PrunedTotal.objects.order_by("pk").values())
    assert prune(date(2026, 9, 4)) == 0
    assert list(PrunedTotal.objects.order_by("pk").values()) == totals


def test_a_later_run_adds_to_the_totals_of_the_same_day() -> None:
    history(6)
    prune(date(2026, 9, 4))
    history(6)
    prune(date(2026, 9, 4))
    assert sum(PrunedTotal.objects.values_list("decisions", flat=True)) == 6
    assert PrunedTotal.objects.count() == 3


def test_the_mark_only_moves_forward() -> None:
    history()
    prune(date(2026, 9, 4))
    prune(date(2026, 9, 2))
    assert PruneMark.objects.get().pruned_before == datetime(2026, 9, 4, tzinfo=UTC)


def test_without_old_decisions_nothing_is_marked() -> None:
    assert prune(date(2026, 9, 4)) == 0
    assert not PruneMark.objects.exists()


def test_progress_is_reported_after_each_batch() -> None:
    history()
    seen: list[PruningProgress] = []
    prune(date(2026, 9, 4), 5, seen.append)
    assert seen == [(5, 12), (10, 12), (12, 12)]


def test_the_command_prunes_by_the_retention_setting(settings: Settings) -> None:
    settings.DECISION_RETENTION_DAYS = 30
    made = route(RouteRequest("Old", domain="technical"))
    old = datetime.now(UTC) - timedelta(days=40)
    Decision.objects.filter(pk=made.pk).update(created_at=old)
    route(RouteRequest("New", domain="technical"))
    out = StringIO()
    call_command("prune_decisions", stdout=out, stderr=StringIO())
    assert out.getvalue().startswith("Pruned 1 decisions")
    assert Decision.objects.count() == 1


def test_the_command_keeps_everything_where_retention_is_0(settings: Settings) -> None:
    settings.DECISION_RETENTION_DAYS = 0
    history(4)
    out = StringIO()
    call_command("prune_decisions", stdout=out)
    assert "never deleted" in out.getvalue()
    assert Decision.objects.count() == 4


def test_the_command_takes_a_day() -> None:
    history()
    call_command("prune_decisions", "--before", "2026-09-02", stdout=StringIO(), stderr=StringIO())
    assert Decision.objects.count() == 20


@pytest.mark.parametrize(
    "arguments", [["--before", "soon"], ["--before", "2999-01-01"], ["--batch", "0"]]
)
def test_the_command_refuses_what_makes_no_sense(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("prune_decisions", *arguments, stdout=StringIO())
