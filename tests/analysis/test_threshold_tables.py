"""Threshold tables: the share they keep, ties, and scores of one busy unit."""

import numpy as np
import pytest

from experiments.analysis.learning.threshold_tables import (
    ShareKeeper,
    corrected_share,
    fair_rows,
    horizon_of,
    jump_of,
    recency_weights,
    recent_rows,
    table_for_share,
)


@pytest.mark.parametrize("share", [0.0, 0.123, 0.5, 0.9, 1.0])
def test_a_table_sends_exactly_its_share_on_average(share: float) -> None:
    scores = np.round(np.random.default_rng(1).random(300), 1)  # many ties

    table = table_for_share(scores, share)

    assert np.mean([table.propensity(score) for score in scores]) == pytest.approx(share)


def test_newer_scores_weigh_more() -> None:
    weights = recency_weights(200)
    assert weights[-1] == 1
    assert weights[-51] == pytest.approx(0.5)

    moved = np.repeat([0.2, 0.8], 100)
    table = table_for_share(moved, 0.5, weights=weights)

    assert table.threshold == 0.8
    strong = np.array([table.propensity(score) for score in moved])
    assert strong @ weights / weights.sum() == pytest.approx(0.5)


def test_equal_scores_are_drawn_at_the_wanted_share() -> None:
    table = table_for_share(np.full(80, 0.7), 0.3)
    ties = np.random.default_rng(2).random(10_000)

    strong = table.strong(np.full(10_000, 0.7), ties)

    assert strong.mean() == pytest.approx(0.3, abs=0.02)
    assert table.strong(np.array([0.71, 0.69]), np.array([0.99, 0.0])).tolist() == [True, False]


def test_a_realized_share_below_the_target_is_made_up() -> None:
    assert corrected_share(0.5, decided=100, strong=50) == 0.5
    assert corrected_share(0.5, decided=100, strong=30) == pytest.approx(0.7)
    assert corrected_share(0.5, decided=100, strong=100) == pytest.approx(0.0)
    assert corrected_share(0.5, decided=1000, strong=0) == 1.0


def test_one_busy_unit_has_at_most_one_percent_of_the_scores() -> None:
    units = np.where(np.arange(1000) % 2 == 0, 7, np.arange(1000) + 100)

    kept = recent_rows(units)

    assert len(kept) == 200
    assert (units[kept] == 7).sum() == 2
    assert kept.tolist() == sorted(kept)
    assert kept[-1] == 999


def test_a_new_domain_starts_with_the_scores_of_all_traffic_and_before_that_with_the_shipped() -> (
    None
):
    keeper = ShareKeeper(0.5, cold=np.array([0.1, 0.2, 0.3, 0.4]))
    few, many = np.full(49, 0.9), np.linspace(0.5, 0.6, 200)

    assert keeper.table(0, few, few).threshold == pytest.approx(0.3)
    assert keeper.table(0, few, many).threshold == pytest.approx(0.58, abs=0.01)
    assert keeper.table(0, np.full(50, 0.9), many).threshold == 0.9
    assert keeper.table(0, few, few).number == 4


def test_what_the_cold_start_sent_is_not_made_up() -> None:
    keeper = ShareKeeper(0.2, cold=np.array([0.1, 0.2]))
    few, many = np.full(10, 0.9), np.linspace(0, 1, 200)

    keeper.add(0, keeper.table(0, few, few), np.ones(50, dtype=bool))
    assert keeper.table(0, many, many).wanted == 0.2

    keeper.add(0, keeper.table(0, many, many), np.ones(50, dtype=bool))
    assert keeper.table(0, many, many).wanted == 0.0


@pytest.mark.parametrize("drift", ["none", "rising", "jump", "jump up", "two values"])
def test_the_share_holds_from_the_200th_request_on(drift: str) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        scores = rng.normal(0.8, 0.05, 800)
        if drift == "rising":
            scores += np.linspace(0, 1, 800)
        elif drift == "jump":
            scores[500:] -= 0.5
        elif drift == "jump up":
            scores[600:] += 0.5
        elif drift == "two values":
            scores = rng.choice([0.2, 0.9], size=800, p=[0.1, 0.9])
        keeper = ShareKeeper(0.5, cold=np.linspace(0, 1, 100))
        strong = np.zeros(800, dtype=bool)
        for start in range(0, 800, 50):
            past = scores[recent_rows(np.arange(start))]
            table = keeper.table(0, past, past)
            strong[start : start + 50] = table.strong(scores[start : start + 50], rng.random(50))
            keeper.add(0, table, strong[start : start + 50])

        assert 0.45 <= strong[200:].mean() <= 0.55


def test_what_makes_no_table_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one score"):
        table_for_share(np.array([]), 0.5)
    with pytest.raises(ValueError, match="finite"):
        table_for_share(np.array([0.1, np.nan]), 0.5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        table_for_share(np.array([0.1]), 1.5)


def test_differences_are_made_up_more_slowly_where_tables_are_late() -> None:
    assert (horizon_of(1), horizon_of(50), horizon_of(1000)) == (50, 100, 2000)
    assert corrected_share(0.5, decided=100, strong=30, horizon=400) == pytest.approx(0.55)


def test_with_few_units_each_has_an_equal_share() -> None:
    alone = fair_rows(np.zeros(500, dtype=np.intp), 200)
    assert len(alone) == 200
    units = np.concatenate((np.arange(300), np.full(300, 7)))
    busy = fair_rows(units, 200)
    assert (units[busy] == 7).sum() == 2
    assert len(fair_rows([], 200)) == 0


def test_a_jump_is_a_difference_that_chance_does_not_make() -> None:
    rng = np.random.default_rng(3)
    same = rng.random(300)
    assert jump_of(same) is None
    moved = np.concatenate((rng.random(200), 0.4 + 0.6 * rng.random(100)))
    assert jump_of(moved) == pytest.approx(0.4, abs=0.08)
    assert jump_of(moved[1:]) is None, "too few scores"
    ties = np.concatenate((np.full(200, 0.5), np.full(100, 0.6)))
    assert jump_of(ties) == 1.0
