"""How large an experiment has to be, from what its domain's units did lately."""

from datetime import timedelta
from itertools import count

import pytest

from experiments.analysis.experiment.power import NoSize, SampleSize
from experiments.experimentation import lifecycle
from experiments.experimentation.lifecycle import LifecycleError
from experiments.experimentation.planning import propose
from experiments.experimentation.start_planning import take_over
from experiments.experimentation.text import plan_sentence
from experiments.models import Experiment, Metric, MetricSum, Rollup, UnitSum
from tests.experiment_rows import START, draft

pytestmark = pytest.mark.usefixtures("seeded")

TODAY = START.date()
_numbers = count()


def history(units: int, *, days_ago: int = 5, domain: str = "technical", **sums: int) -> None:
    """Units outside any experiment: half of them rated good, costs of 1 and 3 milli-dollars."""
    UnitSum.objects.bulk_create(
        UnitSum(
            unit_hash=f"unit-{next(_numbers)}",
            domain=domain,
            day=TODAY - timedelta(days=days_ago),
            **{
                "decisions": 1,
                "priced": 1,
                "cost": 1_000_000 + 2_000_000 * (number % 2),
                "baseline": 3_000_000,
                "quality": 1_000_000 * (number // 2 % 2),
                "rated": 1,
                **sums,
            },
        )
        for number in range(units)
    )


def size(experiment: Experiment) -> SampleSize:
    found = propose(experiment, TODAY)
    assert isinstance(found, SampleSize), found
    return found


def test_it_works() -> None:
    history(1120)
    found = size(draft(target_effect="0.001"))
    assert found.limiting == "quality"
    assert found.units == 6037
    assert found.days == 158  # 40 units a day, and the window of the last ones
    assert 2.1 < found.times_a_single_look < 2.8


def test_the_metric_with_least_room_takes_most_units() -> None:
    history(1120)
    found = size(draft(target_effect="0.0001", margin=0.5))
    assert found.limiting == "cost"


def test_a_wider_margin_takes_fewer_units() -> None:
    history(1120)
    narrow, wide = (size(draft(f"m{i}", margin=m)) for i, m in enumerate((0.02, 0.08)))
    assert wide.units < narrow.units / 4


def test_an_expected_loss_near_the_margin_takes_more() -> None:
    history(1120)
    lossless, lossy = (size(draft(f"l{i}", expected_loss=x)) for i, x in enumerate((0.0, 0.04)))
    assert lossy.units > 10 * lossless.units


def test_a_loss_as_large_as_the_margin_can_never_be_proved() -> None:
    history(1120)
    found = propose(draft(expected_loss=0.05), TODAY)
    assert isinstance(found, NoSize)
    assert "no number of units proves that" in plan_sentence(found)


def test_without_recent_units_it_says_what_is_missing() -> None:
    history(99)
    found = propose(draft(), TODAY)
    assert isinstance(found, NoSize)
    assert found.metrics == ("cost", "quality")


def test_older_units_and_other_domains_do_not_count() -> None:
    history(500, days_ago=28)
    history(500, domain="creative")
    assert isinstance(propose(draft(), TODAY), NoSize)
    assert isinstance(propose(draft("all", domain=None), TODAY), SampleSize)


def test_only_a_units_first_days_count() -> None:
    """As in the experiment: what it does after its window is not part of the result."""
    history(1120, days_ago=20)
    experiment = draft()
    before = size(experiment)
    for row in UnitSum.objects.all():
        row.pk, row.day, row.cost, row.quality = None, TODAY - timedelta(days=1), 10**10, 0
        row.save()
    assert size(experiment).units == before.units


def test_less_coverage_takes_longer_with_the_same_units() -> None:
    history(1120)
    full, half = (size(draft(f"c{i}", coverage=x)) for i, x in enumerate((1.0, 0.5)))
    assert half.units == full.units
    assert (full.days, half.days) == (158, 309)


def test_a_custom_guardrail_is_planned_from_its_ratings() -> None:
    Metric.objects.create(name="stars", minimum=0, maximum=5)
    experiment = draft(margin=0.5, target_effect="0.001")
    experiment.metrics.create(metric="stars", role="guardrail", margin=0.1)
    history(1120)
    found = propose(experiment, TODAY)
    assert found == NoSize(("stars",))
    assert plan_sentence(found) == (
        "There is not enough recent data of stars for a plan; wait for 100 units, or "
        "enter a size by hand."
    )
    MetricSum.objects.bulk_create(
        MetricSum(
            unit_hash=row.unit_hash,
            domain="technical",
            day=row.day,
            metric="stars",
            total=1_000_000 * (number % 6),
            rated=1,
        )
        for number, row in enumerate(UnitSum.objects.all())
    )
    assert size(experiment).limiting == "stars"


def test_requests_are_planned_from_the_hourly_roll_ups() -> None:
    """A thousand requests that cost 1 or 3 milli-dollars, half of them rated good."""
    Rollup.objects.create(
        hour=START - timedelta(days=2),
        domain="technical",
        tier="strong",
        model="m",
        method="always_strong",
        decisions=1120,
        priced=1120,
        cost=1120 * 2_000_000,
        cost_squares=560 * (1_000**2 + 3_000**2),
        baseline=1120 * 3_000_000,
        rated=1120,
        quality=560_000_000,
        quality_squares=560 * 10**12,
    )
    found = size(draft(unit_kind="request", target_effect="0.001"))
    assert (found.limiting, found.units) == ("quality", 6037)
    assert found.days == 151


def test_a_draft_with_one_arm_cannot_be_planned() -> None:
    history(1120)
    found = propose(draft(arms={"control": "always_strong"}), TODAY)
    assert isinstance(found, NoSize)
    assert "do not make an experiment" in plan_sentence(found)


def test_a_draft_without_a_guardrail_cannot_be_planned() -> None:
    history(1120)
    experiment = draft()
    experiment.metrics.filter(role="guardrail").delete()
    found = propose(experiment, TODAY)
    assert isinstance(found, NoSize)
    assert "no guardrail" in plan_sentence(found)


def test_a_proposal_is_taken_over_with_one_step() -> None:
    history(1120)
    experiment = draft(planned_units=None)
    found = size(experiment)
    take_over(experiment, found, "olga")
    experiment.refresh_from_db()
    assert experiment.planned_units == found.units
    lifecycle.start(experiment, "olga", START)
    assert experiment.tuning_sample_size == found.tuning_sample_size


def test_the_plan_of_a_running_experiment_stays() -> None:
    history(1120)
    experiment = draft()
    lifecycle.start(experiment, "olga", START)
    with pytest.raises(LifecycleError, match="has started: its plan is fixed"):
        take_over(experiment, size(experiment), "olga")
