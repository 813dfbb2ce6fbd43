"""What routing is worth on pairs: shares of the gap, bounds, and the finding that follows."""

import numpy as np
import pytest

from experiments.analysis.learning.worth import Finding, Worth, finding_of, worth_of


def measured(
    count: int = 400,
    *,
    hard: float = 0.5,
    knows: float = 1.0,
    strong_cost: float = 10.0,
    weak_cost: float = 1.0,
    gain: float = 1.0,
) -> Worth | None:
    """A share `hard` of prompts gains `gain`; half of all prompts go to the strong model, `knows`
    of them by what they need and the others at random."""
    rng = np.random.default_rng(4)
    needs = rng.random(count) < hard
    score = np.where(rng.random(count) < knows, needs, 0.0) + 0.5 * rng.random(count)
    chosen = np.asarray(score > np.median(score), dtype=np.float64)
    return worth_of(
        chosen,
        np.asarray(needs * gain, dtype=np.float64),
        np.full(count, 0.1),
        np.arange(count),
        (np.full(count, strong_cost), np.full(count, weak_cost)),
    )


def test_a_router_that_knows_recovers_the_gap_at_half_the_cost() -> None:
    found = measured()
    assert found is not None
    assert finding_of(found) is Finding.RECOVERS
    assert found.recovered is not None
    assert found.recovered.value > 0.9
    assert found.recovered.lower < found.recovered.value < found.recovered.upper
    assert found.cost == pytest.approx(0.55, abs=0.02)
    assert found.share == pytest.approx(0.5, abs=0.01)


def test_random_choices_are_no_better_until_there_are_many_pairs() -> None:
    assert finding_of(measured(140, knows=0.0)) is Finding.NO_BETTER
    assert finding_of(measured(420, knows=0.0)) is Finding.DOES_NOT_PAY


def test_equal_models_need_no_routing() -> None:
    assert finding_of(measured(400, gain=0.0)) is Finding.WEAK_AS_GOOD


def test_a_weak_model_that_costs_as_much_does_not_pay() -> None:
    assert finding_of(measured(400, weak_cost=9.5)) is Finding.DOES_NOT_PAY


def test_choosing_worse_than_random_does_not_pay() -> None:
    needs = np.arange(400) % 2 == 0
    chosen = (~needs).astype(np.float64)
    nothing = np.full(400, np.nan)
    found = worth_of(chosen, needs * 1.0, np.ones(400), np.arange(400), (nothing, nothing))
    assert finding_of(found) is Finding.DOES_NOT_PAY
    assert found is not None
    assert found.cost is None
    assert found.advantage.upper < 0


def test_few_pairs_say_nothing() -> None:
    assert measured(9) is None
    assert finding_of(None) is Finding.TOO_FEW


def test_pairs_count_with_the_inverse_of_their_odds() -> None:
    """Half as likely to be drawn, so it stands for twice as many requests."""
    gains = np.array([1.0] * 20 + [0.0] * 20)
    odds = np.array([0.1] * 20 + [0.05] * 20)
    costs = (np.ones(40), np.ones(40))
    found = worth_of(np.ones(40), gains, odds, np.arange(40), costs)
    assert found is not None
    assert found.gap.value == pytest.approx(1 / 3)


def test_pairs_of_one_unit_count_together() -> None:
    rng = np.random.default_rng(1)
    gains = np.repeat(rng.random(20), 10)
    costs = (np.ones(200), np.ones(200))
    own = worth_of(np.ones(200), gains, np.ones(200), np.arange(200), costs)
    shared = worth_of(np.ones(200), gains, np.ones(200), np.repeat(np.arange(20), 10), costs)
    assert own is not None
    assert shared is not None
    assert shared.gap.upper - shared.gap.lower > 2 * (own.gap.upper - own.gap.lower)


def test_the_bounds_hold_at_every_look() -> None:
    """Looking after each 10 pairs up to 400: a wrong bound in at most 5 % of 200 streams."""
    wrong = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        gains = rng.choice([1.0, 0.0, -1.0], 400)
        for count in range(10, 401, 30):
            part = gains[:count]
            costs = (np.ones(count), np.ones(count))
            found = worth_of(np.ones(count), part, np.ones(count), np.arange(count), costs)
            if found is not None and not found.gap.lower <= 0 <= found.gap.upper:
                wrong += 1
                break
    assert wrong <= 10
