"""The loop over recorded traffic: it learns, keeps its share, and harms little."""

import numpy as np
import pytest

from experiments.analysis.learning.claims import Claim
from experiments.analysis.learning.replay import Chances, Played, RecordedTraffic, Rules, play
from tests.analysis.learning_worlds import made_up_traffic


def played(traffic: RecordedTraffic, seed: int, rules: Rules | None = None) -> Played:
    rng = np.random.default_rng(seed)
    count = len(traffic)
    chances = Chances(rng.random(count), rng.random(count))
    return play(traffic, np.arange(count), rules or Rules(), chances)


def recovered(traffic: RecordedTraffic, strong: np.ndarray) -> float:
    """PGR of the second half."""
    half = slice(len(traffic) // 2, None)
    gain = (traffic.strong - traffic.weak)[half]
    return float((gain * strong[half]).sum() / gain.sum())


@pytest.mark.parametrize(
    "rules", [Rules(), Rules(pairs=0.2, feedback=False)], ids=["both", "pairs only"]
)
def test_it_learns_what_the_shipped_router_does_not_know(rules: Rules) -> None:
    found = []
    for seed in range(3):
        traffic = made_up_traffic(np.random.default_rng(seed), 800)
        one = played(traffic, seed, rules)
        found.append((recovered(traffic, one.learned), recovered(traffic, one.shipped)))
    learned, shipped = np.mean(found, axis=0)
    assert learned > 0.75
    assert 0.35 < shipped < 0.65


def test_it_stays_with_a_shipped_router_that_is_right() -> None:
    found = []
    for seed in range(3):
        traffic = made_up_traffic(np.random.default_rng(seed), 600, shipped_knows=4.0)
        one = played(traffic, seed)
        found.append(recovered(traffic, one.learned) - recovered(traffic, one.shipped))
    assert np.mean(found) > -0.03


def test_without_pairs_it_serves_and_claims_nothing() -> None:
    traffic = made_up_traffic(np.random.default_rng(1), 300)
    one = played(traffic, 1, Rules(pairs=0.0))
    assert not any(line.serving for line in one.rounds)
    assert {line.claim for line in one.rounds} == {Claim.NONE}
    assert one.learned.tolist() == one.shipped.tolist()


def test_shares_hold_for_all_three_policies() -> None:
    traffic = made_up_traffic(np.random.default_rng(2), 800)
    one = played(traffic, 2, Rules(share=0.3))
    for strong in (one.random, one.shipped, one.learned):
        assert strong[200:].mean() == pytest.approx(0.3, abs=0.05)


def test_a_round_runs_every_50_requests_and_sees_earlier_pairs_only() -> None:
    traffic = made_up_traffic(np.random.default_rng(3), 310)
    one = played(traffic, 3)
    assert [line.requests for line in one.rounds] == [50, 100, 150, 200, 250, 300]
    assert [line.pairs for line in one.rounds] == [
        int(one.pairs[: line.requests].sum()) for line in one.rounds
    ]


def test_pairs_are_drawn_at_half_the_rate_from_400_on() -> None:
    traffic = made_up_traffic(np.random.default_rng(4), 1000)
    one = played(traffic, 4, Rules(pairs=0.8, feedback=False))
    assert one.pairs[:500].mean() == pytest.approx(0.8, abs=0.06)
    assert one.pairs[550:].mean() == pytest.approx(0.4, abs=0.07)
