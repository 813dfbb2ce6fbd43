"""What an experiment says, from running sums."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from experiments.analysis.experiment.power import Remaining
from experiments.experimentation import lifecycle
from experiments.experimentation.daily_results import record, record_all
from experiments.experimentation.results import MetricEffect, Results, results
from experiments.experimentation.text import health_message, remaining_sentence
from experiments.models import Experiment, Metric, MetricSum, UnitSum
from tests.experiment_rows import START, add_units, draft, running

pytestmark = pytest.mark.usefixtures("seeded")


def days(count: float) -> datetime:
    return START + timedelta(days=count)


def outcome(found: Results) -> str:
    assert found.verdict is not None
    return str(found.verdict.outcome)


def effect(found: Results, metric: str) -> MetricEffect:
    return next(one for one in found.effects if one.metric == metric)


def cheaper_and_as_good(units: int = 1000, **values: Any) -> Experiment:
    experiment = running(min_days=1, **values)
    add_units(experiment, "control", units, cost=10_000_000, quality=0.9)
    add_units(experiment, "weak", units, cost=2_000_000, quality=0.9)
    return experiment


def test_a_cheaper_policy_of_the_same_quality_ships() -> None:
    found = results(cheaper_and_as_good(), days(8))
    assert outcome(found) == "ship"
    assert found.verdict is not None
    assert found.verdict.arm == "weak"
    assert found.sentence.startswith('Ship "weak". It costs 80 % less')
    cost = effect(found, "cost").effect
    assert cost.estimate == pytest.approx(-0.008, abs=0.0005)
    assert cost.sequential_interval is not None
    assert cost.sequential_interval.upper < 0
    assert found.health.healthy


def test_units_in_their_window_wait() -> None:
    found = results(cheaper_and_as_good(), days(1.5))
    assert outcome(found) == "not_enough_data"
    assert [(arm.units, arm.waiting) for arm in found.arms] == [(0, 1000), (0, 1000)]
    assert found.effects[0].effect.estimate is None


def test_a_worse_policy_rolls_back() -> None:
    experiment = running()
    add_units(experiment, "control", 1000, quality=0.9)
    add_units(experiment, "weak", 1000, quality=0.5)
    found = results(experiment, days(8))
    assert outcome(found) == "roll_back"
    assert "quality is at least" in found.sentence


def test_the_same_policy_twice_makes_no_difference_in_the_end() -> None:
    experiment = running(target_effect="0.001", min_days=1)
    add_units(experiment, "control", 8000, cost=2_000_000)
    add_units(experiment, "weak", 8000, cost=2_000_000)
    assert outcome(results(experiment, days(8))) == "no_difference"


def test_arms_in_numbers() -> None:
    experiment = running()
    for arm, cost in (("control", 3_000_000), ("weak", 1_000_000)):
        for number in range(2):
            UnitSum.objects.create(
                experiment="cheaper",
                phase=1,
                arm=arm,
                unit_hash=f"{arm}{number}",
                domain="technical",
                day=START.date(),
                decisions=4,
                priced=3,
                cost=3 * cost,
                baseline=9_000_000,
                strong=2,
                quality=1_500_000,
                rated=2,
            )
    control, weak = results(experiment, days(8)).arms
    assert (control.name, control.is_control, control.weight) == ("control", True, 0.5)
    assert (control.units, control.requests, control.rated) == (2, 8, 4)
    assert (control.cost_per_request, weak.cost_per_request) == pytest.approx((0.003, 0.001))
    assert (control.quality, control.strong_share) == (0.75, 0.5)


@pytest.mark.parametrize(("units", "is_shown"), [(49, False), (50, True)])
def test_no_effect_is_shown_with_fewer_than_50_units_an_arm(units: int, is_shown: bool) -> None:
    experiment = running()
    add_units(experiment, "control", 500)
    add_units(experiment, "weak", units)
    found = results(experiment, days(8))
    assert [one.effect.estimate is not None for one in found.effects] == [is_shown, is_shown]
    assert all((p.point.effect.estimate is not None) == is_shown for p in found.series)
    assert {(one.observed, one.minimum) for one in found.effects} == {(units, 50)}


def test_units_without_a_rating_do_not_count_towards_the_fifty() -> None:
    experiment = running()
    add_units(experiment, "control", 500)
    add_units(experiment, "weak", 500)
    UnitSum.objects.filter(arm="weak").update(rated=0, quality=0)
    found = results(experiment, days(8))
    assert effect(found, "cost").effect.estimate is not None
    assert effect(found, "quality").effect.estimate is None


def test_a_unit_seen_in_two_arms_is_left_out_and_counted() -> None:
    experiment = cheaper_and_as_good(units=200)
    first = UnitSum.objects.filter(arm="control").first()
    assert first is not None
    first.pk, first.arm, first.day = None, "weak", START.date() + timedelta(days=1)
    first.save()
    found = results(experiment, days(9))
    assert [arm.units for arm in found.arms] == [199, 200]
    exposures = next(c for c in found.health.checks if c.code == "multiple_exposures")
    assert health_message(exposures).startswith(
        "1 unit was seen in two arms and is left out (0.2 %)"
    )


def test_many_units_seen_in_two_arms_are_an_alarm() -> None:
    experiment = cheaper_and_as_good(units=200)
    for row in UnitSum.objects.filter(arm="control")[:20]:
        row.pk, row.arm = None, "weak"
        row.save()
    assert outcome(results(experiment, days(9))) == "unhealthy"


def test_what_a_unit_does_after_its_window_does_not_count() -> None:
    experiment = cheaper_and_as_good(units=100)
    before = results(experiment, days(20)).arms
    for row in UnitSum.objects.all():
        row.pk, row.day, row.cost = None, START.date() + timedelta(days=7), 9_000_000_000
        row.save()
    assert results(experiment, days(20)).arms == before


def test_a_unit_that_comes_back_within_its_window_adds_up() -> None:
    experiment = cheaper_and_as_good(units=100)
    for row in UnitSum.objects.all():
        row.pk, row.day = None, START.date() + timedelta(days=6)
        row.save()
    control, weak = results(experiment, days(20)).arms
    assert (control.units, control.requests) == (100, 200)
    assert (weak.units, weak.requests) == (100, 200)


def test_what_units_did_before_narrows_the_interval() -> None:
    plain = results(cheaper_and_as_good(units=300), days(8))
    for row in UnitSum.objects.all():
        row.pk, row.experiment, row.phase, row.arm = None, "", 0, ""
        row.day = START.date() - timedelta(days=3)
        row.save()
    adjusted = results(Experiment.objects.get(), days(8))
    narrow, wide = (effect(found, "cost").effect.standard_error for found in (adjusted, plain))
    assert narrow is not None
    assert wide is not None
    assert narrow < 0.75 * wide


def test_history_in_one_arm_only_does_not_break_the_comparison() -> None:
    experiment = cheaper_and_as_good(units=100)
    row = UnitSum.objects.filter(arm="weak").first()
    assert row is not None
    row.pk, row.experiment, row.phase, row.arm = None, "", 0, ""
    row.day = START.date() - timedelta(days=3)
    row.save()
    assert effect(results(experiment, days(8)), "cost").effect.estimate is not None


def test_results_never_mix_two_phases() -> None:
    experiment = cheaper_and_as_good(units=100)
    lifecycle.start_phase(experiment, "tests", days(10), lambda: None)
    found = results(experiment, days(30))
    assert found.phase == 2
    assert [arm.units for arm in found.arms] == [0, 0]
    add_units(experiment, "control", 60, day=days(12).date())
    add_units(experiment, "weak", 60, day=days(12).date())
    found = results(experiment, days(30))
    assert [arm.units for arm in found.arms] == [60, 60]
    assert {point.point.phase for point in found.series} == {1, 2}


def test_the_level_of_a_phase_is_what_it_may_spend() -> None:
    experiment = cheaper_and_as_good(units=100)
    first = effect(results(experiment, days(8)), "cost").effect
    UnitSum.objects.update(phase=2)
    lifecycle.start_phase(experiment, "tests", START, lambda: None)
    second = effect(results(experiment, days(8)), "cost").effect
    assert first.estimate == second.estimate
    assert first.sequential_interval is not None
    assert second.sequential_interval is not None
    assert second.sequential_interval.lower < first.sequential_interval.lower


def test_the_series_says_each_day_what_that_days_look_says() -> None:
    experiment = running()
    add_units(experiment, "control", 600, cost=10_000_000, spread_days=6)
    add_units(experiment, "weak", 600, spread_days=6)
    found = results(experiment, days(15))
    by_day = {p.point.day: p.point.effect for p in found.series if p.metric == "cost"}
    assert len(by_day) == 9
    for count in (7, 9, 12, 15):
        alone = effect(results(experiment, days(count)), "cost").effect
        assert by_day[days(count).date()] == alone
    quality = [p for p in found.series if p.metric == "quality"]
    assert [p.point.day for p in quality] == sorted(by_day)


def test_a_breakdown_by_domain_is_marked_as_exploration() -> None:
    experiment = running(domain=None)
    for domain in ("technical", "creative"):
        add_units(experiment, "control", 80, domain=domain, cost=10_000_000)
        add_units(experiment, "weak", 80, domain=domain)
    found = results(experiment, days(8))
    assert Counter((one.domain, one.metric) for one in found.breakdown) == {
        ("creative", "cost"): 1,
        ("creative", "quality"): 1,
        ("technical", "cost"): 1,
        ("technical", "quality"): 1,
    }
    assert all(one.answer.exploratory for one in found.breakdown)
    assert all(one.answer.effect.n_control == 80 for one in found.breakdown)


def test_units_that_fall_unevenly_make_it_unhealthy() -> None:
    experiment = running()
    add_units(experiment, "control", 1000)
    add_units(experiment, "weak", 700)
    found = results(experiment, days(8))
    assert outcome(found) == "unhealthy"
    assert found.sentence.startswith("Do not trust these results yet.")


def test_unpriced_decisions_make_it_unhealthy() -> None:
    experiment = cheaper_and_as_good(units=200)
    UnitSum.objects.filter(arm="weak").update(priced=0, cost=0)
    assert outcome(results(experiment, days(8))) == "unhealthy"


def test_a_custom_metric_can_be_a_guardrail() -> None:
    Metric.objects.create(name="stars", minimum=0, maximum=5)
    experiment = draft()
    experiment.metrics.create(metric="stars", role="guardrail", margin=0.5)
    lifecycle.start(experiment, "tests", START)
    add_units(experiment, "control", 300)
    add_units(experiment, "weak", 300)
    MetricSum.objects.bulk_create(
        MetricSum(
            experiment="cheaper",
            phase=1,
            arm=row.arm,
            unit_hash=row.unit_hash,
            domain="technical",
            day=row.day,
            metric="stars",
            total=(3 if row.arm == "weak" else 4) * 1_000_000 + number % 2,
            rated=1,
        )
        for number, row in enumerate(UnitSum.objects.all())
    )
    stars = effect(results(experiment, days(8)), "stars").effect
    assert stars.estimate == pytest.approx(-1.0, abs=1e-6)
    assert (stars.n_control, stars.n_treatment) == (300, 300)


def test_a_metric_of_units_takes_the_mean_of_each_units_ratings() -> None:
    Metric.objects.create(name="solved", kind="boolean", level="unit")
    experiment = draft()
    experiment.metrics.create(metric="solved", role="secondary")
    lifecycle.start(experiment, "tests", START)
    add_units(experiment, "control", 60)
    add_units(experiment, "weak", 60)
    MetricSum.objects.bulk_create(
        MetricSum(
            experiment="cheaper",
            phase=1,
            arm=row.arm,
            unit_hash=row.unit_hash,
            domain="technical",
            day=row.day,
            metric="solved",
            total=2_000_000 * (row.arm == "control" or number % 2 == 0),
            rated=2,
        )
        for number, row in enumerate(UnitSum.objects.order_by("pk"))
    )
    solved = effect(results(experiment, days(8)), "solved")
    assert solved.effect.estimate == pytest.approx(-0.5)
    assert solved.adjusted_p_value is not None


def test_audited_ratings_alone_are_the_quality_of_an_audited_experiment() -> None:
    experiment = running(audit_share=0.5)
    add_units(experiment, "control", 100)
    add_units(experiment, "weak", 100)
    UnitSum.objects.update(audited=1, audited_rated=1, audited_quality=250_000, quality=1_000_000)
    assert [arm.quality for arm in results(experiment, days(8)).arms] == [0.25, 0.25]


def test_while_it_runs_it_says_how_long_it_still_takes() -> None:
    experiment = running(min_days=1)
    add_units(experiment, "control", 400, spread_days=4, quality=0.85)
    add_units(experiment, "weak", 400, spread_days=4, quality=0.85)
    remaining = results(experiment, days(11)).progress.remaining
    assert isinstance(remaining, Remaining)
    assert remaining.days is not None
    assert remaining.days > 0
    assert remaining_sentence(remaining) == f"About {remaining.days:,} more days."


def test_a_draft_says_that_it_has_not_started() -> None:
    found = results(draft(), days(0))
    assert (found.status, found.verdict) == ("draft", None)
    assert found.sentence == "Not started yet: the checklist shows what is missing."
    assert (found.effects, found.breakdown, found.series, found.seen) == ((), (), (), ())
    assert found.health.checks == ()
    assert found.progress.remaining is None


def test_a_draft_without_arms_says_so_too() -> None:
    experiment = Experiment.objects.create(key="empty", hypothesis="?")
    found = results(experiment, days(0))
    assert (found.arms, found.verdict) == ((), None)


def test_a_running_experiment_without_units_has_not_enough_data() -> None:
    found = results(running(), days(1))
    assert outcome(found) == "not_enough_data"
    assert found.series == ()


def test_without_units_for_a_day_traffic_has_stopped() -> None:
    found = results(running(), days(3))
    assert outcome(found) == "not_enough_data"
    assert found.health.healthy
    assert "No request has arrived for 72 hours" in found.sentence


def test_paused_and_stopped_experiments_say_so_and_keep_their_results() -> None:
    experiment = cheaper_and_as_good()
    lifecycle.pause(experiment, "tests")
    assert results(experiment, days(9)).sentence.startswith("Paused: no units are enrolled. Ship")
    lifecycle.stop(experiment, "tests", days(9), reason="Enough", verdict="ship")
    found = results(experiment, days(40))
    assert found.sentence.startswith("Stopped on 2026-09-10 (Enough). Ship")
    assert found.progress.days == 9
    lifecycle.archive(experiment, "tests")
    assert outcome(results(experiment, days(40))) == "ship"


def test_a_shipped_experiment_names_the_arm() -> None:
    experiment = cheaper_and_as_good()
    lifecycle.ship(experiment, "weak", "tests", days(9), verdict="ship")
    assert results(experiment, days(9)).sentence.startswith('"weak" was shipped.')


def test_an_archived_draft_has_nothing_to_judge() -> None:
    experiment = draft()
    lifecycle.archive(experiment, "tests")
    found = results(experiment, days(0))
    assert found.sentence == "No results: it never ran."


def test_each_day_is_kept_as_it_was_seen() -> None:
    experiment = cheaper_and_as_good()
    record(experiment, days(9))
    UnitSum.objects.filter(arm="weak").update(quality=0)
    record(experiment, days(10))
    record(experiment, days(9.5))
    found = results(experiment, days(10))
    assert [(day.day.isoformat(), day.verdict) for day in found.seen] == [
        ("2026-09-09", "ship"),
        ("2026-09-10", "roll_back"),
    ]
    assert found.seen[0].sentence.startswith('Ship "weak"')
    assert found.seen[0].result["effects"][0]["metric"] == "cost"


def test_recording_twice_keeps_what_was_seen_first() -> None:
    experiment = cheaper_and_as_good()
    first = record(experiment, days(9))
    UnitSum.objects.filter(arm="weak").update(quality=0)
    second = record(experiment, days(9))
    assert first is not None
    assert second is not None
    assert (second.pk, second.verdict) == (first.pk, "ship")


def test_a_day_before_the_start_is_not_recorded() -> None:
    assert record(running(now=days(0.5)), days(0.6)) is None


def test_only_experiments_under_way_are_recorded() -> None:
    cheaper_and_as_good(units=100)
    draft("later", domain="creative")
    lines: list[str] = []
    record_all(days(9), lines.append)
    assert [line.split(":")[0] for line in lines] == ["cheaper on 2026-09-09"]


def test_results_take_the_same_queries_whatever_the_units() -> None:
    experiment = cheaper_and_as_good(units=10)
    counts = []
    for day in (1, 2):
        with CaptureQueriesContext(connection) as queries:
            results(Experiment.objects.get(), days(8))
        counts.append(len(queries))
        add_units(experiment, "weak", 300, day=START.date() + timedelta(days=day))
    assert counts == [10, 10]
