"""Who gets rated, and what is expected: fitted where a side was hardly ever taken, too."""

import numpy as np
import pytest

from experiments.analysis.off_policy.estimates import STRONG, WEAK
from experiments.analysis.off_policy.nuisance import (
    LEAST_SHARE_OF_RATE,
    Cells,
    Floats,
    Ints,
    cells_of,
    rating_odds,
)


def columns(scores: Floats) -> Cells:
    n = len(scores)
    return cells_of(np.arange(n), np.zeros(n, np.int64), scores, np.full(n, 100.0))


def strong_side(scores: Floats) -> Ints:
    return np.ones(len(scores), np.int64)


def test_a_few_explorations_keep_their_share_where_nearly_all_others_are_rated() -> None:
    """The upper half went to the strong side and was rated; 189 of the lower half were explored,
    and every second one of these was rated."""
    place = np.arange(20_000)
    scores, explored = place / 20_000, (place < 10_000) & (place % 53 == 0)
    seen = np.where(explored, place % 106 == 0, place >= 10_000)
    side = np.where(explored | (place >= 10_000), STRONG, WEAK)
    odds, clipped = rating_odds(columns(scores), side, seen)
    assert odds[explored].mean() == pytest.approx(0.5, abs=0.1)
    assert odds[place >= 10_000].mean() == pytest.approx(1.0, abs=0.005)
    assert not clipped[explored].any()


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9, 0.99])
def test_as_many_are_expected_to_be_rated_as_were(share: float) -> None:
    rng = np.random.default_rng(3)
    scores = rng.random(20_000)
    seen = rng.random(20_000) < np.clip(share * (0.4 + 1.2 * scores), 0, 1)
    odds, _ = rating_odds(columns(scores), strong_side(scores), seen)
    for low in (0.0, 0.25, 0.5, 0.75):
        part = (scores >= low) & (scores < low + 0.25)
        assert odds[part].sum() == pytest.approx(seen[part].sum(), rel=0.03, abs=6)


def test_a_rating_rate_is_at_least_a_fifth_of_its_sides_rate() -> None:
    scores = np.r_[np.zeros(1000), np.ones(1000)]
    seen = np.r_[np.zeros(1000, bool), np.ones(1000, bool)]
    odds, clipped = rating_odds(columns(scores), strong_side(scores), seen)
    assert odds.min() == pytest.approx(LEAST_SHARE_OF_RATE * 1001 / 2002)
    assert clipped[:1000].all()
    assert not clipped[1000:].any()
