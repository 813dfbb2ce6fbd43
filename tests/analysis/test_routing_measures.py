"""PGR, APGR, CPT and thresholds, against numbers worked out by hand."""

import numpy as np
import pytest

from experiments.analysis.routing.measures import (
    Interval,
    evaluate,
    measure,
    measure_oracle,
    measure_random,
    quality_curve,
    threshold_for_share,
)

# 16 prompts: on the first 8 only the strong model is right, on the rest both are.
STRONG = [1.0] * 16
WEAK = [0.0] * 8 + [1.0] * 8
BEST_FIRST = list(range(16, 0, -1))


def test_it_works_for_a_perfect_order() -> None:
    # PGR rises from 0 to 1 over the first half and stays: area 0.25 + 0.5.
    found = measure(BEST_FIRST, STRONG, WEAK)

    assert found.apgr == pytest.approx(0.75)
    assert found.cpt20 == 2 / 16  # 20 % of 8 gains is 1.6, reached by the second prompt
    assert found.cpt50 == 4 / 16
    assert found.cpt80 == 7 / 16  # 6.4 gains
    assert found.strong_share_at_95 == 8 / 16  # 0.95 needs 15.2 right answers, 7.2 gains


def test_the_worst_order_is_the_mirror_image() -> None:
    found = measure(BEST_FIRST[::-1], STRONG, WEAK)

    assert found.apgr == pytest.approx(0.25)
    assert found.cpt20 == 10 / 16
    assert found.cpt50 == 12 / 16
    assert found.cpt80 == 15 / 16


def test_equal_scores_are_averaged_so_a_random_router_gets_a_half() -> None:
    found = measure([0.5] * 16, STRONG, WEAK)

    assert found == measure_random(STRONG, WEAK)
    assert found.apgr == pytest.approx(0.5)
    assert found.cpt20 == 4 / 16  # 3.2 prompts on the line, the next whole one
    assert found.cpt50 == 8 / 16
    assert found.cpt80 == 13 / 16


def test_ties_do_not_depend_on_the_order_of_rows() -> None:
    scores = np.array([0.9] * 4 + [0.5] * 8 + [0.1] * 4)
    shuffled = np.random.default_rng(3).permutation(16)

    here = measure(scores, STRONG, WEAK)
    there = measure(scores[shuffled], np.array(STRONG)[shuffled], np.array(WEAK)[shuffled])

    # PGR: 0 to .5 over the first quarter, to 1 over the middle half, then 1.
    assert here.apgr == pytest.approx(0.0625 + 0.375 + 0.25)
    assert there.apgr == pytest.approx(here.apgr)
    assert there.cpt80 == here.cpt80 == 9 / 16  # .8 lies .6 of the way through the middle half


def test_the_oracle_can_recover_more_than_the_gap() -> None:
    strong = [1.0] * 120 + [0.0] * 40
    weak = [0.0] * 90 + [1.0] * 70

    found = measure_oracle(strong, weak)

    # 90 gains, 30 ties, 40 losses: PGR reaches 9 / 5 and falls back to 1.
    assert found.cpt80 == 40 / 160
    assert found.apgr == pytest.approx((0.5 * 90 * 1.8 + 30 * 1.8 + 40 * 1.4) / 160)


def test_share_at_95_is_zero_when_the_weak_model_is_good_enough() -> None:
    assert measure([1, 2, 3], [1, 1, 1], [1, 1, 1]).strong_share_at_95 == 0.0


@pytest.mark.parametrize(
    ("strong", "weak"),
    [
        pytest.param([1.0] * 8, [1.0] * 8, id="no-gap"),
        pytest.param([0.0] * 8, [1.0] * 8, id="weak-is-better"),
        pytest.param([1.0, 0.0] * 20, [0.0, 1.0] * 19 + [0.0, 0.0], id="gap-lost-in-noise"),
        pytest.param([1.0], [0.0], id="one-prompt"),
    ],
)
def test_undefined_without_a_gap_that_is_surely_positive(
    strong: list[float], weak: list[float]
) -> None:
    found = evaluate(range(len(strong)), strong, weak, seed=1, resamples=20)

    assert found.measures[:4] == (None, None, None, None)
    assert found.measures.strong_share_at_95 is not None
    assert set(found.intervals) == {"strong_share_at_95"}


def test_intervals_hold_the_value_and_repeat_with_the_seed() -> None:
    generator = np.random.default_rng(5)
    weak = (generator.random(400) < 0.5).astype(float)
    strong = np.maximum(weak, generator.random(400) < 0.5)
    scores = strong - weak + generator.normal(size=400)

    first = evaluate(scores, strong, weak, seed=11, resamples=200)
    again = evaluate(scores, strong, weak, seed=11, resamples=200)

    assert first == again
    assert first.n == 400
    assert first.measures.apgr == pytest.approx(0.7128, abs=0.0001)
    low, high = first.intervals["apgr"]
    assert 0.60 < low < 0.7128 < high < 0.80


def test_an_interval_of_a_certain_order_is_narrow() -> None:
    found = evaluate([1.0] * 200, [1.0] * 200, [0.0] * 200, seed=0, resamples=50)

    assert found.intervals["apgr"] == pytest.approx(Interval(0.5, 0.5))


def test_the_curve_starts_at_weak_and_ends_at_strong() -> None:
    shares, quality = quality_curve(BEST_FIRST, STRONG, WEAK)

    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert quality[0] == 0.5
    assert quality[4] == 0.75
    assert quality[-1] == 1.0


@pytest.mark.parametrize(
    ("share", "threshold", "realised"),
    [(0.0, None, 0.0), (0.1, 0.9, 0.2), (0.2, 0.9, 0.2), (0.5, 0.5, 0.8), (1.0, 0.1, 1.0)],
)
def test_threshold_is_the_kth_largest_score(
    share: float, threshold: float | None, realised: float
) -> None:
    cut = threshold_for_share([0.5, 0.9, 0.5, 0.1, 0.5], share)

    assert cut.threshold == threshold
    assert cut.realised_share == pytest.approx(realised)


def test_rounding_noise_does_not_cost_a_rank() -> None:
    assert threshold_for_share([float(i) for i in range(10)], 0.1 + 0.2).threshold == 7.0


@pytest.mark.parametrize(
    ("scores", "strong", "weak"),
    [([], [], []), ([1, 2], [1], [0]), ([float("nan")], [1], [0])],
)
def test_refuses_what_cannot_be_measured(
    scores: list[float], strong: list[float], weak: list[float]
) -> None:
    with pytest.raises(ValueError, match=r"empty|same length|finite"):
        measure(scores, strong, weak)
