"""Always-valid formulas: literal numbers, and the properties that make them usable."""

from math import sqrt
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.errors import LevelError
from experiments.analysis.experiment.sequential import (
    half_width,
    one_sided_half_width,
    p_value,
    phase_alpha,
    tuning_parameter,
)


def test_tuning_parameter() -> None:
    assert tuning_parameter(0.05, 5000) == pytest.approx(0.001587230920347513, rel=1e-12)


@pytest.mark.parametrize(
    ("error", "n", "alpha", "tuning", "two_sided", "one_sided"),
    [
        (1.0, 5000, 0.05, 5000, 3.0352089903762534, 2.7790942353135213),
        (0.01, 2000, 0.05, 5000, 0.031237790916747294, 0.02886013961342834),
        (0.5, 250, 0.05, 5000, 2.3593967315585416, 2.291131602940597),
        (0.01, 20000, 0.025, 8000, 0.03321525272314288, 0.030832273594261876),
    ],
)
def test_half_widths(
    error: float, n: int, alpha: float, tuning: int, two_sided: float, one_sided: float
) -> None:
    level = {"alpha": alpha, "tuning_sample_size": tuning}
    assert half_width(error, n, **level) == pytest.approx(two_sided, rel=1e-12)
    assert one_sided_half_width(error, n, **level) == pytest.approx(one_sided, rel=1e-12)


@pytest.mark.parametrize(
    ("z", "n", "expected"),
    [
        (3.0, 5000, 0.054947614547404836),
        (-3.0, 5000, 0.054947614547404836),
        (2.0, 5000, 0.5060410918018466),
        (4.5, 800, 0.005224573747321752),
        (0.0, 5000, 1.0),
        (1e6, 5000, 0.0),
    ],
)
def test_p_value(z: float, n: int, expected: float) -> None:
    assert p_value(z, n, alpha=0.05) == pytest.approx(expected, rel=1e-10)


@given(
    n=st.integers(2, 10_000_000),
    alpha=st.floats(1e-4, 0.2),
    tuning=st.integers(10, 1_000_000),
    z=st.floats(-20, 20),
)
def test_p_value_below_alpha_exactly_when_interval_misses_zero(
    n: int, alpha: float, tuning: int, z: float
) -> None:
    half = half_width(1.0, n, alpha=alpha, tuning_sample_size=tuning)
    if abs(abs(z) - half) > 1e-9:
        p = p_value(z, n, alpha=alpha, tuning_sample_size=tuning)
        assert (p < alpha) == (abs(z) > half)


@given(n=st.integers(2, 10_000_000), alpha=st.floats(1e-4, 0.2))
def test_every_bound_is_wider_than_that_of_a_single_look(n: int, alpha: float) -> None:
    normal = NormalDist()
    assert one_sided_half_width(1.0, n, alpha=alpha) > normal.inv_cdf(1 - alpha)
    assert half_width(1.0, n, alpha=alpha) > normal.inv_cdf(1 - alpha / 2)


@given(alpha=st.floats(1e-4, 0.4))
def test_interval_is_tightest_near_the_tuning_size(alpha: float) -> None:
    tuned = half_width(1.0, 5000, alpha=alpha, tuning_sample_size=5000)
    for other in (50, 500, 50_000, 500_000):
        assert tuned <= half_width(1.0, 5000, alpha=alpha, tuning_sample_size=other) * 1.005


def test_interval_shrinks_as_units_arrive() -> None:
    widths = [half_width(2 / sqrt(n), n, alpha=0.05) for n in (100, 1000, 10_000, 100_000)]
    assert widths == sorted(widths, reverse=True)


def test_phases_together_spend_alpha() -> None:
    assert phase_alpha(0.05, 1) == pytest.approx(0.025)
    assert phase_alpha(0.05, 2) == pytest.approx(0.05 / 6)
    assert phase_alpha(0.05, 3) == pytest.approx(0.05 / 12)
    assert sum(phase_alpha(0.05, phase) for phase in range(1, 10_001)) < 0.05


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_level_outside_its_range(alpha: float) -> None:
    with pytest.raises(LevelError, match="between 0 and"):
        half_width(1.0, 100, alpha=alpha)


def test_one_sided_level_of_a_half_says_nothing() -> None:
    with pytest.raises(LevelError, match=r"0\.5"):
        one_sided_half_width(1.0, 100, alpha=0.5)


@pytest.mark.parametrize("size", [0, -1, float("nan"), float("inf")])
def test_tuning_size_outside_its_range(size: float) -> None:
    with pytest.raises(LevelError, match="both arms"):
        half_width(1.0, 100, alpha=0.05, tuning_sample_size=size)


def test_phase_zero() -> None:
    with pytest.raises(LevelError, match="count from 1"):
        phase_alpha(0.05, 0)
