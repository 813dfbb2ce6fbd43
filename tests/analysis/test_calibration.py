"""Thresholds that keep a promise: the walk, its p-values, and how often it is wrong."""

from dataclasses import replace
from math import exp

import numpy as np
import pytest
from scipy.stats import binom

from experiments.analysis.errors import CountError, GradeError, LevelError
from experiments.analysis.off_policy.estimates import STRONG, WEAK, Log, evidence
from experiments.analysis.routing.calibration import (
    Graded,
    Promise,
    Shortage,
    ShortageCode,
    Test,
    _blocks,
    _centres,
    _covered_to,
    _divergence,
    betting_p_value,
    graded_quality,
    grid_of,
    guarantee,
    hoeffding_bentkus_p_value,
    rated_in_production,
    threshold_for_budget,
)
from experiments.analysis.routing.measures import Cut
from experiments.lab.text.off_policy import shortage_words
from tests.analysis.logged_worlds import world


def graded(rng: np.random.Generator, units: int = 1000, requests: int = 2) -> Graded:
    """The weak model loses what the score says, less a little; requests of a unit are alike."""
    unit = np.repeat(np.arange(units), requests)
    n = len(unit)
    mood = 0.03 * rng.normal(0, 1, units)[unit]
    score = rng.random(n)
    strong = (rng.random(n) < np.clip(0.8 + mood, 0, 1)).astype(np.float64)
    weak = (rng.random(n) < np.clip(0.8 - 0.4 * score + mood, 0, 1)).astype(np.float64)
    return Graded(unit, score, weak, strong)


GRID = grid_of(np.linspace(0, 1, 5001))


def kept(big: Graded, threshold: float, rho: float) -> float:
    routed = np.where(big.scores >= threshold, big.strong, big.weak)
    return float(routed.mean() - rho * big.strong.mean())


def test_grid_is_of_scores_alone_and_starts_with_all_strong() -> None:
    grid = grid_of(np.array([0.1, 0.2, 0.3, 0.4, np.nan]), 4)
    assert grid == (Cut(0.0, 1.0), Cut(0.1, 1.0), Cut(0.2, 0.75), Cut(0.3, 0.5), Cut(0.4, 0.25))
    assert grid_of(np.array([np.nan])) == ()


def test_betting_wins_what_was_computed_by_hand() -> None:
    """At level 0.1 three values bet sqrt(2 ln 10 / (3 * 0.25)) first, but at most 0.9 / 0.5."""
    values = np.array([1.0, 1.0, 0.0])
    bet = 0.9 / 0.5
    wealth = (1 + bet * 0.5) * (1 + bet * 0.5)
    assert betting_p_value(values, 0.5, 0.1) == pytest.approx(1 / wealth)


def test_hoeffding_bentkus_equals_its_formula() -> None:
    values = np.r_[np.ones(90), np.zeros(10)]
    a, b = 0.1, 0.2
    hoeffding = exp(-100 * (a * np.log(a / b) + (1 - a) * np.log((1 - a) / (1 - b))))
    bentkus = exp(1) * binom.cdf(10, 100, b)
    assert hoeffding_bentkus_p_value(values, 0.8, 0.1) == pytest.approx(min(hoeffding, bentkus))
    assert hoeffding_bentkus_p_value(values, 0.8, 0.1) == pytest.approx(0.01548437, rel=1e-5)


@pytest.mark.parametrize("p_value", [betting_p_value, hoeffding_bentkus_p_value])
def test_p_values_are_small_no_more_often_than_their_level(p_value: object) -> None:
    rng = np.random.default_rng(1)
    draws = (rng.random((2000, 300)) < 0.9).astype(np.float64)
    small = sum(p_value(row, 0.9, 0.1) <= 0.1 for row in draws)  # type: ignore[operator]
    assert small <= 0.1 * 2000


@pytest.mark.parametrize("test", list(Test))
@pytest.mark.parametrize("rho", [0.9, 0.95])
def test_a_broken_promise_is_chosen_no_more_often_than_delta(test: Test, rho: float) -> None:
    big = graded(np.random.default_rng(100), 300_000)
    worth = {cut.threshold: kept(big, cut.threshold or 0, rho) for cut in GRID}
    wrong, runs = 0, 150
    for seed in range(runs):
        found = guarantee(
            graded(np.random.default_rng(seed), 600), GRID, Promise(rho, 0.1, 1, test)
        )
        wrong += found.threshold is not None and worth[found.threshold] < 0
    assert wrong <= 0.1 * runs


def test_more_data_sends_more_to_the_weak_model() -> None:
    few, many = (_mean_share(units) for units in (100, 5000))
    big = graded(np.random.default_rng(101), 300_000)
    best = min(cut.realised_share for cut in GRID if kept(big, cut.threshold or 0, 0.9) >= 0)
    assert many < few - 0.1
    assert many == pytest.approx(best, abs=0.06)


def _mean_share(units: int) -> float:
    data = [graded(np.random.default_rng(seed), units) for seed in range(12)]
    found = [guarantee(one, GRID, Promise(0.9)) for one in data]
    return float(np.mean([one.strong_share for one in found if one.strong_share is not None]))


def test_the_walk_stops_at_the_first_failure() -> None:
    found = guarantee(graded(np.random.default_rng(3)), GRID, Promise(0.95))
    assert [step.passed for step in found.steps] == [True] * (len(found.steps) - 1) + [False]
    assert found.threshold == found.steps[-2].threshold


def test_domains_calibrated_together_share_the_risk() -> None:
    data = graded(np.random.default_rng(4))
    one, eight = (guarantee(data, GRID, Promise(0.9, 0.1, domains)) for domains in (1, 8))
    assert eight.promise.level == pytest.approx(0.0125)
    assert (eight.strong_share or 1) >= (one.strong_share or 1)


def test_too_few_units_support_nothing() -> None:
    found = guarantee(graded(np.random.default_rng(5), 29, 50), GRID, Promise())
    assert found.threshold is None
    assert found.shortage == Shortage(ShortageCode.TOO_FEW_UNITS, 29)
    assert shortage_words(found.shortage) == "too few graded units, 29 of 30"


def test_noise_supports_nothing_and_says_so() -> None:
    rng = np.random.default_rng(6)
    weak, strong = rng.choice([-99.0, 101.0], (2, 500))
    found = guarantee(
        Graded(np.arange(500), rng.random(500), weak, strong, -99.0, 101.0),
        GRID,
        Promise(0.95, 0.01),
    )
    assert found.threshold is None
    assert found.shortage is not None
    said = shortage_words(found.shortage)
    assert "do not even show it for sending everything to the strong model" in said


def test_all_of_the_quality_can_never_be_promised_and_it_says_what_to_do() -> None:
    with pytest.raises(LevelError, match=r"can never be shown from a sample.*such as 0\.99"):
        guarantee(graded(np.random.default_rng(7)), GRID, Promise(1.0))


@pytest.mark.parametrize(
    ("grade", "problem"),
    [
        (np.nan, "1 prompts have a grade that is no number"),
        (np.inf, "1 prompts have a grade that is no number"),
        (1.2, "1 prompts have a grade outside 0 to 1"),
        (-0.1, "1 prompts have a grade outside 0 to 1"),
    ],
)
def test_grades_that_are_none_are_refused(grade: float, problem: str) -> None:
    one = np.ones(50)
    with pytest.raises(GradeError, match=problem):
        Graded(np.arange(50), one / 2, np.r_[grade, one[1:]], one)
    with pytest.raises(CountError, match="differ in number"):
        Graded(np.arange(50), one / 2, one[1:], one)


@pytest.mark.parametrize("promise", [Promise(0.0), Promise(1.1), Promise(0.9, 0.0)])
def test_a_promise_that_cannot_be_one_is_refused(promise: Promise) -> None:
    with pytest.raises(LevelError):
        guarantee(graded(np.random.default_rng(7)), GRID, promise)


def test_every_request_has_a_vote() -> None:
    """One unit asks a thousand times where the weak model fails: the promise is per request, and
    400 units that ask once each do not outvote it."""
    n = 400
    units = np.r_[np.arange(n), np.full(1000, n)]
    scores = np.full(n + 1000, 0.5)
    strong = np.ones(n + 1000)
    weak = np.r_[np.ones(n), np.zeros(1000)]
    found = guarantee(Graded(units, scores, weak, strong), grid_of(np.array([0.5, 0.9])), Promise())
    assert found.threshold == 0.5
    assert (found.units, found.busy) == (401, 1)


def test_the_mean_of_a_step_is_over_requests() -> None:
    units = np.r_[np.arange(100), np.full(100, 100)]
    data = Graded(units, np.full(200, 0.5), np.r_[np.ones(100), np.zeros(100)], np.ones(200))
    steps = guarantee(data, (Cut(0.0, 1.0), Cut(0.9, 0.0)), Promise(0.4, 0.5)).steps
    assert [round(step.mean, 6) for step in steps] == [0.6, 0.1]


def test_promises_hold_where_busy_customers_are_the_hard_ones() -> None:
    """A tenth of the customers asks 20 times: nine of ten customers are easy, two of three requests
    are not. Per unit almost everything could go to the weak model."""

    def customers(rng: np.random.Generator, units: int) -> Graded:
        is_busy = rng.random(units) < 0.1
        unit = np.repeat(np.arange(units), np.where(is_busy, 20, 1))
        chance = np.where(is_busy[unit], 0.5, 0.9) - 0.3 * (score := rng.random(len(unit)))
        strong = (rng.random(len(unit)) < 0.85).astype(np.float64)
        return Graded(unit, score, (rng.random(len(unit)) < chance).astype(np.float64), strong)

    big = customers(np.random.default_rng(200), 100_000)
    runs = [
        guarantee(customers(np.random.default_rng(seed), 400), GRID, Promise()).threshold
        for seed in range(100)
    ]
    broken = sum(one is not None and kept(big, one, 0.95) < 0 for one in runs)
    assert broken <= 10
    assert max(one or 0.0 for one in runs) > 0.0


@pytest.mark.parametrize(
    ("counts", "blocks", "busy"),
    [
        ([10] * 30, 30, 0),  # equal shares are never busy, however few units there are
        ([1] * 500, 500, 0),
        ([1] * 400 + [1000], 400 + 15, 1),  # blocks of 5 % of 1,400
        ([1] * 300 + [20] * 20, 320, 0),
    ],
)
def test_busy_units_count_in_blocks(counts: list[int], blocks: int, busy: int) -> None:
    units = np.repeat(np.arange(len(counts)), counts)
    units = np.random.default_rng(1).permutation(units)
    found = _blocks(units)
    assert (found.units, found.busy, len(found.requests)) == (len(counts), busy, blocks)
    assert all(len(set(units[found.code == one])) == 1 for one in range(0, blocks, 7))


def test_ratings_of_a_random_router_support_a_promise() -> None:
    big = world(np.random.default_rng(8), units=60_000, epsilon=0.5, rated=1.0)
    data = rated_in_production(evidence(big.log), np.ones(len(big.log), bool))
    assert isinstance(data, Graded)
    assert data.strong.mean() == pytest.approx(float(big.quality[:, 1].mean()), abs=0.01)
    found = guarantee(data, grid_of(big.log.score), Promise(0.9))
    assert found.threshold is not None
    assert found.threshold > 0
    routed = big.truth(big.log.score >= found.threshold)[0]
    assert routed >= 0.9 * float(big.quality[:, 1].mean())


def test_ratings_without_exploration_support_nothing() -> None:
    big = world(np.random.default_rng(9), epsilon=0.0)
    found = rated_in_production(evidence(big.log), np.ones(len(big.log), bool))
    assert isinstance(found, Shortage)
    assert shortage_words(found).startswith(
        "100 % of the prompts could have gone to one model only"
    )


def test_no_ratings_support_nothing() -> None:
    big = world(np.random.default_rng(10), rated=0.0)
    known = evidence(big.log)
    assert rated_in_production(known, np.ones(len(big.log), bool)) == Shortage(
        ShortageCode.NOTHING_RATED
    )


def test_budget_takes_the_lowest_threshold_it_can_pay() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    strong, weak = np.full(4, 10.0), np.full(4, 1.0)
    assert threshold_for_budget(scores, strong, weak, 5.5) == Cut(0.8, 0.5)
    assert threshold_for_budget(scores, strong, weak, 5.4) == Cut(0.9, 0.25)
    assert threshold_for_budget(scores, strong, weak, 100) == Cut(0.6, 1.0)
    assert threshold_for_budget(scores, strong, weak, 1.0) == Cut(None, 0.0)
    assert threshold_for_budget(scores, strong, weak, 0.9) is None


def test_equal_scores_go_together_in_a_budget() -> None:
    scores = np.array([0.9, 0.9, 0.1])
    strong, weak = np.full(3, 10.0), np.full(3, 1.0)
    assert threshold_for_budget(scores, strong, weak, 4.0) == Cut(None, 0.0)


def test_quality_at_a_threshold_has_an_interval_over_units() -> None:
    data = graded(np.random.default_rng(11), 5000)
    found = graded_quality(data, 0.5)
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(0.017, abs=0.004)


def rarely_explored(
    rng: np.random.Generator, n: int = 500, rare: float = 0.004, share: float = 0.3
) -> tuple[Log, "np.ndarray"]:
    """A random router decides, except for a part of the traffic that is hardly explored, and where
    the weak model is bad. Everything is rated. Second value: how good either side is."""
    score, is_rare = rng.random(n), rng.random(n) < share
    weak = np.where(is_rare, rare, 0.5)
    took = np.where(rng.random(n) < weak, WEAK, STRONG)
    good = np.stack([np.where(is_rare, 0.1, 0.85 - 0.2 * score), np.full(n, 0.85)], axis=1)
    rating = (rng.random(n) < good[np.arange(n), took]).astype(np.float64)
    none = np.zeros(n, np.int64)
    log = Log(
        units=np.arange(n),
        strata=none,
        domains=none,
        took=took,
        odds=np.stack([weak, 1 - weak], axis=1),
        expected=np.tile([1.0, 10.0], (n, 1)),
        cost=np.ones(n),
        rating=rating,
        score=score,
        tokens=np.full(n, 100.0),
    )
    return log, good


def everything(log: Log) -> "np.ndarray":
    return np.ones(len(log), bool)


def test_promises_hold_where_a_part_is_hardly_ever_explored() -> None:
    """It yields no rating at all in half of the runs: what was drawn cannot show what it lacks."""
    big, good = rarely_explored(np.random.default_rng(300), 200_000)

    def keeps(threshold: float) -> bool:
        routed = np.where(big.score >= threshold, good[:, STRONG], good[:, WEAK]).mean()
        return bool(routed >= 0.9 * good[:, STRONG].mean())

    chosen = []
    for seed in range(100):
        log, _ = rarely_explored(np.random.default_rng(seed))
        data = rated_in_production(evidence(log), everything(log))
        assert isinstance(data, Graded)
        chosen.append(guarantee(data, grid_of(log.score), Promise(0.9)).threshold)
    assert sum(one is not None and not keeps(one) for one in chosen) <= 10
    assert float(np.mean([one or 0.0 for one in chosen])) > 0.05  # and it is not refused


def test_how_low_a_value_can_get_does_not_depend_on_the_ratings() -> None:
    log, _ = rarely_explored(np.random.default_rng(1))
    swapped = replace(log, rating=1 - log.rating)
    for one in (log, swapped):
        found = rated_in_production(evidence(one), everything(one))
        assert isinstance(found, Graded)
        assert found.reach is not None
        assert (found.weak >= found.reach.weak_low - 1e-9).all()
        assert (found.strong <= found.reach.strong_high + 1e-9).all()
        # Of 500 units each may fall by a quarter of the root of their number, whatever its odds.
        assert found.reach.weak_low.min() >= -0.25 * 500**0.5 - 1e-9


def test_prompts_whose_model_was_certain_are_left_out_and_counted() -> None:
    log, _ = rarely_explored(np.random.default_rng(2), share=0.0)
    odds = log.odds.copy()
    odds[3] = [0.0, 1.0]
    found = rated_in_production(evidence(replace(log, odds=odds)), everything(log))
    assert isinstance(found, Graded)
    assert (len(found), found.left_out) == (499, 1)
    assert found.covered_to == np.inf
    assert guarantee(found, grid_of(log.score), Promise(0.8)).threshold is not None


def test_thresholds_end_where_the_model_of_nearly_all_prompts_was_certain() -> None:
    """Above a score of 0.6 the strong model answered for certain: what the weak one does there is
    not known, however well it does below."""
    log, _ = rarely_explored(np.random.default_rng(3), 4000, share=0.0)
    certain = log.score > 0.6
    log = replace(
        log,
        odds=np.where(certain[:, None], [0.0, 1.0], log.odds),
        took=np.where(certain, STRONG, log.took),
        rating=np.where(log.score <= 0.6, 1.0, log.rating),
    )
    found = rated_in_production(evidence(log), everything(log))
    assert isinstance(found, Graded)
    assert found.left_out == int(certain.sum())
    assert found.covered_to == pytest.approx(0.6, abs=0.02)
    walk = guarantee(found, grid_of(log.score), Promise(0.8))
    assert walk.threshold == pytest.approx(0.6, abs=0.04)
    assert walk.steps[-1].passed


def test_too_few_units_that_could_have_gone_either_way_are_refused() -> None:
    log, _ = rarely_explored(np.random.default_rng(4), share=0.0)
    odds = np.where(np.arange(500)[:, None] < 480, [0.0, 1.0], log.odds)
    found = rated_in_production(evidence(replace(log, odds=odds)), everything(log))
    assert isinstance(found, Shortage)
    assert found[:2] == (ShortageCode.ONE_MODEL_ONLY, 20)
    assert "96 % of the prompts could" in shortage_words(found)
    assert "model only, and the others are of 20 units" in shortage_words(found)


def test_ratings_that_would_count_too_much_are_refused_by_what_was_possible() -> None:
    log, _ = rarely_explored(np.random.default_rng(5), share=0.9, rare=0.001)
    found = rated_in_production(evidence(log), everything(log))
    assert isinstance(found, Shortage)
    assert "would count for 1,0" in shortage_words(found)
    assert "explore more, or collect more ratings" in shortage_words(found)


def test_audited_ratings_alone_carry_the_promise_where_they_suffice() -> None:
    log, _ = rarely_explored(np.random.default_rng(6), 3000, share=0.0)
    drawn = np.random.default_rng(60).random(3000) < 0.2
    unhappy = (log.rating == 0) | drawn
    log = replace(log, rating=np.where(unhappy, log.rating, np.nan), audited=drawn)
    found = rated_in_production(evidence(log), everything(log))
    assert isinstance(found, Graded)
    assert found.ratings is not None
    assert (found.ratings.audited, found.ratings.volunteered) == (int(drawn.sum()), 0)
    assert found.strong.mean() == pytest.approx(0.85, abs=0.05)
    pooled = rated_in_production(evidence(replace(log, audited=None)), everything(log))
    assert isinstance(pooled, Graded)
    assert pooled.strong.mean() < 0.7


def prompts(score: float, possible: int, certain: int) -> "tuple[np.ndarray, np.ndarray]":
    used = np.arange(possible + certain) < possible
    return np.full(len(used), score), used


def covered_to(*bands: "tuple[np.ndarray, np.ndarray]") -> float:
    return _covered_to(np.concatenate([b[0] for b in bands]), np.concatenate([b[1] for b in bands]))


def test_nothing_is_covered_where_the_lowest_scores_were_certain() -> None:
    assert covered_to(prompts(0.1, 0, 100), prompts(0.9, 100, 0)) == 0.1


def test_a_band_is_covered_from_a_fifth_of_what_an_even_spread_would_bring() -> None:
    """Half of all could have gone either way, so 50 of a hundred are expected and 10 needed."""
    low, high = prompts(0.1, 90, 10), prompts(0.9, 10, 90)
    assert covered_to(low, high) == np.inf
    low, high = prompts(0.1, 91, 9), prompts(0.9, 9, 91)
    assert covered_to(low, high) == 0.9


def test_each_band_is_counted_from_nothing() -> None:
    """A band before does not lend its prompts to the next one."""
    first, last = prompts(0.1, 100, 0), prompts(0.9, 9, 91)
    assert covered_to(first, prompts(0.5, 41, 59), last) == 0.9


@pytest.mark.parametrize(
    ("a", "b", "divergence"),
    [(0.0, 0.2, 0.22314355), (1.0, 0.2, 1.60943791), (0.1, 0.2, 0.03669001), (0.2, 0.2, 0.0)],
)
def test_divergence_of_two_bernoulli_distributions(a: float, b: float, divergence: float) -> None:
    """-ln 0.8 where the first never falls on heads, -ln 0.2 where it always does."""
    assert _divergence(a, b) == pytest.approx(divergence, abs=1e-8)


def test_p_values_where_the_null_leaves_nothing_to_test() -> None:
    ones, nothing = np.ones(3), np.array([])
    assert betting_p_value(ones, 0.0, 0.1) == 0.0
    assert betting_p_value(nothing, 0.5, 0.1) == 1.0
    assert hoeffding_bentkus_p_value(ones, 0.0, 0.1) == 0.0
    assert hoeffding_bentkus_p_value(ones, 1.0, 0.1) == 1.0
    assert hoeffding_bentkus_p_value(nothing, 0.5, 0.1) == 1.0


def test_thirty_units_are_enough_to_begin_with() -> None:
    def walk(units: int) -> Shortage | None:
        data = Graded(np.arange(units), np.full(units, 0.5), np.zeros(units), np.zeros(units))
        return guarantee(data, GRID, Promise(0.9)).shortage

    assert walk(29) == Shortage(ShortageCode.TOO_FEW_UNITS, 29)
    assert walk(30) is None


def test_a_budget_equal_to_the_weak_models_cost_is_always_weak() -> None:
    scores, strong, weak = np.array([0.2, 0.8]), np.array([10.0, 10.0]), np.array([1.0, 3.0])
    assert threshold_for_budget(scores, strong, weak, 2.0) == Cut(None, 0.0)
    assert threshold_for_budget(scores, strong, weak, 1.99) is None
    assert threshold_for_budget(scores, strong, weak, 5.5) == Cut(0.8, 0.5)
    assert threshold_for_budget(scores, strong, weak, 5.49) == Cut(None, 0.0)
    assert threshold_for_budget(np.array([]), np.array([]), np.array([]), 5.0) is None


def test_grades_at_the_ends_of_their_range_are_grades() -> None:
    ends = np.array([0.0, 1.0])
    assert len(Graded(np.arange(2), ends, ends, ends)) == 2


def test_grades_on_a_scale_reach_as_far_as_the_scale() -> None:
    two = np.array([1.0, 5.0])
    reach = Graded(np.arange(2), np.zeros(2), two, two, low=1.0, high=5.0).bounds
    assert (reach.weak_low[0], reach.strong_high[0], reach.weak_weight[0]) == (1.0, 5.0, 16.0)


def test_a_last_band_counts_from_fifteen_prompts_that_could_have_gone_either_way() -> None:
    """Half could, overall. Of 30 prompts 15 are expected and 3 needed; 28 are too few to say."""
    assert covered_to(prompts(0.1, 38, 12), prompts(0.9, 2, 28)) == 0.9
    assert covered_to(prompts(0.1, 37, 13), prompts(0.9, 2, 26)) == np.inf


def test_centres_keep_a_units_sum_within_a_quarter_of_the_root_of_units() -> None:
    """Two units of two prompts: each may fall by 0.25 sqrt(2) / 2, over a weight of 1.5 less 1."""
    units, weight = np.array([0, 0, 1, 1]), np.full((4, 2), 1.5)
    most = 0.25 * 2**0.5 / 2 / 0.5
    high = _centres(units, np.full((4, 2), 0.8), weight)
    low = _centres(units, np.full((4, 2), 0.1), weight)
    assert high[0] == pytest.approx([most, 0.8])
    assert low[0] == pytest.approx([0.1, 1 - most])


def test_a_busy_unit_makes_a_twentieth_of_the_requests() -> None:
    """Of 1,000 requests by 100 units 50 count as one block, and the 51st begins another."""
    others = np.repeat(np.arange(1, 100), 10)[:950]
    fits = _blocks(np.r_[np.zeros(50, np.int64), others])
    more = _blocks(np.r_[np.zeros(51, np.int64), others[:949]])
    assert (fits.busy, fits.requests.max()) == (0, 50)
    assert (more.busy, more.requests.max(), more.requests.min()) == (1, 50, 1)
