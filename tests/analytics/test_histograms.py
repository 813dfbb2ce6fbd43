"""Histograms of one domain, and what another threshold would do."""

from datetime import UTC, datetime

import pytest
from pytest_django import DjangoAssertNumQueries

from experiments.analytics.chart_rows import ScoreBin
from experiments.analytics.detection import (
    histograms,
    latency_within,
    moved,
    share_at_or_above,
)
from experiments.decisions.rollup_queries import RollupSums, Span
from tests.rollup_rows import CENT, bins

SPAN = Span(datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
HALVES = (ScoreBin(0.0, 0.5, 60), ScoreBin(0.5, 1.0, 40))


@pytest.mark.django_db
def test_it_works(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    bins("score:local", {"00": 3, "19": 5})
    bins("confidence", {"09": 8})
    bins("latency", {"00": 1, "12": 2})
    bins("runner_up", {"legal": 2, "general": 6, "creative": 2})
    bins("score:local", {"00": 100}, domain="legal")
    with django_assert_num_queries(1):
        found = histograms(SPAN, "technical")
    assert found.scores["local"][0] == ScoreBin(0.0, 0.05, 3)
    assert found.scores["local"][19] == ScoreBin(0.95, 1.0, 5)
    assert sum(one.decisions for one in found.confidence) == 8
    assert found.latency == (1, *[0] * 11, 2)
    assert found.runners_up == (("general", 6), ("creative", 2), ("legal", 2))


@pytest.mark.django_db
def test_nothing_counted_is_empty() -> None:
    found = histograms(SPAN, "technical")
    assert (found.scores, found.confidence, found.runners_up) == ({}, (), ())


@pytest.mark.parametrize(
    ("threshold", "share"), [(0.0, 1.0), (0.25, 0.7), (0.5, 0.4), (0.75, 0.2), (1.0, 0.0)]
)
def test_share_at_or_above(threshold: float, share: float) -> None:
    assert share_at_or_above(HALVES, threshold) == pytest.approx(share)


def test_share_of_no_scores_is_none() -> None:
    assert share_at_or_above((), 0.5) is None


def test_a_moved_threshold_is_priced_at_what_a_request_costs_either_model() -> None:
    tiers = {
        "weak": RollupSums(decisions=100, paired=100, strong_cost=100 * CENT, weak_cost=10 * CENT)
    }
    rows = moved(HALVES, tiers)
    assert len(rows) == 101
    # 40 of 100 at a cent, 60 at a tenth: 0.46 cents a request.
    assert rows[50] == (0.5, 0.4, 460 * CENT)
    assert rows[0].cost == 1000 * CENT
    assert rows[100].cost == 100 * CENT


def test_without_prices_there_is_a_share_and_no_cost() -> None:
    assert moved(HALVES, {"weak": RollupSums(decisions=5)})[50] == (0.5, 0.4, None)


@pytest.mark.parametrize(
    ("counts", "within"),
    [
        ((0,) * 13, None),
        ((95, 5, *[0] * 11), 0.25),
        ((94, 6, *[0] * 11), 0.5),
        ((*[0] * 12, 3), float("inf")),
    ],
)
def test_latency_within(counts: tuple[int, ...], within: float | None) -> None:
    assert latency_within(counts, 0.95) == within
