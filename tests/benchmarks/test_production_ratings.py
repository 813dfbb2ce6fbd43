"""Logs of the proof are asked through the product, and have the truth they claim."""

import numpy as np
import pytest

from benchmarks.production_ratings import (
    BIG,
    COVERAGE,
    DOMAIN,
    PROMISES,
    TAILS,
    Tail,
    World,
    costly,
    costs,
    coverage,
    draw,
    promises,
)
from experiments.core.policy import Method
from experiments.lab.candidates import CandidatePolicy
from experiments.lab.off_policy import answer, question

ALWAYS_STRONG = CandidatePolicy(Method.ALWAYS_STRONG, domain=DOMAIN)


def test_a_log_has_the_odds_and_the_quality_that_its_world_says() -> None:
    world = PROMISES[0]
    drawn = draw(np.random.default_rng(1), world, 50_000)
    odds = drawn.logged.odds_of(drawn.logged.weak)
    assert np.unique(odds).tolist() == [0.004, 0.5]
    assert float((odds == 0.004).mean()) == pytest.approx(0.3, abs=0.01)
    assert drawn.keeps(0.0)
    assert not drawn.keeps(1.0)


def test_busy_units_ask_as_often_as_their_world_says() -> None:
    world = next(one for one in PROMISES if one.busy == (0.1, 20))
    counts = np.bincount(draw(np.random.default_rng(2), world, 5_000).logged.units)
    assert sorted(set(counts.tolist())) == [1, 20]


def test_unhappy_users_volunteer_more_often() -> None:
    world = next(one for one in COVERAGE if not one.holds)
    drawn = draw(np.random.default_rng(3), world, 50_000)
    liked = float(np.nanmean(drawn.logged.rating))
    assert liked < float(drawn.good.mean()) - 0.1


def test_the_promise_table_asks_every_world(monkeypatch: pytest.MonkeyPatch) -> None:
    worlds = (World("random", 300), PROMISES[0])
    monkeypatch.setattr("benchmarks.production_ratings.PROMISES", worlds)
    rows = list(promises(np.random.default_rng(4), 5))
    assert len(rows) == 1 + len(worlds)
    assert rows[1].startswith("| random | 300 | 0.0 %")


def test_the_coverage_table_asks_every_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.production_ratings.COVERAGE", (World("random", 1000),))
    rows = list(coverage(np.random.default_rng(5), 5))
    assert len(rows) == 1 + 3
    assert all("100.0 % (0.0)" in row for row in rows[1:])


@pytest.mark.slow
@pytest.mark.parametrize(("units", "runs"), [(1500, 200), (6000, 80)])
def test_another_router_is_asked_about_without_bias(units: int, runs: int) -> None:
    """Who rates depends on the score at work. Fitted on the candidate's score alone, quality
    comes out two points too low."""
    world = next(one for one in COVERAGE if one.other is not None and one.units == units)
    candidate = CandidatePolicy(router=world.router, threshold=0.5, domain=DOMAIN)
    rng = np.random.default_rng(77)
    truth = draw(rng, world, BIG).quality(0.5)
    errors, held = [], 0
    for _ in range(runs):
        asked = question(draw(rng, world).logged, candidate)
        found = answer(asked, candidate, with_curve=False).found.quality.doubly_robust
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        errors.append(found.value - truth)
        held += found.low <= truth <= found.high
    assert abs(float(np.mean(errors))) < 0.005
    assert 0.91 <= held / runs <= 0.99


@pytest.mark.parametrize("tail", TAILS, ids=[tail.name for tail in TAILS])
def test_what_was_expected_is_the_mean_of_what_it_costs(tail: Tail) -> None:
    drawn = tail.draw(np.random.default_rng(6), 2_000_000)
    assert float(drawn.mean()) == pytest.approx(1.0, abs=0.06)
    assert float(drawn.min()) > 0.0


@pytest.mark.parametrize(("name", "held_at_most"), [("sigma 2", 0.92), ("index 1.5", 0.87)])
def test_an_interval_that_misses_the_cost_of_a_heavy_tail_says_so(
    name: str, held_at_most: float
) -> None:
    tail = next(one for one in TAILS if one.name.endswith(name))
    rng, runs, held, silent = np.random.default_rng(7), 60, 0, 0
    for _ in range(runs):
        asked = question(costly(rng, tail, 1500), ALWAYS_STRONG)
        found = answer(asked, ALWAYS_STRONG, with_curve=False).found.cost
        holds = (found.doubly_robust.low or 0) <= 1e7 <= (found.doubly_robust.high or 0)
        held += holds
        silent += not holds and not found.is_lopsided
    assert held / runs <= held_at_most
    assert silent <= 4


def test_the_table_of_costs_asks_every_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.production_ratings.REQUESTS", (1500,))
    rows = list(costs(np.random.default_rng(8), 3))
    assert len(rows) == 1 + len(TAILS)
    assert rows[1].startswith("| log-normal, sigma 0.5 | 1,500 | 100.0 % (0.0)")
