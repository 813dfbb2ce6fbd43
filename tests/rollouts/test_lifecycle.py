"""Guarded rollouts: what raises a percentage, what holds it, what brings it back."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from experiments.core.bucketing import bucket_index
from experiments.models import Decision, Flag, PolicyRevision, Rollout, UnitSum
from experiments.rollouts import lifecycle
from experiments.rollouts.lifecycle import RolloutError, advance_all, advance_anyway
from experiments.rollouts.steps import StepsError, check_steps, steps_of
from experiments.routing.route import RouteRequest, route
from tests.experiment_rows import START, rollout, running, set_flag

pytestmark = pytest.mark.usefixtures("seeded")

MEDICAL = "routellm_medical_domain"


def hours(count: float) -> datetime:
    return START + timedelta(hours=count)


def percentage(key: str = MEDICAL) -> float:
    return float(Flag.objects.get(key=key).percentage)


def started(**values: Any) -> Rollout:
    row = rollout(**values)
    lifecycle.start(row, "olga", START)
    return row


def again(row: Rollout) -> Rollout:
    return Rollout.objects.select_related("flag").get(pk=row.pk)


def compare(row: Rollout, *, units: int = 300, control: float = 0.9, treated: float = 0.9) -> None:
    """Treated units of the phase it is in, and as many controls as its shares say. Each has one
    rated call that worked; that share of the ratings is good."""
    row = again(row)
    controls = round(units * float(row.control_percentage / row.treated_percentage))
    for side, good, count in (("control", control, controls), ("treated", treated, units)):
        UnitSum.objects.bulk_create(
            UnitSum(
                experiment=row.key,
                phase=row.phase,
                arm=side,
                unit_hash=f"{side}-{row.phase}-{number}",
                domain="medical",
                day=START.date(),
                decisions=1,
                priced=1,
                cost=1_000_000 + number,
                baseline=2_000_000,
                outcomes=1,
                quality=1_000_000 * (number < good * count),
                rated=1,
            )
            for number in range(count)
        )


def test_it_works() -> None:
    row = started()
    assert percentage() == 10
    compare(row)

    advance_all(hours(23))
    assert (again(row).state, percentage()) == ("running", 10)
    advance_all(hours(24))
    assert (again(row).state, percentage()) == ("running", 50)
    compare(row, units=1500)
    advance_all(hours(48))
    assert percentage() == 100
    advance_all(hours(49))
    assert again(row).state == "completed"
    assert again(row).ended_at == hours(49)
    assert percentage() == 100
    assert again(row).reason.startswith("Completed at 100 %: error rate is at most 0.")


def test_every_step_is_a_revision_by_the_rollout() -> None:
    row = started()
    compare(row)
    advance_all(hours(24))
    newest = PolicyRevision.objects.latest("number")
    assert newest.author_name == "rollout"
    assert newest.note == f"Rollout of {MEDICAL}: The guards allowed the next step; now 50 %"
    assert f"flags.{MEDICAL}.percentage" in {change["path"] for change in newest.difference}


def test_a_second_round_at_the_same_time_changes_nothing() -> None:
    row = started()
    compare(row)
    advance_all(hours(24))
    before = PolicyRevision.objects.count(), row.history.count()
    advance_all(hours(24))
    assert (PolicyRevision.objects.count(), row.history.count()) == before


def test_nothing_moves_a_unit_out_when_the_percentage_rises() -> None:
    row = started(steps=[(10, 1), (25, 1), (50, 1), (100, 0)])
    units = [f"user-{number}" for number in range(60)]
    was_on: set[str] = set()
    for step in range(4):
        on = {unit for unit in units if _is_on(unit)}
        assert was_on <= on
        was_on = on
        if step < 3:
            compare(row, units=2000)
        advance_all(hours(step + 1))
    assert was_on == set(units)


def _is_on(unit: str) -> bool:
    decision = route(RouteRequest("What is flu?", unit_id=unit, domain="medical", dry_run=True))
    return bool(next(f["on"] for f in decision.detail["flags"] if f["key"] == MEDICAL))


def test_all_units_without_the_flag_are_the_control() -> None:
    row = started()
    seed = Flag.objects.get(key=MEDICAL).seed
    expected: dict[str, int] = {}
    for number in range(80):
        unit = f"user-{number}"
        route(RouteRequest("What is flu?", unit_id=unit, domain="medical"))
        side = "treated" if bucket_index(seed, unit) < 1000 else "control"
        expected[side] = expected.get(side, 0) + 1
    decisions = Decision.objects.filter(rollout=row.key, phase=1)
    counted = {side: decisions.filter(rollout_arm=side).count() for side in expected}
    assert counted == expected
    assert UnitSum.objects.filter(experiment=row.key, phase=1).count() == 80


def test_each_step_counts_in_a_phase_of_its_own() -> None:
    row = started()
    advance_anyway(row, "olga", START, "a test")
    seed = Flag.objects.get(key=MEDICAL).seed
    for number in range(40):
        route(RouteRequest("What is flu?", unit_id=f"user-{number}", domain="medical"))
    treated = sum(bucket_index(seed, f"user-{number}") < 5000 for number in range(40))
    sums = UnitSum.objects.filter(experiment=row.key, phase=2)
    assert (sums.filter(arm="treated").count(), sums.count()) == (treated, 40)


def test_while_the_flag_was_moved_by_hand_nothing_is_counted() -> None:
    row = started()
    set_flag(MEDICAL, 5)
    route(RouteRequest("What is flu?", unit_id="user-1", domain="medical"))
    assert not UnitSum.objects.filter(experiment=row.key).exists()


def test_above_half_a_holdback_stays_as_control() -> None:
    row = rollout(steps=[(50, 24), (100, 24)])
    assert [(float(step.percentage), step.monitored) for step in steps_of(row)] == [
        (50, True),
        (100, False),
    ]
    row = Rollout(flag=row.flag, steps=[[60, 1], [97, 1], [100, 0]], holdback_percentage=5)
    assert [(float(step.percentage), step.monitored) for step in steps_of(row)] == [
        (60, True),
        (95, True),
        (100, False),
    ]


def test_without_a_holdback_steps_above_half_are_unmonitored() -> None:
    row = Rollout(flag=Flag.objects.get(key=MEDICAL), steps=[[50, 1], [60, 1]])
    row.holdback_percentage = 0
    assert [step.monitored for step in steps_of(row)] == [True, False]


def test_certainly_worse_quality_rolls_back_at_once() -> None:
    row = started()
    compare(row, units=300, control=0.9, treated=0.5)
    advance_all(hours(1))
    assert again(row).state == "rolled_back"
    assert "quality is at least" in again(row).reason
    assert percentage() == 0


def test_quality_inside_the_margin_goes_on() -> None:
    row = started()
    compare(row, units=800, control=0.9, treated=0.88)
    advance_all(hours(24))
    assert (again(row).state, percentage()) == ("running", 50)


def test_a_few_bad_ratings_are_no_certainty() -> None:
    row = started()
    compare(row, units=20, control=1.0, treated=0.0)
    advance_all(hours(1))
    assert (again(row).state, percentage()) == ("running", 10)


def test_a_more_expensive_policy_alone_does_not_roll_back() -> None:
    row = started()
    compare(row, units=400)
    UnitSum.objects.filter(arm="treated").update(cost=9_000_000)
    advance_all(hours(1))
    assert again(row).state == "running"


def test_units_that_fall_unevenly_hold_the_step_and_say_why() -> None:
    row = started()
    compare(row, units=1000)
    UnitSum.objects.filter(arm="treated", unit_hash__endswith="5").delete()
    UnitSum.objects.filter(arm="treated", unit_hash__endswith="6").delete()
    advance_all(hours(24))
    assert (again(row).state, percentage()) == ("held", 10)
    assert "units fell into the arms where" in again(row).reason


def test_when_the_alarm_is_over_it_runs_again() -> None:
    row = started()
    compare(row, units=1000)
    lost = UnitSum.objects.filter(arm="treated", unit_hash__regex="[56]$")
    lost.update(experiment="lost")
    advance_all(hours(1))
    assert again(row).state == "held"
    UnitSum.objects.filter(experiment="lost").update(experiment=row.key)
    advance_all(hours(2))
    assert again(row).state == "running"


def test_without_any_unit_compared_a_step_is_held() -> None:
    row = started()
    advance_all(hours(24))
    assert (again(row).state, percentage()) == ("held", 10)
    assert "No unit has been compared yet" in again(row).reason


def test_a_flag_lowered_by_hand_is_never_raised_again() -> None:
    row = started()
    compare(row)
    set_flag(MEDICAL, 0)
    advance_all(hours(24))
    assert (again(row).state, percentage()) == ("held", 0)
    assert "was set to 0 % by hand" in again(row).reason
    lifecycle.roll_back(again(row), "olga", hours(25), "Enough")
    assert percentage() == 0


def test_a_step_without_hours_waits_for_an_operator() -> None:
    row = started(steps=[(10, None), (50, 24)])
    compare(row)
    advance_all(hours(1))
    assert (again(row).state, percentage()) == ("ready", 10)
    advance_all(hours(900))
    assert percentage() == 10
    lifecycle.advance(again(row), "olga", hours(901))
    assert (again(row).state, percentage()) == ("running", 50)
    assert PolicyRevision.objects.latest("number").author_name == "olga"


def test_a_ready_rollout_is_still_rolled_back() -> None:
    row = started(steps=[(10, None), (50, 24)])
    compare(row)
    advance_all(hours(1))
    UnitSum.objects.all().delete()
    compare(row, units=300, control=0.9, treated=0.5)
    advance_all(hours(2))
    assert again(row).state == "rolled_back"


def test_while_paused_nothing_moves() -> None:
    row = started()
    compare(row)
    lifecycle.pause(row, "olga", hours(1))
    advance_all(hours(100))
    assert (again(row).state, percentage()) == ("paused", 10)
    lifecycle.resume(again(row), "olga", hours(101))
    advance_all(hours(102))
    assert percentage() == 50


def test_rolling_back_returns_to_the_percentage_before() -> None:
    set_flag(MEDICAL, 5)
    row = started()
    lifecycle.roll_back(row, "olga", hours(1), "Complaints")
    assert (again(row).state, again(row).reason, percentage()) == ("rolled_back", "Complaints", 5)


def test_a_rollout_that_never_started_is_given_up_without_touching_the_flag() -> None:
    set_flag(MEDICAL, 5)
    lifecycle.roll_back(rollout(), "olga", START, "Not now")
    assert percentage() == 5


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda row: lifecycle.pause(row, "olga", START), "is pending; only one that is running"),
        (lambda row: lifecycle.resume(row, "olga", START), "is pending; only one that is paused"),
        (lambda row: lifecycle.advance(row, "olga", START), "is pending; only one that is ready"),
    ],
)
def test_steps_out_of_turn_are_refused(step: Any, message: str) -> None:
    with pytest.raises(RolloutError, match=message):
        step(rollout())


def test_an_experiment_on_its_domain_stands_in_the_way() -> None:
    running()
    row = rollout("routellm_technical_domain", [(100, 0)])
    with pytest.raises(RolloutError, match=r"An experiment runs on its domain \(cheaper\)"):
        lifecycle.start(row, "olga", START)
    lifecycle.start(rollout(), "olga", START)


def test_a_rollout_of_the_master_flag_and_one_of_a_domain_exclude_each_other() -> None:
    started()
    set_flag("routellm_enabled", 0)
    with pytest.raises(RolloutError, match="Another guarded rollout is under way"):
        lifecycle.start(rollout("routellm_enabled"), "olga", START)


def test_a_rollout_of_the_master_flag_compares_units_whose_domain_is_on() -> None:
    set_flag("routellm_enabled", 0)
    row = started(flag="routellm_enabled", steps=[(50, 24)])
    for number in range(20):
        for domain in ("technical", "medical"):
            route(RouteRequest("What is flu?", unit_id=f"user-{number}", domain=domain))
    assert UnitSum.objects.filter(experiment=row.key).count() == 20
    assert set(UnitSum.objects.filter(experiment=row.key).values_list("domain", flat=True)) == {
        "technical"
    }


def test_a_switch_has_no_percentages() -> None:
    with pytest.raises(RolloutError, match="is either on or off"):
        lifecycle.start(rollout("routellm_cost_tracking"), "olga", START)


def test_steps_below_the_flag_are_refused() -> None:
    set_flag(MEDICAL, 20)
    with pytest.raises(RolloutError, match="The flag is at 20 %: start there or above"):
        lifecycle.start(rollout(), "olga", START)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "at least one step"),
        ([[10]], "a percentage and hours"),
        ([[0, 1]], "between 0.01 and 100"),
        ([[101, 1]], "between 0.01 and 100"),
        ([["many", 1]], "is not a percentage"),
        ([[10, -1]], "hours must be a number"),
        ([[10, True]], "hours must be a number"),
        ([[10, 1], [10, 1]], "must rise"),
        ([[50, 1], [10, 1]], "must rise"),
        ({"10": 1}, "at least one step"),
    ],
)
def test_steps_that_make_no_sense_are_refused(steps: Any, message: str) -> None:
    with pytest.raises(StepsError, match=message):
        check_steps(steps)


def test_the_command_does_one_round(capsys: pytest.CaptureFixture[str]) -> None:
    lifecycle.start(rollout(), "olga", datetime.now(tz=START.tzinfo))
    call_command("advance_rollouts")
    assert f"{MEDICAL}: running at 10 %. Waits until" in capsys.readouterr().out
