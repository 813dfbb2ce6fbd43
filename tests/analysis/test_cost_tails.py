"""Costs of which a few requests carry much: what is measured, and what is not trusted."""

import numpy as np
import pytest

from experiments.analysis.off_policy.estimates import (
    MOST_SKEW,
    Bounds,
    Log,
    WhatIf,
    estimate,
    evidence,
    mean_over_units,
    share_of_largest,
)
from experiments.analysis.off_policy.nuisance import Floats


def asked(cost: Floats, rating: Floats | None = None) -> WhatIf:
    """ "Always strong", of a log in which every second request went there at random."""
    n = len(cost)
    log = Log(
        units=np.arange(n),
        strata=np.zeros(n, np.int64),
        domains=np.zeros(n, np.int64),
        took=np.arange(n) % 2,
        odds=np.full((n, 2), 0.5),
        expected=np.tile([1.0, 10.0], (n, 1)),
        cost=cost,
        rating=np.ones(n) if rating is None else rating,
        score=np.linspace(0, 1, n),
        tokens=np.full(n, 100.0),
    )
    return estimate(evidence(log), np.ones(n, bool))


def costs(dear: float, count: int) -> Floats:
    """10 or so where the strong model answered, 1 where the weak one did; `count` of the strong
    model's cost `dear`."""
    cost = np.where(np.arange(400) % 2, 10.0 + np.arange(400) % 4 - 2, 1.0)
    cost[1 : 2 * count : 2] = dear
    return cost


def test_ten_of_even_values_carry_their_number() -> None:
    assert share_of_largest(np.full(200, 3.0)) == pytest.approx(0.05)


def test_ten_large_values_carry_their_sum() -> None:
    values = np.r_[np.full(90, 1.0), np.full(10, 91.0)]
    assert share_of_largest(values) == pytest.approx(0.91)


def test_fewer_than_ten_values_carry_everything() -> None:
    assert share_of_largest(np.array([1.0, 5.0])) == 1.0
    assert share_of_largest(np.zeros(0)) == 0.0


def test_skew_of_a_mean_is_its_formula() -> None:
    found = mean_over_units(np.r_[np.zeros(9), 10.0], np.arange(10))
    assert found.skew == pytest.approx((9**3 - 9) / (81 + 9) ** 1.5)
    assert found.is_lopsided


def test_requests_of_one_unit_are_skewed_together() -> None:
    """A loop of a hundred equal calls is one large unit, though no request is large."""
    values, units = np.ones(300), np.r_[np.zeros(100, np.int64), np.arange(1, 201)]
    values[:100] = 2.0
    assert mean_over_units(values, np.arange(300)).skew < MOST_SKEW
    assert mean_over_units(values, units).is_lopsided


def test_even_costs_are_trusted() -> None:
    found = asked(costs(10.0, 1)).cost
    assert found.largest == pytest.approx(110 / 2000, abs=0.002)
    assert not found.is_lopsided
    assert not found.is_log_lopsided


def test_costs_that_one_request_decides_are_not_trusted() -> None:
    found = asked(costs(5000.0, 1)).cost
    assert found.doubly_robust.skew == pytest.approx(0.99, abs=0.02)
    assert found.is_lopsided
    assert found.largest == pytest.approx(0.73, abs=0.01)


def test_a_tail_that_only_the_log_has_is_of_the_log() -> None:
    """The weak model's dear answers say nothing of the candidate, which never asks it."""
    cost = costs(10.0, 1)
    cost[0] = 50_000.0
    found = asked(cost).cost
    assert not found.is_lopsided
    assert found.is_log_lopsided
    assert found.change.skew < -MOST_SKEW


def test_costs_that_were_expected_do_not_make_the_answer_lopsided() -> None:
    n, rng = 4000, np.random.default_rng(8)
    expected = np.exp(rng.normal(0, 2, n))
    took = np.arange(n) % 2
    log = Log(
        units=np.arange(n),
        strata=np.zeros(n, np.int64),
        domains=np.zeros(n, np.int64),
        took=took,
        odds=np.full((n, 2), 0.5),
        expected=np.stack([expected, expected], axis=1),
        cost=expected,
        rating=np.full(n, np.nan),
        score=np.linspace(0, 1, n),
        tokens=np.full(n, 100.0),
    )
    found = estimate(evidence(log), took == 1).cost
    assert found.change == Bounds(0.0, 0.0, 0.0)


def test_shares_have_no_tail() -> None:
    rating = np.ones(400)
    rating[1] = 0.0
    found = asked(costs(10.0, 1), rating)
    assert found.quality.doubly_robust.skew == 0.0
    assert found.strong_share.skew == 0.0
