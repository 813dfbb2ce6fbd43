"""Cost against quality, and whether a random router would do better."""

from datetime import UTC, datetime

import pytest
from pytest_django import DjangoAssertNumQueries

from experiments.analytics.chart_rows import RandomBaseline
from experiments.analytics.cost_quality import plane
from experiments.decisions.rollup_queries import Span
from tests.rollup_rows import CENT, hour

pytestmark = pytest.mark.django_db
SPAN = Span(datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))


def random_arms(strong_liked: int = 950, weak_liked: int = 750) -> None:
    """An experiment between always strong and always weak: the ends of the random router's line."""
    hour(
        tier="strong",
        method="always_strong",
        experiment="ends",
        arm="strong",
        decisions=1000,
        liked=strong_liked,
        rated=1000,
    )
    hour(
        tier="weak",
        method="always_weak",
        experiment="ends",
        arm="weak",
        decisions=1000,
        liked=weak_liked,
        rated=1000,
    )


def test_it_works(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    hour(decisions=200, liked=180, rated=200)
    with django_assert_num_queries(1):
        found = plane(SPAN)
    point = found.domains[0].point
    assert (point.name, point.kind, point.cost, point.rated) == (
        "technical",
        "domain",
        1000 * CENT,
        200,
    )
    assert point.quality == 0.9
    # Every request cost the same.
    assert (point.cost_low, point.cost_high) == (1000 * CENT, 1000 * CENT)
    assert found.baselines == ()


def test_the_line_joins_always_weak_and_always_strong() -> None:
    random_arms()
    assert plane(SPAN).baselines == (
        RandomBaseline("technical", 100 * CENT, 0.75, 1000 * CENT, 0.95),
    )


def test_tiers_of_a_router_make_no_line() -> None:
    hour(tier="strong", liked=90, rated=100)
    hour(tier="weak", liked=90, rated=100)
    assert plane(SPAN).baselines == ()


def test_a_policy_below_its_line_does_worse_than_random() -> None:
    random_arms()
    # Half of the prompts to each: a random router reaches 0.85, this arm 0.70.
    for tier in ("strong", "weak"):
        hour(tier=tier, experiment="bad", arm="router", decisions=500, liked=350, rated=500)
    found = plane(SPAN)
    arm = next(place for place in found.arms if place.point.name == "bad: router")
    assert arm.gap is not None
    assert arm.gap.value == pytest.approx(-0.15)
    assert arm.point.below_random
    assert arm in found.below


def test_a_policy_on_its_line_does_not() -> None:
    random_arms()
    for tier in ("strong", "weak"):
        hour(tier=tier, experiment="fair", arm="router", decisions=500, liked=425, rated=500)
    assert plane(SPAN).below == ()


def test_few_ratings_never_condemn() -> None:
    random_arms()
    hour(tier="weak", experiment="new", arm="router", decisions=29, liked=0, rated=29)
    found = next(place for place in plane(SPAN).arms if place.point.name == "new: router")
    assert not found.point.below_random


def test_an_experiment_can_be_picked() -> None:
    random_arms()
    hour(tier="weak", experiment="other", arm="router")
    assert {place.point.name for place in plane(SPAN, experiment="other").arms} == {"other: router"}
