"""Differences of means and ratios: literal numbers, scipy, tea-tasting, and what must not leak."""

from dataclasses import astuple, fields
from math import inf, isfinite
from typing import Any

import numpy as np
import pytest
import tea_tasting
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tea_tasting.aggr import Aggregates

from experiments.analysis.errors import LevelError, SummaryError
from experiments.analysis.experiment.covariates import compared, covariate_coefficient
from experiments.analysis.experiment.effects import (
    CovariateMeanSummary,
    CovariateRatioSummary,
    EffectProblem,
    MeanSummary,
    RatioSummary,
    adjusted_difference_in_means,
    adjusted_difference_in_ratios,
    difference,
    difference_in_means,
    difference_in_ratios,
    one_sided_bounds,
    relative_sequential_interval,
)

CONTROL = RatioSummary(500, 3.2, 6.1, 8.1, 20.5, 7.3)
TREATMENT = RatioSummary(480, 2.9, 5.7, 8.0, 19.9, 6.9)

# y, x, y0, x0 of twelve and of ten units; some have no history.
CONTROL_ROWS = (
    (9, 13, 3, 13, 0, 16, 8, 1, 4, 5, 5, 4),
    (4, 5, 5, 3, 5, 5, 5, 1, 3, 4, 2, 2),
    (5, 8, 1, 0, 0, 9, 0, 2, 1, 4, 0, 2),
    (2, 3, 2, 0, 2, 3, 0, 2, 1, 3, 0, 1),
)
TREATMENT_ROWS = (
    (10, 12, 12, 6, 11, 8, 7, 19, 11, 5),
    (3, 3, 3, 3, 5, 3, 2, 5, 5, 2),
    (0, 0, 0, 2, 2, 4, 8, 9, 3, 3),
    (0, 0, 0, 2, 2, 2, 3, 3, 2, 2),
)


def with_history(rows: tuple[tuple[int, ...], ...]) -> CovariateRatioSummary:
    array = np.array(rows, dtype=float)
    y, x, y0, x0 = array.mean(axis=1).tolist()
    covariance = tuple(tuple(row) for row in np.cov(array).tolist())
    return CovariateRatioSummary(array.shape[1], (y, x, y0, x0), covariance)


def aggregates(summary: RatioSummary) -> Aggregates:
    return Aggregates(
        summary.n,
        {"y": summary.numerator_mean, "x": summary.denominator_mean},
        {"y": summary.numerator_variance, "x": summary.denominator_variance},
        {("y", "x"): summary.covariance},
    )


def test_difference_in_means_literal() -> None:
    effect = difference_in_means(MeanSummary(120, 5.0, 4.0), MeanSummary(130, 5.6, 5.0))
    assert effect.estimate == pytest.approx(0.6)
    assert effect.standard_error == pytest.approx(0.26794565082283345)
    assert effect.p_value == pytest.approx(0.0260269436951168, rel=1e-9)
    assert effect.confidence_interval == pytest.approx((0.07225826165279, 1.12774173834721))
    assert effect.sequential_interval == pytest.approx((-0.66438018557344, 1.86438018557344))
    assert effect.sequential_p_value == pytest.approx(0.57976114931182)
    assert effect.relative == pytest.approx(0.12)
    assert effect.relative_interval == pytest.approx((0.013769987484137, 0.237361546984669))
    assert (effect.n_control, effect.n_treatment) == (120, 130)


def test_difference_in_means_is_welch() -> None:
    effect = difference_in_means(MeanSummary(40, 5.0, 4.0), MeanSummary(25, 5.9, 9.0), alpha=0.1)
    welch = stats.ttest_ind_from_stats(5.9, 3.0, 25, 5.0, 2.0, 40, equal_var=False)
    assert effect.p_value == pytest.approx(float(welch.pvalue), rel=1e-9)
    # Welch's 37.41 degrees of freedom and their t of 1.68659, times sqrt(4 / 40 + 9 / 25).
    assert effect.confidence_interval == pytest.approx((-0.2439215, 2.0439215), abs=1e-6)


def test_difference_in_ratios_is_the_delta_method_of_tea_tasting() -> None:
    effect = difference_in_ratios(CONTROL, TREATMENT)
    other: Any = tea_tasting.RatioOfMeans("y", "x").analyze_aggregates(
        aggregates(CONTROL), aggregates(TREATMENT)
    )
    assert effect.estimate == pytest.approx(other.effect_size, rel=1e-12)
    assert effect.p_value == pytest.approx(other.pvalue, rel=1e-9)
    assert effect.confidence_interval == pytest.approx(
        (other.effect_size_ci_lower, other.effect_size_ci_upper)
    )
    assert effect.relative == pytest.approx(other.rel_effect_size)
    assert effect.relative_interval == pytest.approx(
        (other.rel_effect_size_ci_lower, other.rel_effect_size_ci_upper)
    )


def test_difference_in_ratios_literal() -> None:
    effect = difference_in_ratios(CONTROL, TREATMENT)
    assert effect.estimate == pytest.approx(-0.0325617283950618)
    assert effect.standard_error == pytest.approx(0.0146793366601396)
    assert effect.sequential_interval == pytest.approx((-0.0820916399969738, 0.0169681832068502))
    assert effect.sequential_p_value == pytest.approx(0.357588892815466)


def test_ratio_with_one_request_a_unit_is_a_mean() -> None:
    ratio = difference_in_ratios(
        RatioSummary(120, 5.0, 4.0, 1.0, 0.0, 0.0), RatioSummary(130, 5.6, 5.0, 1.0, 0.0, 0.0)
    )
    assert ratio == difference_in_means(MeanSummary(120, 5.0, 4.0), MeanSummary(130, 5.6, 5.0))


def test_alpha_and_tuning_size_reach_every_interval() -> None:
    arms = MeanSummary(400, 1.0, 1.0), MeanSummary(400, 1.1, 1.0)
    wide = difference_in_means(*arms)
    narrow = difference_in_means(*arms, alpha=0.2, tuning_sample_size=800)
    for before, after in (
        (wide.confidence_interval, narrow.confidence_interval),
        (wide.sequential_interval, narrow.sequential_interval),
        (wide.relative_interval, narrow.relative_interval),
    ):
        assert before is not None
        assert after is not None
        assert before.lower < after.lower < after.upper < before.upper


def test_cuped_ratio_from_the_rows_themselves() -> None:
    arms = []
    for rows in (CONTROL_ROWS, TREATMENT_ROWS):
        y, x, y0, x0 = np.array(rows, dtype=float)
        now, before = y.mean() / x.mean(), y0.mean() / x0.mean()
        arms.append((now, before, (y - now * x) / x.mean(), (y0 - before * x0) / x0.mean()))
    covariance = sum(float(np.dot(z, c)) for _, _, z, c in arms)
    theta = covariance / sum(float(np.dot(c, c)) for _, _, _, c in arms)
    estimate = arms[1][0] - arms[0][0] - theta * (arms[1][1] - arms[0][1])
    variance = sum(float(np.var(z - theta * c, ddof=1)) / len(z) for _, _, z, c in arms)

    effect = adjusted_difference_in_ratios(with_history(CONTROL_ROWS), with_history(TREATMENT_ROWS))
    assert effect.estimate == pytest.approx(estimate, rel=1e-9)
    assert effect.standard_error == pytest.approx(variance**0.5, rel=1e-9)
    assert effect.estimate == pytest.approx(0.9346913, abs=1e-6)
    assert effect.standard_error == pytest.approx(0.2818465, abs=1e-6)


def test_cuped_mean_literal() -> None:
    control = CovariateMeanSummary(100, 10.0, 9.0, 8.0, 4.0, 4.0)
    treatment = CovariateMeanSummary(100, 11.0, 9.0, 8.4, 4.0, 4.8)
    # theta = (4.0 + 4.8) / (4.0 + 4.0); 11 - 10 - theta 0.4; (4.2 - ...) see the arms' sums.
    assert covariate_coefficient(control, treatment) == pytest.approx(1.1)
    effect = adjusted_difference_in_means(control, treatment)
    assert effect.estimate == pytest.approx(0.56)
    assert effect.standard_error == pytest.approx(
        ((9 + 1.21 * 4 - 2.2 * 4.0) / 100 + (9 + 1.21 * 4 - 2.2 * 4.8) / 100) ** 0.5
    )
    plain = difference_in_means(control.plain(), treatment.plain())
    assert plain.standard_error is not None
    assert effect.standard_error is not None
    assert effect.standard_error < plain.standard_error


def test_cuped_equals_ordinary_least_squares() -> None:
    """y = a + effect * arm + theta * past: arms whose pasts differ by chance, and a true effect of
    2 that a slope fitted over both arms at once would take a part of."""
    rng = np.random.default_rng(8)
    past = np.r_[rng.normal(0, 1, 300), rng.normal(0.5, 1, 200)]
    arm = np.r_[np.zeros(300), np.ones(200)]
    y = 1 + 2 * arm + 1.5 * past + rng.normal(0, 1, 500)
    columns = np.stack([np.ones(500), arm, past], axis=1)
    _, effect, theta = np.linalg.lstsq(columns, y, rcond=None)[0]

    def summary(which: float) -> CovariateMeanSummary:
        mine, before = y[arm == which], past[arm == which]
        covariance = np.cov(mine, before)
        return CovariateMeanSummary(
            len(mine),
            *(float(mine.mean()), float(covariance[0, 0])),
            *(float(before.mean()), float(covariance[1, 1]), float(covariance[0, 1])),
        )

    arms = summary(0.0), summary(1.0)
    assert covariate_coefficient(*arms) == pytest.approx(theta, rel=1e-9)
    assert adjusted_difference_in_means(*arms).estimate == pytest.approx(effect, rel=1e-9)
    pooled = np.cov(y, past)[0, 1] / past.var(ddof=1)
    leaked = (
        arms[1].mean - arms[0].mean - pooled * (arms[1].covariate_mean - arms[0].covariate_mean)
    )
    assert leaked == pytest.approx(effect - 0.117, abs=0.001)


def test_cuped_agrees_with_tea_tasting_where_arms_are_large() -> None:
    rng = np.random.default_rng(7)
    data = []
    for shift in (0.0, 0.2):
        user = rng.normal(size=4000)
        x, x0 = rng.integers(1, 9, 4000), rng.integers(1, 9, 4000)
        y, y0 = (user + shift + 3) * x, (user + 3) * x0
        data.append(np.array([y, x, y0, x0]))
    names = ("y", "x", "y0", "x0")

    def other_arm(array: np.ndarray[Any, Any]) -> Aggregates:
        covariance = np.cov(array)
        return Aggregates(
            array.shape[1],
            dict(zip(names, array.mean(axis=1).tolist(), strict=True)),
            dict(zip(names, np.diag(covariance).tolist(), strict=True)),
            {
                (a, b): float(covariance[i, j])
                for i, a in enumerate(names)
                for j, b in enumerate(names)
                if i < j
            },
        )

    other: Any = tea_tasting.RatioOfMeans("y", "x", "y0", "x0").analyze_aggregates(
        *(other_arm(array) for array in data)
    )
    effect = adjusted_difference_in_ratios(
        *(with_history(tuple(map(tuple, array.tolist()))) for array in data)
    )
    assert effect.estimate == pytest.approx(other.effect_size, rel=1e-3)
    assert effect.confidence_interval == pytest.approx(
        (other.effect_size_ci_lower, other.effect_size_ci_upper), rel=1e-2
    )


def test_cuped_intervals_cover_the_truth_and_are_narrower() -> None:
    rng = np.random.default_rng(21)
    covered, errors = 0, np.zeros(2)
    for _ in range(400):
        arms = []
        for gain in (0.0, 0.5):
            user = rng.normal(size=150)
            x, x0 = rng.integers(1, 9, 150), rng.integers(0, 9, 150)
            y, y0 = (
                rng.poisson(np.exp(0.5 * user) * x) + gain * x,
                rng.poisson(np.exp(0.5 * user) * x0),
            )
            arms.append(with_history(tuple(map(tuple, np.array([y, x, y0, x0]).tolist()))))
        effect = adjusted_difference_in_ratios(*arms)
        plain = difference_in_ratios(*(arm.plain() for arm in arms))
        assert effect.confidence_interval is not None
        covered += effect.confidence_interval.lower < 0.5 < effect.confidence_interval.upper
        errors += effect.standard_error or 0.0, plain.standard_error or 0.0
    assert covered / 400 == pytest.approx(0.95, abs=0.025)
    assert errors[0] / errors[1] == pytest.approx(0.876, abs=0.01)


def test_cuped_without_history_is_the_plain_ratio() -> None:
    blank = tuple(tuple(0 for _ in row) for row in TREATMENT_ROWS[2:])
    control, treatment = with_history(CONTROL_ROWS), with_history((*TREATMENT_ROWS[:2], *blank))
    assert adjusted_difference_in_ratios(control, treatment) == difference_in_ratios(
        control.plain(), treatment.plain()
    )


def test_cuped_covariate_without_variation_changes_nothing() -> None:
    control = CovariateMeanSummary(100, 10.0, 9.0, 8.0, 0.0, 0.0)
    treatment = CovariateMeanSummary(100, 11.0, 9.0, 8.0, 0.0, 0.0)
    assert adjusted_difference_in_means(control, treatment) == difference_in_means(
        control.plain(), treatment.plain()
    )


def test_arms_summarised_differently() -> None:
    with pytest.raises(SummaryError, match="both arms the same way"):
        difference(MeanSummary(10, 1.0, 1.0), CONTROL)


@pytest.mark.parametrize(("n_control", "n_treatment"), [(0, 0), (0, 10), (1, 10), (10, 1), (1, 1)])
def test_too_few_units(n_control: int, n_treatment: int) -> None:
    effect = difference_in_means(
        MeanSummary(n_control, 1.0, 0.5), MeanSummary(n_treatment, 2.0, 0.5)
    )
    assert effect.problem is EffectProblem.TOO_FEW_UNITS
    assert astuple(effect) == (*[None] * 8, n_control, n_treatment)


def test_two_units_an_arm_are_enough_for_welch() -> None:
    effect = difference_in_means(MeanSummary(2, 1.0, 0.5), MeanSummary(2, 2.0, 0.5))
    assert effect.problem is None
    assert effect.p_value == pytest.approx(0.29289321881345)


def test_denominator_of_zero() -> None:
    effect = difference_in_ratios(RatioSummary(50, 0.0, 0.0, 0.0, 0.0, 0.0), TREATMENT)
    assert effect.problem is EffectProblem.NO_DENOMINATOR
    assert effect.estimate is None


def test_no_variation_gives_the_estimate_and_no_certainty() -> None:
    effect = difference_in_means(MeanSummary(500, 1.0, 0.0), MeanSummary(500, 0.0, 0.0))
    assert effect.problem is EffectProblem.NO_VARIATION
    assert (effect.estimate, effect.standard_error, effect.relative) == (-1.0, 0.0, -1.0)
    assert effect.p_value is None
    assert effect.confidence_interval is None
    assert effect.sequential_interval is None
    assert one_sided_bounds(effect, alpha=0.05) is None


def test_variance_that_is_only_rounding_error_is_no_variation() -> None:
    variance = float(np.var(np.full(1000, 0.1), ddof=1))
    effect = difference_in_means(MeanSummary(1000, 0.1, variance), MeanSummary(1000, 0.1, 0.0))
    assert effect.problem is EffectProblem.NO_VARIATION


def test_variation_in_one_arm_only_is_enough() -> None:
    effect = difference_in_means(MeanSummary(100, 1.0, 0.0), MeanSummary(100, 1.2, 1.0))
    assert effect.standard_error == pytest.approx(0.1)
    assert effect.p_value == pytest.approx(0.04823949, abs=1e-6)


@pytest.mark.parametrize("mean", [0.0, -2.0])
def test_no_lift_over_a_control_of_zero_or_less(mean: float) -> None:
    effect = difference_in_means(MeanSummary(100, mean, 1.0), MeanSummary(100, 1.0, 1.0))
    assert effect.relative is None
    assert effect.relative_interval is None
    assert effect.p_value is not None


def test_lift_down_to_zero_has_no_interval() -> None:
    effect = difference_in_means(MeanSummary(100, 2.0, 1.0), MeanSummary(100, 0.0, 1.0))
    assert effect.relative == -1.0
    assert effect.relative_interval is None


def test_one_sided_bounds_literal() -> None:
    effect = difference_in_means(MeanSummary(2500, 1.0, 1.0), MeanSummary(2500, 1.0, 1.0))
    bounds = one_sided_bounds(effect, alpha=0.05)
    # 2.7790942 standard errors of sqrt(2 / 2500).
    assert bounds == pytest.approx((-0.07860465, 0.07860465), abs=1e-7)


def test_always_valid_lift_is_wider_than_the_fixed_one() -> None:
    pair = compared(CONTROL, TREATMENT)
    assert pair is not None
    lift = relative_sequential_interval(pair, alpha=0.05)
    fixed = difference_in_ratios(CONTROL, TREATMENT).relative_interval
    assert lift is not None
    assert fixed is not None
    assert lift.lower < fixed.lower < fixed.upper < lift.upper


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0])
def test_effect_level_outside_its_range(alpha: float) -> None:
    with pytest.raises(LevelError, match="between 0 and 1"):
        difference_in_means(MeanSummary(9, 1.0, 1.0), MeanSummary(9, 1.0, 1.0), alpha=alpha)


means = st.floats(-1e6, 1e6, allow_subnormal=True)
variances = st.floats(0, 1e9, allow_subnormal=True)
summaries = st.builds(MeanSummary, st.integers(0, 10_000_000), means, variances)


@given(summaries, summaries)
def test_nothing_that_is_not_a_number_leaks_out(
    control: MeanSummary, treatment: MeanSummary
) -> None:
    effect = difference_in_means(control, treatment)
    for field in fields(effect):
        value = getattr(effect, field.name)
        for number in value if isinstance(value, tuple) else (value,):
            assert number is None or isfinite(number)
    assert (effect.problem is None) == (effect.sequential_interval is not None)


@given(summaries, summaries)
def test_exchanged_arms_turn_the_sign(control: MeanSummary, treatment: MeanSummary) -> None:
    there, back = difference_in_means(control, treatment), difference_in_means(treatment, control)
    assert there.problem is back.problem
    if there.estimate is not None and back.estimate is not None:
        assert there.estimate == -back.estimate
    if there.p_value is not None:
        assert there.p_value == pytest.approx(back.p_value, rel=1e-6)


@given(summaries, summaries)
def test_estimate_lies_in_its_intervals_and_always_valid_is_the_wider(
    control: MeanSummary, treatment: MeanSummary
) -> None:
    effect = difference_in_means(control, treatment)
    if effect.estimate is None or effect.sequential_interval is None:
        return
    lower, upper = effect.sequential_interval
    assert -inf < lower <= effect.estimate <= upper < inf
    if min(control.n, treatment.n) > 30 and effect.confidence_interval is not None:
        assert lower <= effect.confidence_interval.lower
