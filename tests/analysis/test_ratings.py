"""Mean ratings and their intervals from sums and squares."""

import pytest

from experiments.analysis.ratings import Estimate, Ratings, difference, mean_rating


def test_it_works() -> None:
    # 90 of 100 rated 1: variance (91 / 102) (11 / 102), standard error 0.031018.
    found = mean_rating(Ratings(90, 90, 100))
    assert found is not None
    assert found.value == 0.9
    assert found.low == pytest.approx(0.839205, abs=1e-6)
    assert found.high == pytest.approx(0.960795, abs=1e-6)


def test_nothing_rated_is_no_number() -> None:
    assert mean_rating(Ratings(0, 0, 0)) is None
    assert difference(Ratings(1, 1, 1), Ratings(0, 0, 0)) is None


def test_ten_equal_ratings_are_not_certainty() -> None:
    found = mean_rating(Ratings(10, 10, 10))
    assert found is not None
    assert found.high == 1.0
    assert found.low == pytest.approx(0.828698, abs=1e-6)


def test_bounds_stay_between_nothing_and_everything() -> None:
    found = mean_rating(Ratings(1, 1, 2))
    assert found == Estimate(0.5, 0.0, 1.0)


def test_a_difference_has_the_error_of_both() -> None:
    found = difference(Ratings(90, 90, 100), Ratings(160, 160, 200))
    assert found is not None
    assert found.value == pytest.approx(0.1)
    assert found.low == pytest.approx(0.017518, abs=1e-6)
    assert found.high == pytest.approx(0.182482, abs=1e-6)
