"""Ratings of one model a prompt, weighed by inverse propensity: numbers worked out by hand."""

import numpy as np
import pytest

from experiments.analysis.off_policy.ipw import effective, inverse, weigh

NAN = np.nan


def test_means_are_those_of_all_prompts() -> None:
    """Hard prompts went to the strong model four times as often as easy ones."""
    strong = np.array([0.0, 0.0, 0.0, 0.0, 1.0, NAN, NAN, NAN, NAN, NAN])
    weak = np.array([NAN, NAN, NAN, NAN, NAN, 0.0, 1.0, 1.0, 1.0, 1.0])
    propensity = np.array([0.8, 0.8, 0.8, 0.8, 0.2, 0.2, 0.8, 0.8, 0.8, 0.8])

    found = weigh(strong, weak, propensity)

    # Four at 1.25 and one at 5: each half of what counts.
    assert found.strong.mean() == pytest.approx(0.5)
    assert found.weak.mean() == pytest.approx(0.5)
    assert found.effective_strong == pytest.approx(100 / 31.25)
    assert (found.clipped, found.without_overlap) == (0.0, 0.0)


def test_weights_are_cut_and_it_is_said() -> None:
    found = weigh(np.array([1.0, NAN]), np.array([NAN, 0.0]), np.array([0.01, 1.0]))
    assert inverse(np.array([0.01, 0.5])).tolist() == [20.0, 2.0]
    assert (found.clipped, found.without_overlap) == (0.5, 0.5)


def test_equal_weights_are_worth_all_ratings() -> None:
    assert effective(np.full(7, 3.0)) == pytest.approx(7.0)
    assert effective(np.array([])) == 0.0


def test_a_model_that_was_never_rated_is_named() -> None:
    with pytest.raises(ValueError, match="No answer of the weak model was rated"):
        weigh(np.array([1.0]), np.array([NAN]), np.array([1.0]))
