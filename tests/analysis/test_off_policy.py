"""Estimates of policies that never ran: by hand, by simulation, and where they must say nothing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from experiments.analysis.errors import CountError, GradeError
from experiments.analysis.off_policy.curve import curve, thresholds_of
from experiments.analysis.off_policy.estimates import (
    LEAST_ODDS,
    MIN_EXPLORATIONS,
    NOTHING,
    OTHER,
    STRONG,
    WEAK,
    Bounds,
    Evidence,
    Log,
    MetricEvidence,
    WhatIf,
    _merged,
    estimate,
    evidence,
    interval,
    is_yes_or_no,
    parts_of,
    share_of_largest,
    unseen_variance,
    within,
)
from experiments.analysis.off_policy.exploration import advise, wants_exploration
from experiments.analysis.off_policy.nuisance import Floats
from tests.analysis.logged_worlds import world


def small(n: int = 200, **columns: Any) -> Log:
    """Half went to each side at random; the strong side is rated 1, the weak one 0."""
    took = np.arange(n) % 2
    return replace(
        Log(
            units=np.arange(n),
            strata=np.zeros(n, np.int64),
            domains=np.zeros(n, np.int64),
            took=took,
            odds=np.full((n, 2), 0.5),
            expected=np.tile([1.0, 10.0], (n, 1)),
            cost=np.where(took == STRONG, 10.0, 1.0),
            rating=took.astype(np.float64),
            score=np.linspace(0, 1, n),
            tokens=np.full(n, 100.0),
        ),
        **columns,
    )


def ask(log: Log, to_strong: object = None) -> WhatIf:
    wanted = np.ones(len(log), bool) if to_strong is None else np.asarray(to_strong)
    return estimate(evidence(log), wanted)


def by_hand(known: Evidence, metric: MetricEvidence, to_strong: "np.ndarray") -> dict[str, float]:
    """The formulas, request by request."""
    ips = below = robust = 0.0
    for i in range(len(known.log)):
        side = int(to_strong[i])
        weight = metric.weight[i, side]
        expected = metric.predicted[i, side]
        ips += weight * metric.value[i]
        below += weight
        robust += expected + weight * (metric.value[i] - expected)
    n = len(known.log)
    return {"ips": ips / n, "snips": ips / below, "robust": robust / n}


def test_a_random_router_with_two_known_answers() -> None:
    found = ask(small())
    assert found.quality.self_normalised.value == pytest.approx(1.0)
    assert found.cost.doubly_robust.value == pytest.approx(10.0)
    assert found.cost.inverse_propensity.value == pytest.approx(10.0)
    assert found.strong_share == Bounds(1.0, 1.0, 1.0)
    assert found.logged_strong_share == 0.5
    assert found.quality.matching == found.quality.explorations == 100
    assert found.quality.effective_size == pytest.approx(100, rel=0.01)


def test_estimators_equal_the_formulas_summed_by_hand() -> None:
    log = world(np.random.default_rng(3), units=400, epsilon=0.3).log
    known, to_strong = evidence(log), log.score >= 0.7
    found = estimate(known, to_strong)
    for metric, estimated in ((known.quality, found.quality), (known.cost, found.cost)):
        wanted = by_hand(known, metric, to_strong)
        assert estimated.inverse_propensity.value == pytest.approx(wanted["ips"])
        assert estimated.self_normalised.value == pytest.approx(wanted["snips"])
        assert estimated.doubly_robust.value == pytest.approx(wanted["robust"])


def test_interval_equals_the_jackknife_over_units() -> None:
    log = world(np.random.default_rng(4), units=400, epsilon=0.5).log
    known, to_strong = evidence(log), log.score >= 0.7
    robust = known.quality.robust(WEAK)
    robust = np.where(to_strong, known.quality.robust(STRONG), robust)
    sums, counts = np.bincount(log.units, robust), np.bincount(log.units)
    left_out = (sums.sum() - sums) / (counts.sum() - counts)
    n = len(sums)
    error = np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
    estimated = estimate(known, to_strong).quality.doubly_robust
    assert estimated.low is not None
    assert estimated.high is not None
    assert (estimated.high - estimated.low) / 2 == pytest.approx(1.97 * error, rel=0.03)


@pytest.mark.parametrize(
    ("epsilon", "threshold"), [(0.1, 0.3), (0.1, 0.7), (0.5, 0.9)], ids=["more", "less", "random"]
)
def test_intervals_hold_the_truth(epsilon: float, threshold: float) -> None:
    truth = _truth(threshold)
    hits, runs = np.zeros(2), 120
    for seed in range(500, 500 + runs):
        log = world(np.random.default_rng(seed), units=3000, epsilon=epsilon).log
        found = ask(log, log.score >= threshold)
        hits += [
            _holds(metric.doubly_robust, true)
            for metric, true in zip((found.quality, found.cost), truth, strict=True)
        ]
    assert (hits >= 0.9 * runs).all(), hits  # 95 % less two and a half standard errors


def _truth(threshold: float) -> tuple[float, float]:
    """Of half a million units, in parts that fit into memory."""
    parts = [world(np.random.default_rng(10_000 + part), units=50_000) for part in range(10)]
    found = [part.truth(part.log.score >= threshold) for part in parts]
    return float(np.mean([one[0] for one in found])), float(np.mean([one[1] for one in found]))


def _holds(bounds: Bounds, truth: float) -> bool:
    return bounds.low is not None and bounds.high is not None and bounds.low <= truth <= bounds.high


def test_who_rates_more_often_does_not_bend_the_quality() -> None:
    """Answers of high scores are rated most: the mean of the ratings is wrong, this is not."""
    big = world(np.random.default_rng(5), units=60_000, epsilon=0.3)
    true = float(big.quality[:, STRONG].mean())
    plain = float(np.nanmean(big.log.rating[big.log.took == STRONG]))
    found = ask(big.log, np.ones(len(big.log), bool)).quality.doubly_robust
    assert plain - true > 0.012
    assert found.value == pytest.approx(true, abs=0.0045)


def test_change_is_against_the_log_over_the_same_requests() -> None:
    log = world(np.random.default_rng(6), units=5000, epsilon=0.1).log
    found = ask(log, log.score >= 0.5).quality
    assert found.change.value == pytest.approx(
        (found.doubly_robust.value or 0) - (found.logged.value or 0)
    )


def test_no_interval_below_sixty_explorations() -> None:
    rating = np.full(200, np.nan)
    strong = np.flatnonzero(np.arange(200) % 2)
    rating[strong[: MIN_EXPLORATIONS - 1]] = 0.5
    found = ask(small(rating=rating)).quality
    assert found.explorations == 59
    assert found.doubly_robust.value is not None
    assert found.doubly_robust.low is None
    rating[strong[MIN_EXPLORATIONS - 1]] = 0.0
    assert ask(small(rating=rating)).quality.doubly_robust.low is not None


def test_one_good_and_one_bad_rating_more_make_the_variance() -> None:
    """61 of 62 instead of 60 of 60, 31 of 62 instead of 30 of 60, 58 of 62 instead of 57 of 60."""
    assert unseen_variance(60, 60) == pytest.approx(61 / 62**2)
    assert unseen_variance(30, 60) == pytest.approx(0.0)
    assert unseen_variance(57, 60) == pytest.approx(58 * 4 / 62**2 - 57 * 3 / 60**2)
    assert unseen_variance(0, 0) == 0.0


def test_good_ratings_alone_leave_a_doubt() -> None:
    """A hundred of weight 2, over 200 requests: 4.303 · √(100 · 2² · 101 / 102²) / 200 = 0.0424."""
    found = ask(small()).quality
    for estimated in (found.doubly_robust, found.self_normalised):
        assert estimated.value is not None
        assert estimated.low is not None
        assert estimated.value - estimated.low == pytest.approx(0.0424, abs=0.0004)
        assert estimated.high == 1.0  # no share is larger
    point = curve(evidence(small()), [0.0])[0]
    assert point.quality == pytest.approx(found.doubly_robust)


def test_a_few_averages_between_yes_and_no_leave_the_doubt() -> None:
    rating = np.where(np.arange(200) % 2, 1.0, 0.0)
    bare = ask(small(rating=np.where(rating, 0.9, rating))).quality.doubly_robust
    rating[[1, 3]] = 0.75
    mixed = ask(small(rating=rating)).quality.doubly_robust
    assert _width(bare) == pytest.approx(0.0, abs=1e-4)
    assert _width(mixed) > 0.04


def test_ratings_on_a_scale_and_costs_have_no_doubt_added() -> None:
    rating = np.where(np.arange(200) % 2, 0.8, np.linspace(0.6, 0.9, 200))
    found = ask(small(rating=rating, cost=np.full(200, 10.0), expected=np.full((200, 2), np.nan)))
    assert _width(found.quality.self_normalised) == pytest.approx(0.0, abs=1e-9)
    assert _width(found.cost.self_normalised) == pytest.approx(0.0, abs=1e-9)


def test_intervals_hold_the_truth_where_hardly_any_answer_is_bad() -> None:
    """About 90 explorations, 2 % of them bad: in one log of six there is none to be seen."""
    n, hits, rng = 1500, 0, np.random.default_rng(21)
    for _ in range(100):
        took = (rng.random(n) < 0.06).astype(np.int64)
        rating = np.where(took == STRONG, rng.random(n) < 0.98, rng.random(n) < 0.7)
        odds = np.tile([0.94, 0.06], (n, 1))
        found = ask(small(n, took=took, odds=odds, rating=rating.astype(np.float64))).quality
        hits += _holds(found.doubly_robust, 0.98)
    assert hits >= 93


def test_what_the_log_did_for_certain_needs_no_exploration() -> None:
    took = np.ones(200, np.int64)
    odds = np.tile([0.0, 1.0], (200, 1))
    found = ask(small(took=took, odds=odds, cost=np.full(200, 10.0)))
    assert not found.quality.needs
    assert found.quality.has_enough
    assert found.without_overlap == 0.0


def test_where_the_log_never_went_it_says_nothing() -> None:
    odds = np.where(np.arange(200)[:, None] < 50, [0.0, 1.0], [0.5, 0.5])
    took = np.where(np.arange(200) < 50, STRONG, np.arange(200) % 2)
    found = ask(small(odds=odds, took=took), np.zeros(200, bool))
    assert found.without_overlap == 0.25
    assert found.overlap == 150
    assert found.quality.self_normalised.value == pytest.approx(
        float(np.mean(took[50:][took[50:] == WEAK]))
    )


def test_no_overlap_at_all_has_no_number() -> None:
    found = ask(small(odds=np.tile([0.0, 1.0], (200, 1))), np.zeros(200, bool))
    assert found.without_overlap == 1.0
    assert found.quality.doubly_robust.value is None
    assert found.cost.inverse_propensity.value is None


def test_unpriced_requests_are_left_out_of_the_cost_only() -> None:
    cost = np.where(np.arange(200) < 40, np.nan, 10.0)
    found = ask(small(cost=cost))
    assert found.cost.matching == 80
    assert found.quality.matching == 100


def test_requests_that_went_elsewhere_count_as_what_was_logged_only() -> None:
    took = np.where(np.arange(200) % 4 == 3, OTHER, np.arange(200) % 2)
    odds = np.tile([0.5, 0.25], (200, 1))
    found = ask(small(took=took, odds=odds))
    assert found.quality.matching == 50
    assert found.quality.self_normalised.value == pytest.approx(1.0)


def test_requests_of_one_unit_widen_the_interval() -> None:
    """Each of 100 units asks twice the same: half as much is known as 200 requests would say."""
    units = np.repeat(np.arange(100), 4)
    took = np.tile([WEAK, WEAK, STRONG, STRONG], 100)
    rating = np.repeat((np.arange(100) % 3 > 0).astype(np.float64), 4)
    log = small(400, took=took, rating=rating, score=np.full(400, 0.5))
    apart = ask(log).quality.self_normalised
    together = ask(replace(log, units=units)).quality.self_normalised
    assert together.value == pytest.approx(apart.value)
    assert _width(together) == pytest.approx(2**0.5 * _width(apart), rel=0.02)


def _width(bounds: Bounds) -> float:
    assert bounds.low is not None
    assert bounds.high is not None
    return bounds.high - bounds.low


def test_strata_have_means_of_their_own() -> None:
    """Two revisions, one exploring a hundred times as often, over prompts that got harder.

    Normalised over both at once the estimate would be that of the revision that explored.
    """
    n = 40_000
    late = np.arange(n) >= n // 2
    rng = np.random.default_rng(9)
    strong = np.where(late, 0.5, 0.01)
    took = (rng.random(n) < strong).astype(np.int64)
    quality = np.where(late, 0.4, 0.9)
    log = Log(
        units=np.arange(n),
        strata=late.astype(np.int64),
        domains=np.zeros(n, np.int64),
        took=took,
        odds=np.stack([1 - strong, strong], axis=1),
        expected=np.full((n, 2), np.nan),
        cost=np.full(n, 1.0),
        rating=(rng.random(n) < quality).astype(np.float64),
        score=np.full(n, np.nan),
        tokens=np.full(n, 10.0),
    )
    found = ask(log).quality
    assert found.self_normalised.value == pytest.approx(0.65, abs=0.02)
    assert found.doubly_robust.value == pytest.approx(0.65, abs=0.05)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(CountError, match="different lengths"):
        evidence(small(score=np.zeros(3)))


def test_empty_log_says_nothing() -> None:
    empty = small(0)
    found = ask(empty)
    assert found.decisions == 0
    assert found.quality.doubly_robust.value is None
    assert curve(evidence(empty), [0.5]) == ()


def test_curve_equals_one_estimate_a_threshold() -> None:
    log = world(np.random.default_rng(10), units=1500, epsilon=0.3, revisions=1).log
    known = evidence(log)
    for point in curve(known, [0.2, 0.5, 0.8]):
        alone = estimate(known, log.score >= point.threshold)
        assert point.strong_share == pytest.approx(alone.strong_share.value)
        for estimated, wanted in ((point.quality, alone.quality), (point.cost, alone.cost)):
            assert estimated == pytest.approx(wanted.doubly_robust)
        assert point.explorations == alone.quality.explorations


def test_curve_of_a_log_that_never_explored_has_one_point_only() -> None:
    big = world(np.random.default_rng(11), units=1000, epsilon=0.0)
    points = curve(evidence(big.log), [0.1, 0.5, 0.9])
    assert [point.quality.value is None for point in points] == [True, False, True]
    assert points[0].overlap < 0.95


def test_thresholds_run_from_all_strong_to_all_weak() -> None:
    scores: Floats = np.linspace(0.2, 0.8, 101)
    thresholds = thresholds_of(scores, 10)
    assert thresholds[0] == 0.0
    assert thresholds[-1] > 0.8
    assert (scores >= thresholds[-1]).sum() == 0


def test_advice_says_what_exploring_costs_and_how_long_it_takes() -> None:
    """1,000 requests a day, half strong at 10, half weak at 1: the other model costs the same in
    all. 200 a day differ, 2 % of them explored, half of these rated: 2 a day, 60 in 30 days; but
    a half width of 0.02 needs 1.96² · 0.25 · 0.2 / (0.02 · 0.5) / 0.02² / 1000 = 48.02 days."""
    n = 10_000
    took = (np.arange(n) % 2).astype(np.int64)
    rating = np.where(np.arange(n) % 4 < 2, (np.arange(n) // 4 % 2).astype(np.float64), np.nan)
    log = small(
        n,
        took=took,
        odds=np.stack([1.0 - took, took], axis=1),
        cost=np.where(took == 1, 10.0, 1.0),
        rating=rating,
    )
    to_strong = (took == STRONG) ^ (np.arange(n) % 5 == 0)
    found = advise(log, to_strong, 10)
    assert found.daily_requests == 1000
    assert found.daily_cost == pytest.approx(0.0)
    assert found.differing == pytest.approx(0.2)
    assert found.rated == pytest.approx(0.5)
    assert found.days == 49
    assert wants_exploration(log, to_strong, np.ones(n, bool))
    assert not wants_exploration(log, took == STRONG, np.ones(n, bool))


def test_a_log_that_explores_already_only_needs_longer() -> None:
    log = world(np.random.default_rng(12), epsilon=0.1).log
    found = advise(log, log.score >= 0.6, 7)
    assert found.is_on
    assert found.rate == pytest.approx(0.1)


def test_advice_has_no_day_where_nothing_is_rated() -> None:
    log = small(rating=np.full(200, np.nan))
    assert advise(log, log.took == WEAK, 10).days is None


def rarely_explored(rng: np.random.Generator, rare: float = 0.3, n: int = 2000) -> Log:
    """The part `rare` went to the weak side with a chance of 0.4 %, the rest at random;
    the weak side is bad in the rare part only."""
    is_rare = np.arange(n) < rare * n
    weak = np.where(is_rare, 0.004, 0.5)
    took = np.where(rng.random(n) < weak, WEAK, STRONG)
    good = np.where((took == WEAK) & is_rare, 0.1, 0.8)
    return small(
        n,
        took=took,
        odds=np.stack([weak, 1 - weak], axis=1),
        cost=np.full(n, 10.0),
        rating=(rng.random(n) < good).astype(np.float64),
    )


def test_a_part_that_is_hardly_explored_has_no_interval_however_much_the_others_are() -> None:
    log = rarely_explored(np.random.default_rng(30))
    found = ask(log, np.zeros(len(log), bool)).quality
    assert found.explorations > 600
    (part,) = found.lacking
    assert (part.least, part.most, part.share) == (0.004, 0.004, 0.3)
    assert part.matching < 10
    assert found.doubly_robust.value is not None
    assert found.doubly_robust.low is None
    assert not found.has_enough
    last = curve(evidence(log), [2.0])[0]
    assert last.quality.low is None


def test_a_tiny_part_needs_no_explorations_of_its_own() -> None:
    log = rarely_explored(np.random.default_rng(31), rare=0.009)
    found = ask(log, np.zeros(len(log), bool)).quality
    assert found.lacking == ()
    assert found.doubly_robust.low is not None
    assert curve(evidence(log), [2.0])[0].quality == pytest.approx(found.doubly_robust)


def test_no_share_is_larger_than_one() -> None:
    """Sixty ratings of weight 2 where more than half went to the strong side."""
    took = np.where(np.arange(200) < 120, STRONG, WEAK)
    found = ask(small(took=took, rating=np.ones(200))).quality
    assert found.inverse_propensity == Bounds(1.0, found.inverse_propensity.low, 1.0)
    for estimated in (found.self_normalised, found.doubly_robust, found.logged):
        assert estimated.value is not None
        assert estimated.value <= 1.0
        assert (estimated.high or 0.0) <= 1.0


def test_an_estimate_without_overlap_counts_nothing() -> None:
    log = small(odds=np.tile([1.0, 0.0], (200, 1)), took=np.zeros(200, np.int64))
    found = ask(log).quality
    assert (found.matching, found.explorations, found.effective_size) == (0, 0, 0.0)
    assert found.needs
    assert found.doubly_robust == NOTHING
    assert not found.has_enough


def test_odds_at_the_least_overlap_do_count() -> None:
    at = small(odds=np.tile([1 - LEAST_ODDS, LEAST_ODDS], (200, 1)))
    below = small(odds=np.tile([1 - 0.0019, 0.0019], (200, 1)))
    assert (LEAST_ODDS, ask(at).overlap, ask(below).overlap) == (0.002, 200, 0)
    assert ask(at).without_overlap == 0.0
    assert ask(below).without_overlap == 1.0


def test_parts_of_similar_odds_end_where_weights_differ_fourfold() -> None:
    odds = np.array([0.002, 0.008, 0.0081, 0.032, 0.0321, 0.128, 0.1281, 0.5, 0.5001, 1.0])
    assert parts_of(odds).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_a_part_needs_a_hundredth_of_the_requests() -> None:
    def shares(rare: int) -> list[float]:
        weak = np.where(np.arange(200) < rare, 0.004, 0.5)
        log = small(odds=np.stack([weak, 1 - weak], axis=1))
        return [part.share for part in ask(log, np.zeros(200, bool)).quality.parts]

    assert shares(2) == [0.01, 0.99]
    assert shares(1) == [0.995]


def test_sixty_explorations_are_enough_and_fifty_nine_are_not() -> None:
    assert ask(small(120)).quality.has_enough
    assert not ask(small(118)).quality.has_enough


def test_an_interval_needs_two_units() -> None:
    assert interval(0.5, np.array([0.3]), 1, 10.0, 0.05) == Bounds(0.5)
    assert interval(0.5, np.array([0.3, -0.3]), 2, 0.0, 0.05) == Bounds(0.5)


def test_an_interval_of_two_units_by_hand() -> None:
    """Sums of 1 and -1 over 10: the error is sqrt(2 * 2 / 1) / 10 = 0.2. The kurtosis counts
    as 1 + 2 / 2 at least, so 2 * 2 / (2 - 1) = 4 degrees of freedom: 2.776445 at 97.5 %."""
    found = interval(0.5, np.array([1.0, -1.0]), 2, 10.0, 0.05)
    assert found.low == pytest.approx(0.5 - 0.2 * 2.776445, abs=1e-6)
    assert found.high == pytest.approx(0.5 + 0.2 * 2.776445, abs=1e-6)
    assert found.skew == 0.0


def test_one_large_unit_makes_an_interval_lopsided() -> None:
    """Sums 3, -1, -1, -1: the cubes add up to 24, and 24 / 12^1.5 is 0.577."""
    found = interval(0.0, np.array([3.0, -1.0, -1.0, -1.0]), 4, 4.0, 0.05)
    assert found.skew == pytest.approx(0.57735027)
    assert found.is_lopsided
    assert not Bounds(0.0, -1.0, 1.0, 0.15).is_lopsided
    assert Bounds(0.0, -1.0, 1.0, -0.16).is_lopsided


def test_sums_without_variation_are_certain() -> None:
    assert interval(0.5, np.zeros(3), 3, 3.0, 0.05) == Bounds(0.5, 0.5, 0.5)


def test_the_share_of_the_largest_ten() -> None:
    assert share_of_largest(np.r_[np.full(10, 5.0), np.full(50, 1.0)]) == 0.5
    assert share_of_largest(np.ones(10)) == 1.0
    assert share_of_largest(np.ones(11)) == pytest.approx(10 / 11)
    assert share_of_largest(np.zeros(11)) == 0.0
    assert share_of_largest(np.array([0.25, 0.25])) == 1.0


def test_one_good_and_one_bad_rating_by_hand() -> None:
    """Of sixty good ones: 61 / 62 * 1 / 62, and none before."""
    assert unseen_variance(60, 60) == pytest.approx(61 / 62 / 62)
    assert unseen_variance(1, 1) == pytest.approx(2 / 9)
    assert unseen_variance(0, 0) == 0.0


def test_what_is_yes_or_no() -> None:
    assert is_yes_or_no(np.r_[np.ones(19), 0.5])
    assert not is_yes_or_no(np.r_[np.ones(18), 0.5])
    assert not is_yes_or_no(np.array([]))


def test_bounds_within_limits() -> None:
    assert within(Bounds(0.5, -0.2, 1.3), (0.0, 1.0)) == Bounds(0.5, 0.0, 1.0)
    assert within(Bounds(-3.0, -4.0, -2.0), None) == Bounds(-3.0, -4.0, -2.0)
    assert within(NOTHING, (0.0, 1.0)) == NOTHING


def test_ratings_at_the_ends_are_ratings() -> None:
    with pytest.raises(GradeError, match="1 ratings lie outside 0 to 1"):
        evidence(small(2, rating=np.array([0.0, 1.01])))
    assert evidence(small(2, rating=np.array([0.0, 1.0]))).quality.seen.all()


def test_exploring_counts_from_half_a_percent() -> None:
    on = small(2, odds=np.tile([0.995, 0.005], (2, 1)))
    off = small(2, odds=np.tile([0.996, 0.004], (2, 1)))
    found, without = (advise(log, log.took == STRONG, 10) for log in (on, off))
    assert (found.is_on, found.rate) == (True, 0.005)
    assert (without.is_on, without.rate) == (False, 0.02)


def test_exploring_the_cheaper_model_saves() -> None:
    """All went to the strong one at 10; 2 % of 20 a day at the weak one's 1 save 3.6 a day."""
    log = small(took=np.ones(200, np.int64), odds=np.tile([0.0, 1.0], (200, 1)))
    found = advise(log, np.zeros(200, bool), 10)
    assert found.daily_requests == 20
    assert found.daily_cost == pytest.approx(20 * 0.02 * -9)
    assert advise(log, np.zeros(200, bool), 0).daily_requests == 0.0


def test_neighbouring_strata_merge_until_each_has_sixty() -> None:
    strata = np.repeat([0, 1, 2, 3], [30, 30, 60, 59])
    assert np.bincount(_merged(strata, np.ones(179, bool))).tolist() == [60, 119]
    strata = np.repeat([0, 1, 2, 3], [30, 30, 60, 60])
    assert np.bincount(_merged(strata, np.ones(180, bool))).tolist() == [60, 60, 60]


def test_no_requests_are_without_overlap() -> None:
    nothing = estimate(evidence(small()), np.ones(200, bool), rows=np.zeros(200, bool))
    assert (nothing.decisions, nothing.without_overlap) == (0, 1.0)
