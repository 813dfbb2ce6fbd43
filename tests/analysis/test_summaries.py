"""Summaries from integer sums: exact, whatever the size, and nothing impossible accepted."""

from dataclasses import astuple
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.errors import SummaryError
from experiments.analysis.experiment.summaries import (
    CovariateMeanSummary,
    CovariateRatioSummary,
    MeanSummary,
    RatioSummary,
)

Y = (9, 13, 3, 13, 0, 16, 8, 1, 4, 5, 5, 4)
X = (4, 5, 5, 3, 5, 5, 5, 1, 3, 4, 2, 2)


def dot(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    return sum(a * b for a, b in zip(left, right, strict=True))


def test_mean_from_sums() -> None:
    summary = MeanSummary.from_sums(4, 1000, 300_000, scale=100)
    assert summary == MeanSummary(4, 2.5, 5 / 3)


def test_sums_stay_exact_where_floats_cancel() -> None:
    # 10^15 nano-dollars each, but for one more in the last: floats of the squares lose it.
    values = [10**15] * 9 + [10**15 + 1]
    summary = MeanSummary.from_sums(10, sum(values), sum(v * v for v in values), scale=10**9)
    assert summary.variance == pytest.approx(0.1 / 10**18, rel=1e-12)


def test_ratio_from_sums() -> None:
    summary = RatioSummary.from_sums(12, sum(Y), dot(Y, Y), sum(X), dot(X, X), dot(Y, X))
    assert astuple(summary) == pytest.approx(
        (12, 81 / 12, 3411 / 132, 44 / 12, 272 / 132, 348 / 132)
    )


def test_ratio_scales() -> None:
    plain = RatioSummary.from_sums(12, sum(Y), dot(Y, Y), sum(X), dot(X, X), dot(Y, X))
    scaled = RatioSummary.from_sums(
        12,
        1000 * sum(Y),
        10**6 * dot(Y, Y),
        10 * sum(X),
        100 * dot(X, X),
        10**4 * dot(Y, X),
        numerator_scale=1000,
        denominator_scale=10,
    )
    assert scaled == plain


@given(st.lists(st.integers(-(10**18), 10**18), min_size=2, max_size=20))
def test_variance_is_the_correctly_rounded_exact_one(values: list[int]) -> None:
    n, mean = len(values), Fraction(sum(values), len(values))
    exact = sum(((v - mean) ** 2 for v in values), Fraction(0)) / (n - 1)
    summary = MeanSummary.from_sums(n, sum(values), sum(v * v for v in values))
    assert summary.mean == float(mean)
    assert summary.variance == float(exact)


@pytest.mark.parametrize(("n", "total"), [(0, 0), (1, 7)])
def test_variance_of_fewer_than_two_units_is_zero(n: int, total: int) -> None:
    assert MeanSummary.from_sums(n, total, total * total) == MeanSummary(n, float(total), 0.0)


def test_sums_that_no_values_have() -> None:
    with pytest.raises(SummaryError, match="same units, in the same scale"):
        MeanSummary.from_sums(3, 30, 200)


def test_boolean_variance_comes_from_one_more_success_and_failure() -> None:
    assert astuple(MeanSummary.from_successes(98, 0)) == pytest.approx((98, 0.0, 0.0099))
    assert MeanSummary.from_successes(98, 49) == MeanSummary(98, 0.5, 0.25)
    assert MeanSummary.from_successes(0, 0) == MeanSummary(0, 0.0, 0.25)


def test_more_successes_than_units() -> None:
    with pytest.raises(SummaryError, match="between 0 and 10"):
        MeanSummary.from_successes(10, 11)


def test_linearised_ratio() -> None:
    summary = RatioSummary.from_sums(12, sum(Y), dot(Y, Y), sum(X), dot(X, X), dot(Y, X))
    ratio, mean = sum(Y) / sum(X), sum(X) / 12
    values = [(y - ratio * x) / mean for y, x in zip(Y, X, strict=True)]
    variance = sum(v * v for v in values) / 11
    linear = summary.linearised()
    assert linear is not None
    assert astuple(linear) == pytest.approx((12, ratio, variance), rel=1e-12)


def test_constant_ratio_has_no_variance_left_by_rounding() -> None:
    y = tuple(3 * x for x in X)
    summary = RatioSummary.from_sums(
        12, sum(y), dot(y, y), sum(X), dot(X, X), dot(y, X), numerator_scale=7
    )
    linear = summary.linearised()
    assert linear is not None
    assert linear.variance == 0.0


def test_ratio_without_denominator() -> None:
    assert RatioSummary(10, 0.0, 0.0, 0.0, 0.0, 0.0).linearised() is None


def test_ratio_history_from_sums_matches_the_single_summaries() -> None:
    columns = (Y, X, X, Y)
    totals = [sum(column) for column in columns]
    products = [[dot(a, b) for b in columns] for a in columns]
    summary = CovariateRatioSummary.from_sums(12, totals, products, scales=(10, 1, 1, 10))
    assert summary.plain() == RatioSummary.from_sums(
        12, sum(Y), dot(Y, Y), sum(X), dot(X, X), dot(Y, X), numerator_scale=10
    )
    assert summary.covariance[0][3] == pytest.approx(3411 / 13200)
    assert all(
        summary.covariance[i][j] == summary.covariance[j][i] for i, j in product(range(4), repeat=2)
    )


def test_mean_history_from_sums() -> None:
    summary = CovariateMeanSummary.from_sums(
        12, sum(Y), dot(Y, Y), sum(X), dot(X, X), dot(Y, X), scale=10
    )
    assert summary.plain() == MeanSummary.from_sums(12, sum(Y), dot(Y, Y), scale=10)
    assert summary.covariance == pytest.approx(348 / 1320)


@pytest.mark.parametrize(
    ("n", "mean", "variance", "message"),
    [
        (-1, 0.0, 0.0, "count units from 0"),
        (3, float("nan"), 1.0, "not a number"),
        (3, 1.0, float("inf"), "not a number"),
        (3, 1.0, -0.1, "never below 0"),
    ],
)
def test_impossible_summary(n: int, mean: float, variance: float, message: str) -> None:
    with pytest.raises(SummaryError, match=message):
        MeanSummary(n, mean, variance)


def test_covariance_of_the_wrong_shape_or_not_symmetric() -> None:
    row = (1.0, 0.0, 0.0, 0.0)
    with pytest.raises(SummaryError, match="4x4"):
        CovariateRatioSummary(5, (1.0, 1.0, 1.0, 1.0), (row, row, row))
    with pytest.raises(SummaryError, match="not symmetric"):
        CovariateRatioSummary(5, (1.0, 1.0, 1.0, 1.0), (row, row, row, row))
    with pytest.raises(SummaryError, match="four totals"):
        CovariateRatioSummary.from_sums(5, (1, 1, 1), ((1,),))


def test_scale_below_one() -> None:
    with pytest.raises(SummaryError, match="scale >= 1"):
        MeanSummary.from_sums(3, 3, 3, scale=0)
