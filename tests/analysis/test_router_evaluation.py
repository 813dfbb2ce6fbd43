"""Everything about a router on a set, against numbers worked out by hand."""

from typing import Any

import numpy as np
import pytest

from experiments.analysis.routing.curves import Prompts, curves_of, resampled
from experiments.analysis.routing.measures import Interval
from experiments.analysis.routing.router_evaluation import assess, reliability, wilson

# 20 prompts: on the first 10 only the strong model is right, on the rest both are.
STRONG = np.ones(20)
WEAK = np.array([0.0] * 10 + [1.0] * 10)
SCORES = np.arange(20, 0, -1) / 20
COSTS: dict[str, Any] = {"strong_cost": np.full(20, 10.0), "weak_cost": np.full(20, 1.0)}


def test_savings_at_equal_quality() -> None:
    found = assess(SCORES, STRONG, WEAK, seed=1, resamples=50, **COSTS)

    # All ten gains at a share of one half: 10 x 10 + 10 x 1 = 110 of 200.
    assert found.saving_against_strong is not None
    assert found.saving_against_strong.value == pytest.approx(1 - 110 / 200)
    # 95 % of 20 is 19, nine gains: 9 x 10 + 11 x 1 = 101.
    assert found.saving_at_95 is not None
    assert found.saving_at_95.value == pytest.approx(1 - 101 / 200)
    # A random router gets 19 right at a share of .9: 20 x (1 + .9 x 9) = 182.
    assert found.saving_against_random is not None
    assert found.saving_against_random.value == pytest.approx(1 - 101 / 182)
    assert found.calls_against_random is not None
    assert found.calls_against_random.value == pytest.approx(0.5)
    assert found.pgr is not None
    assert found.pgr.value == pytest.approx(1.0)


def test_the_curve_has_costs_and_a_band() -> None:
    found = assess(SCORES, STRONG, WEAK, seed=1, resamples=200, **COSTS)

    assert len(found.curve) == 51
    first, middle, last = found.curve[0], found.curve[25], found.curve[-1]
    assert (first.share, first.quality, first.cost) == (0.0, 0.5, 1.0)
    assert (middle.share, middle.quality, middle.cost) == (0.5, 1.0, 5.5)
    assert (last.quality, last.low, last.high, last.cost) == (1.0, 1.0, 1.0, 10.0)
    assert 0.2 < first.low < 0.5 < first.high < 0.8


def test_without_costs_no_saving_is_claimed() -> None:
    found = assess(SCORES, STRONG, WEAK, seed=1, resamples=20)

    assert found.saving_against_strong is None
    assert found.saving_at_95 is None
    assert found.saving_against_random is None
    assert found.calls_against_random is not None
    assert found.curve[0].cost is None


def test_where_the_strong_model_is_not_better_it_is_undefined() -> None:
    found = assess(SCORES, WEAK, STRONG, seed=1, resamples=20, **COSTS)

    assert not found.gap_known
    assert found.evaluation.measures.apgr is None
    assert (found.pgr, found.saving_against_random, found.calls_against_random) == (None,) * 3
    assert found.saving_against_strong is not None
    assert found.saving_against_strong.value == pytest.approx(0.9)


def test_units_are_drawn_together() -> None:
    gain = np.repeat([1.0, 0.0], 50)
    alone = assess(np.zeros(100), gain, np.zeros(100), seed=1)
    units = np.arange(100) // 10
    together = assess(np.zeros(100), gain, np.zeros(100), seed=1, units=units)

    def width(of: Interval) -> float:
        return of.high - of.low

    ratio = width(Interval(*together.strong[1:])) / width(Interval(*alone.strong[1:]))
    assert 2.5 < ratio < 4.0  # the root of ten is 3.2


def test_resampling_bags_is_as_wide_as_resampling_prompts() -> None:
    """Many prompts in a thousand bags: the standard error of the mean comes out."""
    quality = (np.random.default_rng(1).random(20_000) < 0.3).astype(float)
    prompts, _ = Prompts.ordered(np.zeros(20_000), quality, np.zeros(20_000))

    samples = resampled(prompts, seed=2, resamples=2_000)

    expected = np.sqrt(0.21 / 20_000)
    assert samples.quality[:, -1].std() == pytest.approx(expected, rel=0.1)
    assert samples.quality[:, -1].mean() == pytest.approx(quality.mean(), abs=expected / 5)


def test_many_different_scores_are_merged_for_resampling_only() -> None:
    generator = np.random.default_rng(3)
    score, gain = generator.random(5_000), generator.random(5_000)
    prompts, _ = Prompts.ordered(score, gain, np.zeros(5_000))

    assert curves_of(prompts).shares.shape == (1, 5_001)
    samples = resampled(prompts, seed=1, resamples=10)
    assert samples.shares.shape == (10, 201)
    assert samples.shares[:, -1] == pytest.approx(np.ones(10))


def test_reliability_of_scores_that_say_what_happens() -> None:
    scores = np.repeat([0.2, 0.8], 100)
    gain = np.concatenate((np.repeat([1, -1], [20, 80]), np.repeat([1, -1], [80, 20])))

    found = reliability(scores, gain.astype(float), ties=False)

    assert found is not None
    assert [(round(b.score, 9), b.observed, b.n) for b in found.bins] == [
        (0.2, 0.2, 100),
        (0.8, 0.8, 100),
    ]
    assert found.error == pytest.approx(0.0)


def test_reliability_leaves_ties_out_or_counts_them_half() -> None:
    scores, gain = np.full(4, 0.5), np.array([1.0, 0.0, 0.0, 0.0])

    alone, half = (reliability(scores, gain, ties=ties) for ties in (False, True))

    assert alone is not None
    assert half is not None
    assert (alone.n, alone.bins[0].observed, alone.error) == (1, 1.0, 0.5)
    assert (half.n, half.bins[0].observed, half.error) == (4, 0.625, 0.125)
    assert reliability(scores, np.zeros(4), ties=False) is None


def test_wilson_against_the_literature() -> None:
    # Newcombe (1998), table I: 81 of 263, 0.2553 to 0.3662.
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize("scores", [np.array([]), np.array([np.nan, 1.0])])
def test_nothing_to_measure_is_refused(scores: np.ndarray) -> None:
    with pytest.raises(ValueError, match="needs prompts, with finite"):
        assess(scores, np.zeros(len(scores)), np.zeros(len(scores)), seed=0)


def test_weighted_ratings_add_up_to_no_share_above_one() -> None:
    """Of a few prompts of a domain ratings may count for more than there are prompts."""
    weights = np.where(np.arange(20) < 10, 3.0, 0.5)
    found = assess(SCORES, STRONG * weights, WEAK * 0.5, seed=1, resamples=50)
    assert found.strong == (1.0, 1.0, 1.0)
    assert max(point.quality for point in found.curve) == 1.0
    assert max(point.high for point in found.curve) == 1.0
