"""One unit with thousands of requests counts up to the cost cap, and undoes no verdict."""

from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from experiments.experimentation import lifecycle
from experiments.experimentation.aggregates import summarise
from experiments.experimentation.effects import MetricEffect
from experiments.experimentation.metrics import BUILT_IN
from experiments.experimentation.results import Results, results
from experiments.experimentation.study import COST
from experiments.experimentation.units import UnitSums
from experiments.models import Experiment, UnitSum
from tests.experiment_rows import START, add_units, draft, running

pytestmark = pytest.mark.usefixtures("seeded")
CAP = Decimal("0.1")


def days(count: float) -> datetime:
    return START + timedelta(days=count)


def outcome(found: Results) -> str:
    assert found.verdict is not None
    return str(found.verdict.outcome)


def effect(found: Results, metric: str) -> MetricEffect:
    return next(one for one in found.effects if one.metric == metric)


def cheaper_and_as_good(cap: Decimal | None = CAP) -> Experiment:
    experiment = running(min_days=1, margin=0.1, cost_cap=cap)
    Experiment.objects.update(cost_cap=cap)
    experiment.refresh_from_db()
    add_units(experiment, "control", 800, cost=4_000_000, quality=0.9)
    add_units(experiment, "weak", 800, cost=3_000_000, quality=0.9)
    return experiment


def loop(experiment: Experiment, arm: str, requests: int = 3_000, cost: int = 4_000_000) -> None:
    """One unit that asks thousands of times, is rated on many, and was about as good as others."""
    UnitSum.objects.create(
        experiment=experiment.key,
        phase=experiment.phase,
        arm=arm,
        unit_hash=f"loop-{arm}".ljust(32, "-"),
        domain="technical",
        day=START.date(),
        decisions=requests,
        priced=requests,
        cost=requests * cost,
        baseline=requests * 4_000_000,
        quality=requests * 100_000,
        rated=requests // 4,
    )


@pytest.mark.parametrize("arm", ["control", "weak"])
@pytest.mark.parametrize("cost", [100_000, 4_000_000, 8_000_000])
def test_a_loop_undoes_no_verdict(arm: str, cost: int) -> None:
    experiment = cheaper_and_as_good()
    assert outcome(results(experiment, days(9))) == "ship"
    loop(experiment, arm, cost=cost)
    assert outcome(results(experiment, days(9))) == "ship"


def test_without_a_cap_it_does() -> None:
    experiment = cheaper_and_as_good(cap=None)
    assert outcome(results(experiment, days(9))) == "ship"
    loop(experiment, "weak")
    assert outcome(results(experiment, days(9))) != "ship"


def test_units_that_reach_the_cap_are_counted_and_shown() -> None:
    experiment = cheaper_and_as_good()
    loop(experiment, "weak")
    found = results(experiment, days(9))
    assert [(arm.name, arm.cut) for arm in found.arms] == [("control", 0), ("weak", 1)]
    assert [arm.requests for arm in found.arms] == [800, 3800]  # counts stay what they are


def test_below_the_cap_nothing_changes() -> None:
    experiment = cheaper_and_as_good()
    capped = results(experiment, days(9))
    Experiment.objects.update(cost_cap=None)
    experiment.refresh_from_db()
    free = results(experiment, days(9))
    assert capped.effects == free.effects
    assert capped.series == free.series


def sums(cost: list[int], baseline: list[int], priced: list[int]) -> UnitSums:
    columns = {"cost": cost, "baseline": baseline, "priced": priced}
    now = {name: np.array(column, np.int64) for name, column in columns.items()}
    return UnitSums(len(cost), now, {})


def test_a_capped_unit_counts_in_proportion() -> None:
    """The third unit spent 20 where 10 are allowed: 5 of its 10 requests count, and 10 dollars.
    (1 + 2 + 10) / (1 + 2 + 5) = 1.625; uncapped (1 + 2 + 20) / (1 + 2 + 10) = 1.769."""
    dollars = 1_000_000_000
    three = sums([dollars, 2 * dollars, 20 * dollars], [0, 0, 0], [1, 2, 10])
    summary = summarise(three.capped(10 * dollars), COST)
    assert summary.numerator_mean == pytest.approx(13 / 3)  # type: ignore[union-attr]
    assert summary.denominator_mean == pytest.approx(8 / 3)  # type: ignore[union-attr]


def test_the_baseline_decides_where_it_is_more() -> None:
    """So that the same traffic has the same say in a cheap arm as in an expensive one."""
    dollars = 1_000_000_000
    cheap = sums([dollars], [40 * dollars], [10]).capped(10 * dollars)
    dear = sums([40 * dollars], [40 * dollars], [10]).capped(10 * dollars)
    assert summarise(cheap, COST).denominator_mean == 2.5  # type: ignore[union-attr]
    assert summarise(dear, COST).denominator_mean == 2.5  # type: ignore[union-attr]


def test_ratings_of_a_capped_unit_count_in_proportion_too() -> None:
    dollars = 1_000_000_000
    columns = {
        "cost": [dollars, 20 * dollars],
        "priced": [1, 10],
        "quality": [1_000_000, 0],
        "rated": [1, 10],
    }
    now = {name: np.array(column, np.int64) for name, column in columns.items()}
    summary = summarise(UnitSums(2, now, {}).capped(10 * dollars), BUILT_IN["quality"])
    assert summary.numerator_mean / summary.denominator_mean == pytest.approx(1 / 6)  # type: ignore[union-attr]


def test_the_start_fixes_a_cap_from_recent_units() -> None:
    """99 % of 1,000 units spent at most about $0.02 at the baseline: twice 0.010 +- half."""
    other = draft("before", domain="creative")
    recent = (START - timedelta(days=3)).date()
    add_units(other, "control", 1000, cost=10_000_000, domain="technical", day=recent)
    experiment = draft(window_days=1)
    lifecycle.start(experiment, "tests", START)
    assert experiment.cost_cap == Decimal("0.030000000")


def test_without_recent_units_it_is_a_hundred_requests_of_the_most_expensive_arm() -> None:
    experiment = running()
    assert experiment.cost_cap is not None
    # $2 and $8 a million tokens, 300 tokens out and about 10 in: $0.0024 a request.
    assert Decimal("0.24") <= experiment.cost_cap <= Decimal("0.25")


def test_a_cap_that_was_planned_stays() -> None:
    assert running(cost_cap=Decimal("7.5")).cost_cap == Decimal("7.5")
