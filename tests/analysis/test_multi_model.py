"""A policy over several models: literal figures, random router, oracle, intervals that cover."""

import numpy as np
import pytest

from experiments.analysis.routing.multi_model import assess_several

QUALITY = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
COST = np.array([[90.0, 30.0, 10.0]] * 4)
CHOSEN = np.array([1, 0, 2, 2])


def test_it_works() -> None:
    found = assess_several(CHOSEN, QUALITY, COST, seed=1)
    assert found.n == 4
    assert [one.value for one in found.shares] == [0.25, 0.25, 0.5]
    assert (found.policy.quality.value, found.policy.cost.value) == (1.0, 35.0)  # type: ignore[union-attr]
    assert [one.quality.value for one in found.always] == [0.75, 0.5, 0.5]
    assert [one.cost.value for one in found.always if one.cost] == [90.0, 30.0, 10.0]
    assert found.random.quality.value == pytest.approx(0.25 * 0.75 + 0.25 * 0.5 + 0.5 * 0.5)
    assert found.over_random.value == pytest.approx(1 - 0.5625)
    # The cheapest of the best: 30, 90, 10 and 10.
    assert found.oracle.quality.value == 1.0
    assert found.oracle.cost
    assert found.oracle.cost.value == 35.0
    assert found.saving_against_first
    assert found.saving_against_first.value == pytest.approx(1 - 35 / 90)


def test_an_unknown_cost_is_no_cost() -> None:
    cost = COST.copy()
    cost[2, 1] = np.nan
    found = assess_several(CHOSEN, QUALITY, cost, seed=1)
    assert found.policy.cost is None
    assert [one.cost for one in found.always] == [None, None, None]
    assert found.saving_against_first is None
    assert found.saving_against_random is None
    assert found.oracle.quality.value == 1.0


def test_the_same_seed_gives_the_same_figures() -> None:
    assert assess_several(CHOSEN, QUALITY, COST, seed=3) == assess_several(
        CHOSEN, QUALITY, COST, seed=3
    )


def test_units_are_drawn_together() -> None:
    """Forty copies of one prompt are one unit: as unsure as that one."""
    chosen, quality, cost = (np.repeat(one, 40, axis=0) for one in (CHOSEN, QUALITY, COST))
    alone = assess_several(chosen, quality, cost, seed=1).always[0].quality
    units = np.repeat(np.arange(4), 40)
    together = assess_several(chosen, quality, cost, seed=1, units=units).always[0].quality
    assert together.high - together.low > 4 * (alone.high - alone.low)


def test_nothing_and_what_is_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="needs prompts"):
        assess_several(CHOSEN[:0], QUALITY[:0], COST[:0], seed=1)
    with pytest.raises(ValueError, match="finite qualities"):
        assess_several(CHOSEN, QUALITY * np.nan, COST, seed=1)


@pytest.mark.slow
def test_intervals_cover_what_is_true() -> None:
    rng = np.random.default_rng(5)
    truth, inside, runs = 0.7 * 0.3 + 0.5 * 0.3 + 0.2 * 0.4, 0, 300
    for run in range(runs):
        quality = (rng.random((400, 3)) < [0.7, 0.5, 0.2]).astype(float)
        chosen = rng.choice(3, 400, p=[0.3, 0.3, 0.4])
        found = assess_several(chosen, quality, quality * np.nan, seed=run, resamples=300)
        inside += found.policy.quality.low <= truth <= found.policy.quality.high
    assert 0.91 <= inside / runs <= 0.98
