"""The demonstration: what the reports say of it is what was put into it."""

from datetime import UTC, datetime
from math import sqrt
from statistics import mean

import pytest
from django.db.models import Count, Sum

from experiments.decisions.replay_check import check_replay
from experiments.demo import story
from experiments.demo.filling import NotEmptyError, fill
from experiments.demo.trial import NAME
from experiments.demo.world import SimulatedTruth, World
from experiments.experimentation.results import Results, results
from experiments.models import (
    Decision,
    Experiment,
    Outcome,
    PolicyRevision,
    RecordedOutcome,
    Rollout,
    Rollup,
    UnitSum,
)

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
SCALE = 0.35
METRICS = {"cost": "cost", "quality": "quality"}


@pytest.mark.slow
@pytest.mark.django_db
def test_reports_agree_with_the_known_truth() -> None:
    world = fill(NOW, SCALE).world
    found = {row.key: results(row, NOW, series=False) for row in Experiment.objects.all()}
    the_intervals_hold_the_truth(world, found)
    the_states_are_those_of_the_story(found)
    the_books_hold_every_decision()
    decisions_come_out_the_same_again()
    revisions_are_dated_as_the_story_goes()
    the_trial_is_drawn_from_the_truth(world)


def the_intervals_hold_the_truth(world: World, found: dict[str, Results]) -> None:
    looked_at = 0
    for key, said in found.items():
        truths = truths_of(world, key)
        control = next(arm.name for arm in said.arms if arm.is_control)
        for one in said.effects:
            interval = one.effect.sequential_interval
            if one.metric in METRICS and interval is not None:
                before, after = (getattr(truths[arm], one.metric) for arm in (control, one.arm))
                assert interval.lower <= after - before <= interval.upper, (
                    key,
                    one.arm,
                    one.metric,
                )
                looked_at += 1
    assert looked_at >= 8


def truths_of(world: World, key: str) -> dict[str, SimulatedTruth]:
    row = Experiment.objects.select_related("domain").get(key=key)
    assert row.domain is not None
    arms = row.arms.select_related("router", "strong_model", "weak_model")
    return {arm.name: world.truth(row.domain.name, arm.routing_policy()) for arm in arms}


def the_states_are_those_of_the_story(found: dict[str, Results]) -> None:
    statuses = {key: said.status for key, said in found.items()}
    assert statuses == {
        story.SHIPPED: "stopped",
        story.OPEN: "running",
        story.TO_SHIP: "running",
        story.UNHEALTHY: "running",
        story.TO_ROLL_BACK: "running",
        story.TOO_SMALL: "running",
        story.DRAFT: "draft",
    }
    too_small = found[story.TOO_SMALL].verdict
    assert too_small is not None
    assert too_small.outcome == "not_enough_data"
    medical = Rollout.objects.get(flag__domain__name="medical")
    assert (medical.state, f"{medical.flag.percentage}") == ("running", "25.00")


def the_books_hold_every_decision() -> None:
    decisions = Decision.objects.count()
    assert decisions > 9_000
    assert Rollup.objects.aggregate(n=Sum("decisions"))["n"] == decisions
    assert UnitSum.objects.aggregate(n=Sum("decisions"))["n"] == decisions
    cost = Outcome.objects.aggregate(total=Sum("cost"), n=Count("pk"))
    assert cost["n"] == decisions
    assert Rollup.objects.aggregate(total=Sum("cost"))["total"] == cost["total"]
    assert UnitSum.objects.aggregate(total=Sum("cost"))["total"] == cost["total"]


def decisions_come_out_the_same_again() -> None:
    for row in Decision.objects.order_by("pk")[:: Decision.objects.count() // 25]:
        assert check_replay(row).same, row.pk


def revisions_are_dated_as_the_story_goes() -> None:
    numbers = PolicyRevision.objects.order_by("created_at", "number").values_list(
        "number", flat=True
    )
    assert list(numbers) == sorted(numbers)
    for row in Decision.objects.order_by("pk")[:: Decision.objects.count() // 25]:
        assert PolicyRevision.objects.get(number=row.revision).created_at <= row.created_at


def the_trial_is_drawn_from_the_truth(world: World) -> None:
    rows = {row.prompt: row for row in RecordedOutcome.objects.filter(outcome_set__name=NAME)}
    prompts = [prompt for pool in world.pools.values() for prompt in pool]
    assert rows.keys() == {prompt.text for prompt in prompts}
    for model, field in ((world.strong, "strong_score"), (world.weak, "weak_score")):
        shown = [getattr(rows[prompt.text], field) for prompt in prompts]
        true = [world.quality(prompt, model) for prompt in prompts]
        # A rating's standard deviation is at most a half; ten raters looked at each.
        assert abs(mean(shown) - mean(true)) < 3 * 0.5 / sqrt(10 * len(prompts))


@pytest.mark.django_db
def test_it_is_written_into_an_empty_database_only(decision_row: Decision) -> None:
    with pytest.raises(NotEmptyError, match="only written into an empty one"):
        fill(NOW, SCALE)


@pytest.fixture
def decision_row(seeded: None) -> Decision:
    from experiments.routing.route import RouteRequest, route

    return route(RouteRequest("Explain recursion."))
