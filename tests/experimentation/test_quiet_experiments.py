"""Internal tools and pauses: when traffic has stopped, and which days count."""

from datetime import datetime, timedelta

import pytest

from experiments.experimentation import lifecycle
from experiments.experimentation.results import Results, results
from experiments.models import Experiment, UnitSum
from tests.experiment_rows import START, add_units, running

pytestmark = pytest.mark.usefixtures("seeded")


def days(count: float) -> datetime:
    return START + timedelta(days=count)


def outcome(found: Results) -> str:
    assert found.verdict is not None
    return str(found.verdict.outcome)


def traffic(found: Results) -> str:
    return next(str(one.status) for one in found.health.checks if one.code == "traffic_stopped")


def internal_tool(active_days: int, **values: object) -> Experiment:
    """Everybody comes on the first day, and again on each of the days."""
    experiment = running(margin=0.1, **values)  # type: ignore[arg-type]
    add_units(experiment, "control", 800, cost=10_000_000, quality=0.9)
    add_units(experiment, "weak", 800, cost=2_000_000, quality=0.9)
    first = list(UnitSum.objects.all())
    for day in range(1, active_days):
        for row in first:
            row.pk, row.day = None, START.date() + timedelta(days=day)
        UnitSum.objects.bulk_create(first)
    return experiment


@pytest.mark.parametrize("day", [2.5, 4.2, 6.9])
def test_known_units_that_keep_coming_are_traffic(day: float) -> None:
    found = results(internal_tool(7), days(day))
    assert found.health.healthy
    assert outcome(found) == "not_enough_data"
    assert "Do not trust" not in found.sentence
    assert traffic(found) == "ok"


def test_they_ship_on_the_seventh_day_of_their_window() -> None:
    found = results(internal_tool(7), days(8))
    assert (outcome(found), found.progress.counted_days) == ("ship", 7)


def test_while_windows_are_open_silence_is_not_mentioned() -> None:
    found = results(internal_tool(1), days(5))
    assert (traffic(found), outcome(found)) == ("ok", "not_enough_data")
    assert "No request" not in found.sentence


def test_requests_that_stopped_are_a_note_and_not_unhealthy() -> None:
    found = results(internal_tool(3), days(10))
    assert (traffic(found), found.health.healthy) == ("warning", True)
    assert outcome(found) == "not_enough_data"
    assert "3 of 7 days" in found.sentence
    assert "No request has arrived for 168 hours" in found.sentence


def test_requests_after_the_windows_are_traffic_too() -> None:
    found = results(internal_tool(10), days(10.5))
    assert traffic(found) == "ok"


def test_a_paused_experiment_does_not_ship_on_units_of_one_day() -> None:
    experiment = internal_tool(1)
    lifecycle.pause(experiment, "tests")
    found = results(experiment, days(30))
    assert outcome(found) == "not_enough_data"
    assert "1 of 7 days" in found.sentence
    assert (found.progress.days, found.progress.counted_days) == (30, 1)


def test_each_arm_needs_the_days() -> None:
    experiment = internal_tool(7)
    UnitSum.objects.filter(arm="weak", day__gt=START.date() + timedelta(days=1)).delete()
    found = results(experiment, days(9))
    assert (outcome(found), found.progress.counted_days) == ("not_enough_data", 2)


def test_days_after_the_window_do_not_count() -> None:
    experiment = internal_tool(7, window_days=2)
    assert results(experiment, days(9)).progress.counted_days == 2


def test_where_each_request_is_a_unit_their_days_count() -> None:
    experiment = running(unit_kind="request")
    for arm in ("control", "weak"):
        add_units(experiment, arm, 200, spread_days=4)
    assert results(experiment, days(6)).progress.counted_days == 4
