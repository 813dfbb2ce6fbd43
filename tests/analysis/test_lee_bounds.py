"""Lee's bounds from means: literal numbers, and against real rows trimmed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.errors import CountError
from experiments.analysis.experiment.effects import EffectInterval
from experiments.analysis.experiment.lee_bounds import RatedShares, lee_bounds, rated_shares_differ
from experiments.analysis.experiment.summaries import MeanSummary

UNIT = EffectInterval(0.0, 1.0)


def share(n: int, value: float) -> MeanSummary:
    return MeanSummary(n, value, value * (1 - value))


def test_treatment_rated_more_often() -> None:
    # A fifth of the treatment's ratings is trimmed: .8 becomes (.8 - .2) / .8 or 1.
    bounds = lee_bounds(share(400, 0.7), share(500, 0.8), share(1000, 0.4), share(1000, 0.5), UNIT)
    assert bounds is not None
    assert (bounds.lower, bounds.upper) == pytest.approx((0.05, 0.3))


def test_control_rated_more_often() -> None:
    bounds = lee_bounds(share(500, 0.8), share(400, 0.7), share(1000, 0.5), share(1000, 0.4), UNIT)
    assert bounds is not None
    assert (bounds.lower, bounds.upper) == pytest.approx((-0.3, -0.05))


def test_errors_of_both_ends() -> None:
    bounds = lee_bounds(share(400, 0.7), share(500, 0.8), share(1000, 0.4), share(1000, 0.5), UNIT)
    # Own arm: (.5 * .0178885 + .2 * .0158114) / .4; other: .25 * .0154919 / .4 + .0229129.
    assert bounds is not None
    assert bounds.lower_error == pytest.approx(0.0444804, abs=1e-6)
    assert bounds.upper_error == pytest.approx(0.0819392, abs=1e-6)


def test_equal_shares_leave_the_plain_difference() -> None:
    bounds = lee_bounds(share(400, 0.7), share(400, 0.8), share(1000, 0.4), share(1000, 0.4), UNIT)
    assert bounds is not None
    assert (bounds.lower, bounds.upper) == pytest.approx((0.1, 0.1))


def test_other_range() -> None:
    stars = lee_bounds(
        MeanSummary(400, 3.8, 3.36),
        MeanSummary(500, 4.2, 2.56),
        share(1000, 0.4),
        share(1000, 0.5),
        EffectInterval(1.0, 5.0),
    )
    plain = lee_bounds(share(400, 0.7), share(500, 0.8), share(1000, 0.4), share(1000, 0.5), UNIT)
    assert stars is not None
    assert plain is not None
    assert stars == pytest.approx(tuple(4 * value for value in plain))


@pytest.mark.parametrize("rated", [MeanSummary(1000, 0.0, 0.0), MeanSummary(1, 1.0, 0.0)])
def test_arm_without_ratings(rated: MeanSummary) -> None:
    assert lee_bounds(share(9, 0.5), share(9, 0.5), rated, share(1000, 0.4), UNIT) is None


def test_empty_range() -> None:
    with pytest.raises(CountError, match="lowest and highest"):
        lee_bounds(
            share(9, 0.5), share(9, 0.5), share(9, 0.5), share(9, 0.5), EffectInterval(1.0, 1.0)
        )


@given(
    values=st.lists(st.floats(0, 1), min_size=10, max_size=40),
    other=st.floats(0, 1),
    trimmed=st.integers(1, 9),
)
def test_no_rows_with_these_means_trim_to_something_outside(
    values: list[float], other: float, trimmed: int
) -> None:
    n = len(values)
    ranked = np.sort(values)
    worst, best = ranked[: n - trimmed].mean(), ranked[trimmed:].mean()
    bounds = lee_bounds(
        MeanSummary(n, other, 0.1),
        MeanSummary(n, float(ranked.mean()), 0.1),
        share(1000, 0.5 * (n - trimmed) / n),
        share(1000, 0.5),
        UNIT,
    )
    assert bounds is not None
    assert bounds.lower <= worst - other + 1e-9
    assert bounds.upper >= best - other - 1e-9


@given(successes=st.integers(0, 40), trimmed=st.integers(1, 39))
def test_yes_or_no_rows_trim_to_exactly_the_bounds(successes: int, trimmed: int) -> None:
    ranked = np.array([0.0] * (40 - successes) + [1.0] * successes)
    bounds = lee_bounds(
        share(40, 0.5),
        MeanSummary(40, float(ranked.mean()), 0.1),
        share(1000, 0.5 * (40 - trimmed) / 40),
        share(1000, 0.5),
        UNIT,
    )
    assert bounds is not None
    assert bounds.lower == pytest.approx(ranked[: 40 - trimmed].mean() - 0.5, abs=1e-9)
    assert bounds.upper == pytest.approx(ranked[trimmed:].mean() - 0.5, abs=1e-9)


@pytest.mark.parametrize(
    ("control", "treatment", "expected"),
    [
        (share(2000, 0.3), share(2000, 0.45), True),
        (share(2000, 0.3), share(2000, 0.32), False),
        (MeanSummary(500, 1.0, 0.0), MeanSummary(500, 1.0, 0.0), False),
        (MeanSummary(500, 1.0, 0.0), MeanSummary(500, 0.0, 0.0), True),
        (share(1, 0.0), share(2000, 0.3), None),
    ],
)
def test_rated_shares_differ(
    control: MeanSummary, treatment: MeanSummary, expected: bool | None
) -> None:
    assert rated_shares_differ(RatedShares(control, treatment)) is expected
