"""Rollouts and evidence: what lets a step be taken, what is missing, what rolls back."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from experiments.core.bucketing import bucket_index
from experiments.decisions.folding import fold_all
from experiments.decisions.outcomes import (
    OutcomeReport,
    Rating,
    record_feedback,
    record_outcome,
)
from experiments.models import Decision, Flag, Metric, Outcome, PolicyRevision, Rollout, UnitSum
from experiments.rollouts import lifecycle
from experiments.rollouts.guards import GuardsError, checked_guards
from experiments.rollouts.lifecycle import RolloutError, advance_all, advance_anyway, lower_target
from experiments.rollouts.monitoring import look_at
from experiments.rollouts.summaries import rollout_lines
from experiments.routing.route import RouteRequest, route
from tests.experiment_rows import START, rollout

pytestmark = [pytest.mark.usefixtures("seeded"), pytest.mark.database]

MEDICAL = "routellm_medical_domain"
ERRORS = {"metric": "error_rate", "margin": 0.02}


def hours(count: float) -> datetime:
    return START + timedelta(hours=count)


def percentage() -> float:
    return float(Flag.objects.get(key=MEDICAL).percentage)


def started(**values: Any) -> Rollout:
    row = rollout(**values)
    lifecycle.start(row, "olga", START)
    return row


def live(**values: Any) -> Rollout:
    """Started now: decisions that are really routed are of today."""
    row = rollout(**values)
    lifecycle.start(row, "olga", soon(0))
    return row


def soon(minutes: float = 1) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


def again(row: Rollout) -> Rollout:
    return Rollout.objects.select_related("flag").get(pk=row.pk)


def ask(units: Iterable[str]) -> list[Decision]:
    return [route(RouteRequest("What is flu?", unit_id=unit, domain="medical")) for unit in units]


def report(decision: Decision, **seen: Any) -> None:
    record_outcome(decision.pk, OutcomeReport(START, **seen), START)


def rate(decision: Decision, value: float, metric: str = "quality") -> None:
    assert record_feedback([Rating(decision.pk, metric, value, "human", START)], START) == [None]


def units_of(row: Rollout, side: str, count: int) -> list[str]:
    """Unit ids that are treated or controls at the rollout's percentage."""
    seed, share = row.flag.seed, int(again(row).treated_percentage * 100)
    found = (f"user-{number}" for number in range(100_000))
    mine = (unit for unit in found if (bucket_index(seed, unit) < share) == (side == "treated"))
    return [unit for unit, _ in zip(mine, range(count), strict=False)]


def compare(
    row: Rollout, units: int, *, control: float, treated: float, day: int = 0, calls: int = 1
) -> None:
    """Rated units of the phase it is in, in the proportion of its shares; that share is good."""
    row = again(row)
    controls = round(units * float(row.control_percentage / row.treated_percentage))
    for side, good, count in (("control", control, controls), ("treated", treated, units)):
        UnitSum.objects.bulk_create(
            UnitSum(
                experiment=row.key,
                phase=row.phase,
                arm=side,
                unit_hash=f"{side}-{row.phase}-{day}-{number}",
                domain="medical",
                day=(START + timedelta(days=day)).date(),
                decisions=calls,
                outcomes=calls,
                quality=calls * 1_000_000 * (number < good * count),
                rated=calls,
            )
            for number in range(count)
        )


def test_routed_calls_that_all_fail_roll_back_in_the_first_round_at_the_first_step() -> None:
    row = live()
    for side, works in (("control", True), ("treated", False)):
        for decision in ask(units_of(row, side, 60 if works else 6)):
            report(decision, success=works)
    advance_all(soon())
    assert (again(row).state, percentage()) == ("rolled_back", 0)
    assert again(row).reason == (
        "error rate is 100.0 points worse with the flag, certainly outside its margin; 2.0 points "
        "are allowed"
    )


def test_without_outcomes_and_ratings_no_step_is_taken() -> None:
    row = live()
    ask(f"user-{number}" for number in range(400))
    advance_all(soon(60_000))
    assert (again(row).state, percentage()) == ("running", 10)
    assert again(row).reason.startswith(
        "Not enough evidence for 50 %. Missing, from units with the flag: error rate: about "
    )
    assert "calls with a reported outcome, and none arrive at present" in again(row).reason
    assert "ratings, and none arrive at present" in again(row).reason
    assert "wait, lower the target percentage, or advance anyway" in again(row).reason


def test_calls_that_fail_on_both_sides_are_no_harm_of_the_flag() -> None:
    row = started()
    for decision in ask(f"user-{number}" for number in range(80)):
        report(decision, success=False)
    advance_all(hours(1))
    assert again(row).state == "running"


def test_failing_calls_alone_are_guarded_where_there_are_no_ratings() -> None:
    row = started(guards=[ERRORS])
    compare(row, 200, control=0.9, treated=0.9)
    UnitSum.objects.update(rated=0, quality=0)
    advance_all(hours(24))
    assert percentage() == 50


def test_a_true_loss_beyond_the_margin_never_completes() -> None:
    row = started(steps=[(10, 24), (50, 24), (100, 0)], margin=0.03)
    for day in range(1, 12):
        compare(row, 300 if again(row).phase == 1 else 1000, control=0.8, treated=0.745, day=day)
        advance_all(hours(24 * day))
    assert again(row).state in {"running", "rolled_back"}
    assert percentage() < 100


def test_a_drift_of_both_sides_after_a_step_is_no_harm() -> None:
    """All traffic becomes 10 points worse when the flag goes from 10 to 50 %."""
    row = started(steps=[(10, 24), (50, 24), (60, 24), (100, 0)], margin=0.03)
    compare(row, 1000, control=0.9, treated=0.9)
    advance_all(hours(24))
    assert percentage() == 50
    compare(row, 4000, control=0.8, treated=0.8, day=1)
    look = look_at(again(row), hours(47))
    assert look.guards[1].estimate == pytest.approx(0.0, abs=1e-9)
    advance_all(hours(48))
    assert (again(row).state, percentage()) == ("running", 60)


def test_a_reason_advances_anyway_and_the_last_sentence_repeats_it() -> None:
    row = started()
    compare(row, 300, control=0.9, treated=0.9)
    advance_all(hours(24))
    with pytest.raises(RolloutError, match="Give a reason"):
        advance_anyway(again(row), "olga", hours(25), " ")
    advance_anyway(again(row), "olga", hours(25), "The contract ends tomorrow")
    assert percentage() == 100
    assert again(row).history.get(percentage=100).without_evidence == (
        "The contract ends tomorrow (olga)"
    )
    advance_all(hours(26))
    assert again(row).state == "completed"
    assert again(row).reason.endswith(
        "The step to 100 % was taken without evidence: The contract ends tomorrow (olga)"
    )
    assert "quality is at most" in again(row).reason


def test_a_rollback_repeats_the_reason_too() -> None:
    row = started()
    advance_anyway(row, "olga", hours(1), "In a hurry")
    lifecycle.roll_back(again(row), "olga", hours(2), "Complaints")
    assert again(row).reason == (
        "Complaints. The step to 50 % was taken without evidence: In a hurry (olga)"
    )


def test_a_lower_target_needs_less_evidence() -> None:
    row = started(margin=0.03)
    compare(row, 100, control=0.9, treated=0.9)
    advance_all(hours(24))
    assert percentage() == 10
    lower_target(again(row), Decimal(20), "olga", hours(25))
    assert again(row).steps == [[10, 24], [20.0, 24]]
    assert again(row).reason == "The target is now 20 %"
    advance_all(hours(26))
    assert percentage() == 20
    advance_all(hours(50))
    assert (again(row).state, percentage()) == ("completed", 20)


def test_at_the_percentage_it_has_a_rollout_ends_there() -> None:
    row = started()
    compare(row, 20, control=0.9, treated=0.9)
    lower_target(row, Decimal(10), "olga", hours(1))
    advance_all(hours(24))
    assert (again(row).state, percentage()) == ("completed", 10)


@pytest.mark.parametrize("target", ["5", "100", "0", "12.345", "nan", "-1"])
def test_a_target_is_between_the_flag_and_the_target_so_far(target: str) -> None:
    with pytest.raises(RolloutError, match="The target is 100 % and the flag is at 10 %"):
        lower_target(started(), Decimal(target), "olga", START)


def test_a_step_that_is_ready_waits_again_where_the_evidence_goes() -> None:
    row = started(steps=[(10, None), (50, 24)])
    compare(row, 300, control=0.9, treated=0.9)
    advance_all(hours(1))
    assert again(row).state == "ready"
    UnitSum.objects.filter(unit_hash__contains="-1").update(rated=0, quality=0)
    UnitSum.objects.filter(arm="treated", unit_hash__contains="-2").update(rated=0, quality=0)
    UnitSum.objects.filter(arm="treated").exclude(unit_hash__endswith="3").update(
        outcomes=0, rated=0, quality=0
    )
    advance_all(hours(2))
    assert again(row).state == "running"
    assert again(row).reason.startswith("Not enough evidence for 50 %")


def test_the_worst_case_is_stated_before_the_start_and_recorded_at_it() -> None:
    row = rollout(steps=[(5, 24), (100, 0)], margin=0.03)
    worst = (
        "Worst case of the first step, 5 % of traffic, over all traffic until harm is shown: error "
        "rate 5.0 points (margin 2.0 points), quality 5.0 points (margin 3.0 points)."
    )
    assert lifecycle.worst_case_of(row) == worst
    lifecycle.start(row, "olga", START)
    assert again(row).reason == f"Started; now 5 %. {worst}"


def test_a_loop_of_one_unit_is_one_unit() -> None:
    """One treated client fails 3,000 times; the others work."""
    row = started()
    compare(row, 40, control=0.9, treated=0.9)
    UnitSum.objects.filter(unit_hash="treated-1-0-0").update(
        decisions=3000, outcomes=3000, errors=3000
    )
    advance_all(hours(1))
    assert again(row).state == "running"


def test_cost_is_capped_and_its_bound_is_the_cap_without_data() -> None:
    cost = {"metric": "cost", "margin": 0.001, "limit": 0.02}
    row = started(guards=[cost])
    assert look_at(row, START).guards[0].least_gain == -0.02
    compare(row, 200, control=0.9, treated=0.9)
    UnitSum.objects.update(priced=1, cost=1_000_000)
    UnitSum.objects.filter(unit_hash="treated-1-0-7").update(cost=900_000_000_000)
    found = look_at(again(row), hours(1)).guards[0]
    assert found.estimate == pytest.approx(-(0.02 - 0.001) / 200)
    assert not found.is_harmful


def test_a_more_expensive_policy_is_rolled_back_where_cost_is_guarded() -> None:
    row = started(guards=[{"metric": "cost", "margin": 0.001, "limit": 0.02}])
    compare(row, 100, control=0.9, treated=0.9)
    UnitSum.objects.filter(arm="control").update(priced=1, cost=1_000_000)
    UnitSum.objects.filter(arm="treated").update(priced=1, cost=9_000_000)
    advance_all(hours(1))
    assert again(row).state == "rolled_back"
    assert again(row).reason.startswith("cost per request is at least $0.00")


def test_calls_slower_than_the_limit_are_counted_and_guarded() -> None:
    row = live(guards=[{"metric": "p95_latency", "margin": 0.05, "limit": 2000}])
    for side, latency in (("control", 1500.0), ("treated", 2500.0)):
        for decision in ask(units_of(row, side, 60 if side == "control" else 8)):
            report(decision, latency_ms=latency, success=True)
    fold_all()
    sums = UnitSum.objects.filter(experiment=row.key)
    assert {(one.arm, one.slow) for one in sums} == {("control", 0), ("treated", 1)}
    first = Decision.objects.filter(rollout_arm="treated").first()
    assert first is not None
    record_outcome(first.pk, OutcomeReport(hours(1), latency_ms=100.0), hours(1))
    assert sum(sums.filter(arm="treated").values_list("slow", flat=True)) == 7
    advance_all(soon())
    assert (again(row).state, percentage()) == ("rolled_back", 0)
    assert again(row).reason.startswith("share of slow calls is 87.5 points worse with the flag")


def test_fallbacks_are_guarded_without_any_report() -> None:
    row = live(guards=[{"metric": "fallback_rate", "margin": 0.05}])
    ask([*units_of(row, "control", 60), *units_of(row, "treated", 8)])
    UnitSum.objects.filter(arm="treated").update(fallbacks=1)
    advance_all(soon())
    assert again(row).state == "rolled_back"
    assert again(row).reason.startswith("fallback rate is 100.0 points worse")


def test_a_metric_of_ones_own_is_guarded_in_its_range() -> None:
    Metric.objects.create(name="stars", minimum=1, maximum=5)
    row = live(guards=[{"metric": "stars", "margin": 0.5}])
    assert look_at(row, START).guards[0].least_gain == -4
    for side, stars in (("control", 4.0), ("treated", 1.0)):
        for decision in ask(units_of(row, side, 70 if side == "control" else 55)):
            rate(decision, stars, "stars")
    found = look_at(again(row), soon()).guards[0]
    assert found.estimate == pytest.approx(-3.0)
    assert found.is_harmful


@pytest.mark.parametrize(
    ("guards", "message"),
    [
        ([], "at least one guard"),
        ("quality", "at least one guard"),
        ([{"metric": "happiness", "margin": 0.1}], "Unknown metric 'happiness'. Known metrics: "),
        ([{"metric": "quality"}], "margin of 'quality' must be a number above 0"),
        ([{"metric": "quality", "margin": 0}], "must be a number above 0"),
        ([{"metric": "quality", "margin": True}], "must be a number above 0"),
        ([{"metric": "quality", "margin": float("nan")}], "must be a number above 0"),
        ([{"metric": "quality", "margin": 1.5}], "no loss could exceed it"),
        ([{"metric": "cost", "margin": 0.1}], "'cost' needs a limit above 0"),
        ([{"metric": "p95_latency", "margin": 0.05}], "'p95_latency' needs a limit"),
        ([{"metric": "quality", "margin": 0.1, "limit": 3}], "takes no limit"),
        ([{"metric": "quality", "margin": 0.1, "weight": 3}], "A guard has no 'weight'"),
        ([ERRORS, ERRORS], "'error_rate' is listed twice"),
        (["quality"], "A guard is a metric and a margin"),
    ],
)
def test_guards_that_cannot_be_used_are_refused(guards: Any, message: str) -> None:
    with pytest.raises(GuardsError, match=message):
        checked_guards(guards)


def test_the_guards_are_seeded_with_the_error_rate() -> None:
    assert rollout(margin=0.03).guards == [
        {"metric": "error_rate", "margin": 0.02, "limit": None},
        {"metric": "quality", "margin": 0.03, "limit": None},
    ]


def test_a_plan_is_part_of_the_revision_history() -> None:
    flag = Flag.objects.get(key=MEDICAL)
    row = lifecycle.plan({"flag": flag, "steps": [[10, 24], [100, 0]], "key": "slow"}, "olga")
    newest = PolicyRevision.objects.latest("number")
    assert (newest.note, newest.author_name) == (f"Rollout of {MEDICAL}: planned", "olga")
    planned = newest.document["rollouts"]["slow"]
    assert (planned["state"], planned["steps"]) == ("pending", [[10, 24], [100, 0]])
    assert planned["guards"] == row.guards
    ask(["user-1"])
    assert not Decision.objects.exclude(rollout="").exists()
    lifecycle.start(row, "olga", START)
    lower_target(row, Decimal(50), "olga", START)
    changed = {
        change["path"]: change for change in PolicyRevision.objects.latest("number").difference
    }
    assert changed["rollouts.slow.steps"]["after"] == [[10, 24], [50.0, 0]]


def test_an_outcome_that_arrives_late_counts_in_the_phase_of_its_decision() -> None:
    row = started()
    (decision,) = ask(["user-1"])
    advance_anyway(row, "olga", hours(1), "a test")
    report(decision, success=False)
    fold_all()
    sums = UnitSum.objects.get(experiment=row.key)
    assert (sums.phase, sums.outcomes, sums.errors) == (1, 1, 1)
    assert Outcome.objects.count() == 1


def test_above_half_the_holdback_is_still_compared() -> None:
    row = live(steps=[(95, 24), (100, 0)], guards=[ERRORS])
    for side, works in (("control", True), ("treated", False)):
        for decision in ask(units_of(row, side, 12)):
            report(decision, success=works)
    advance_all(soon())
    assert again(row).state == "rolled_back"


def test_pages_show_what_the_last_check_saw(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    row = started()
    compare(row, 100, control=0.9, treated=0.9)
    advance_all(hours(1))
    UnitSum.objects.all().delete()
    with django_assert_max_num_queries(2):
        (line,) = rollout_lines(hours(2))
    assert line.seen is not None
    assert (line.seen.at, line.seen.compared) == ("2026-09-01T01:00:00Z", 100)
    assert [guard.metric for guard in line.seen.guards] == ["error_rate", "quality"]
    advance_anyway(again(row), "olga", hours(3), "a test")
    assert again(row).seen == {}
