"""Logs of the proof are asked through the product, and have the truth they claim."""

import numpy as np
import pytest

from benchmarks.production_ratings import COVERAGE, PROMISES, World, coverage, draw, promises


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
    worlds = (World("coin", 300), PROMISES[0])
    monkeypatch.setattr("benchmarks.production_ratings.PROMISES", worlds)
    rows = list(promises(np.random.default_rng(4), 5))
    assert len(rows) == 1 + len(worlds)
    assert rows[1].startswith("| coin | 300 | 0.0 %")


def test_the_coverage_table_asks_every_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.production_ratings.COVERAGE", (World("coin", 1000),))
    rows = list(coverage(np.random.default_rng(5), 5))
    assert len(rows) == 1 + 3
    assert all("100.0 % (0.0)" in row for row in rows[1:])
