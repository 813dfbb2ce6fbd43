"""Thresholds that keep a promise: the walk, its p-values, and how often it is wrong."""

from math import exp

import numpy as np
import pytest
from scipy.stats import binom

from experiments.analysis.calibration import (
    Graded,
    Promise,
    Test,
    betting_p_value,
    graded_quality,
    grid_of,
    guarantee,
    hoeffding_bentkus_p_value,
    rated_in_production,
    threshold_for_budget,
)
from experiments.analysis.errors import LevelError
from experiments.analysis.off_policy import evidence
from experiments.analysis.routing import Cut
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
    assert found.problem == "too few graded units, 29 of 30"


def test_noise_supports_nothing_and_says_so() -> None:
    rng = np.random.default_rng(6)
    weak, strong = rng.choice([-99.0, 101.0], (2, 500))
    found = guarantee(
        Graded(np.arange(500), rng.random(500), weak, strong, -99.0, 101.0), GRID, Promise()
    )
    assert found.threshold is None
    assert "do not even show it for sending everything to the strong model" in found.problem


@pytest.mark.parametrize("promise", [Promise(0.0), Promise(1.1), Promise(0.9, 0.0)])
def test_a_promise_that_cannot_be_one_is_refused(promise: Promise) -> None:
    with pytest.raises(LevelError):
        guarantee(graded(np.random.default_rng(7)), GRID, promise)


def test_units_have_one_vote_each() -> None:
    """One unit asks a thousand times where the weak model fails: the others outvote it."""
    n = 400
    units = np.r_[np.arange(n), np.full(1000, n)]
    scores = np.full(n + 1000, 0.5)
    strong = np.ones(n + 1000)
    weak = np.r_[np.ones(n), np.zeros(1000)]
    found = guarantee(Graded(units, scores, weak, strong), grid_of(np.array([0.5, 0.9])), Promise())
    assert found.threshold == 0.9


def test_ratings_of_a_coin_support_a_promise() -> None:
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
    assert isinstance(found, str)
    assert found.startswith("100 % of the prompts could have gone to one model only")


def test_no_ratings_support_nothing() -> None:
    big = world(np.random.default_rng(10), rated=0.0)
    known = evidence(big.log)
    assert rated_in_production(known, np.ones(len(big.log), bool)) == "nothing was rated"


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
