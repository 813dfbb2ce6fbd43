"""The comparison with the shipped router, the serving rule, and claims."""

import numpy as np
import pytest

from experiments.analysis.learning.claims import Claim, ClaimProcess
from experiments.analysis.learning.comparison import (
    FEWEST_PAIRS,
    SERVE_ABOVE,
    Compared,
    compare_routers,
    expected_gains,
    serves_next,
)


def compared(
    rng: np.random.Generator, *, learned: float, shipped: float, expected: float = 0.0
) -> Compared:
    """60 pairs of 600 prompts; the arguments say how much of the gain each column knows."""
    gain = rng.choice([-1.0, 0.0, 1.0], size=600, p=[0.1, 0.5, 0.4])
    noise = rng.normal(size=(3, 600))
    pairs = np.flatnonzero(rng.random(600) < 0.1)
    found = compare_routers(
        learned * gain + noise[0],
        shipped * gain + noise[1],
        expected * (gain + 0.1 * noise[2]),
        pairs,
        gain[pairs],
    )
    assert found is not None
    return found


def test_z_is_about_standard_normal_for_equal_routers() -> None:
    rng = np.random.default_rng(1)
    zs = [compared(rng, learned=0.0, shipped=0.0, expected=0.5).z for _ in range(400)]
    assert abs(np.mean(zs)) < 0.25
    assert 0.3 < np.std(zs) < 1.3


def test_z_shows_which_router_is_better_where_the_model_expects_it() -> None:
    rng = np.random.default_rng(2)
    better = [compared(rng, learned=2.0, shipped=0.0, expected=0.5).z for _ in range(50)]
    worse = [compared(rng, learned=0.0, shipped=2.0, expected=0.5).z for _ in range(50)]
    assert np.mean(better) > 1.5
    assert np.mean(worse) < -1.5


def test_many_pairs_outvote_a_model_that_expects_the_opposite() -> None:
    rng = np.random.default_rng(3)
    count = 20_000
    gain = rng.choice([-1.0, 1.0], size=count)
    every = np.arange(count)
    found = compare_routers(gain, rng.normal(size=count), -0.05 * gain, every, gain)
    assert found is not None
    assert found.z > SERVE_ABOVE


def test_a_rating_above_expectation_moves_the_gain_towards_the_model_that_answered() -> None:
    found = expected_gains(np.zeros(3), np.array([0.4, 0.4, 0.0]), np.array([True, False, True]))
    assert found.tolist() == pytest.approx([0.2, -0.2, 0.0])


def test_equal_orders_do_not_differ() -> None:
    scores = np.linspace(0, 1, 100)
    pairs = np.arange(0, 100, 5)
    found = compare_routers(scores, scores, scores, pairs, np.ones(20))
    assert found == Compared(0.0, 0.0, 20)


def test_few_pairs_say_nothing() -> None:
    pairs = np.arange(FEWEST_PAIRS - 1)
    scores = np.arange(50.0)
    assert compare_routers(scores, scores, scores, pairs, np.ones(len(pairs))) is None


@pytest.mark.parametrize(
    ("serving", "z", "expected"),
    [
        (False, 0.84, False),
        (False, 0.85, True),
        (True, 0.0, True),
        (True, -0.01, False),
        (True, 0.5, True),
        (False, 0.5, False),
    ],
)
def test_serving(serving: bool, z: float, expected: bool) -> None:
    assert serves_next(serving, Compared(z, z, 20)) is expected


def test_nothing_is_served_without_a_comparison() -> None:
    assert not serves_next(True, None)


def claimed(rng: np.random.Generator, mean: float) -> Claim:
    """The first claim of 500 pairs, looked at after each."""
    process = ClaimProcess()
    for difference in rng.choice(
        [-1.0, 0.0, 1.0], size=500, p=[0.2 - mean / 2, 0.6, 0.2 + mean / 2]
    ):
        process = process.with_pair(float(difference))
        if process.claim is not Claim.NONE:
            return process.claim
    return Claim.NONE


def test_false_claims_are_rare_at_every_look() -> None:
    rng = np.random.default_rng(3)
    found = [claimed(rng, 0.0) for _ in range(300)]
    for claim in (Claim.BETTER, Claim.WORSE):
        assert found.count(claim) <= 25  # 15 are the limit on average; 26 come once in 200 tests


def test_a_difference_is_claimed_in_its_direction() -> None:
    rng = np.random.default_rng(4)
    assert [claimed(rng, 0.15) for _ in range(10)] == [Claim.BETTER] * 10
    assert [claimed(rng, -0.15) for _ in range(10)] == [Claim.WORSE] * 10


def test_a_difference_beyond_one_is_refused() -> None:
    with pytest.raises(ValueError, match="between -1 and 1"):
        ClaimProcess().with_pair(1.5)
