"""Health checks: sample ratio at every look, exposures, units, ratings, prices, traffic."""

from math import comb, exp, isfinite

import pytest
from scipy import stats

from experiments.analysis.errors import CountError
from experiments.analysis.experiment.health import (
    CheckStatus,
    Health,
    HealthCheck,
    HealthCode,
    UnitTable,
    check_multiple_exposures,
    check_price_coverage,
    check_rated_share,
    check_sample_ratio,
    check_traffic,
    check_units,
    log_e_values,
    sample_ratio,
)
from experiments.analysis.experiment.lee_bounds import RatedShares
from experiments.analysis.experiment.summaries import RatioSummary
from experiments.experimentation.text import health_message

HALVES = (0.5, 0.5)


def rated_share(n: int, share: float) -> RatioSummary:
    """`n` units with ten decisions each; ratings at random."""
    return RatioSummary(n, 10 * share, 10 * share * (1 - share), 10.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("counts", "weights", "log_e"),
    [
        ((520, 480), HALVES, -0.47312523),
        ((5210, 4790), HALVES, 6.42602179),
        ((5300, 4700), HALVES, 15.52401168),
        ((300, 500, 200), (0.3, 0.5, 0.2), -2.40496551),
        ((60, 40), HALVES, 0.65889182),
        ((0, 0), HALVES, 0.0),
    ],
)
def test_sample_ratio_e_value(
    counts: tuple[int, ...], weights: tuple[float, ...], log_e: float
) -> None:
    assert sample_ratio(UnitTable("all", counts, weights)).log_e_value == pytest.approx(
        log_e, abs=1e-6
    )


@pytest.mark.parametrize("weights", [HALVES, (0.9, 0.1), (0.25, 0.75)])
def test_e_value_is_one_on_average_when_the_split_is_sound(weights: tuple[float, float]) -> None:
    n = 60
    average = sum(
        comb(n, k)
        * weights[0] ** k
        * weights[1] ** (n - k)
        * exp(log_e_values((k, n - k), weights))
        for k in range(n + 1)
    )
    assert average == pytest.approx(1.0, rel=1e-9)


def test_e_values_of_many_days_at_once() -> None:
    days = log_e_values([[52, 48], [520, 480], [5300, 4700]], HALVES)
    assert days.tolist() == pytest.approx([-0.30762, -0.47313, 15.52401], abs=1e-4)


def test_sample_ratio_alarms_at_a_hundred_and_with_eight_tables_at_eight_hundred() -> None:
    table = UnitTable("all", (5210, 4790), HALVES)
    alone, among_eight = sample_ratio(table), sample_ratio(table, tables=8)
    assert (alone.threshold, among_eight.threshold) == (100.0, 800.0)
    assert alone.e_value == pytest.approx(617.71, abs=0.01)
    assert (alone.alarm, among_eight.alarm) == (True, False)


def test_chi_square_equals_scipys() -> None:
    result = sample_ratio(UnitTable("all", (320, 480, 200), (0.3, 0.5, 0.2)))
    expected = stats.chisquare([320, 480, 200], [300, 500, 200]).pvalue
    assert result.chi_square_p_value == pytest.approx(float(expected), rel=1e-9)
    assert result.expected == pytest.approx((300.0, 500.0, 200.0))


def test_weights_need_not_sum_to_one() -> None:
    assert sample_ratio(UnitTable("all", (60, 40), (2, 2))) == sample_ratio(
        UnitTable("all", (60, 40), HALVES)
    )


def test_split_beyond_any_float_stays_a_number() -> None:
    result = sample_ratio(UnitTable("all", (10_000_000, 0), HALVES))
    assert result.alarm
    assert isfinite(result.e_value)


@pytest.mark.parametrize(
    ("counts", "weights"),
    [((1, 2), (1.0,)), ((1, 2), (1.0, 0.0)), ((1, 2), (0.5, -0.5)), ((), ())],
)
def test_weights_that_do_not_fit(counts: tuple[int, ...], weights: tuple[float, ...]) -> None:
    with pytest.raises(CountError, match="one weight above 0 for every arm"):
        sample_ratio(UnitTable("all", counts, weights))


def test_counts_below_zero() -> None:
    with pytest.raises(CountError, match="below 0"):
        sample_ratio(UnitTable("all", (-1, 2), HALVES))


def test_sample_ratio_check_names_the_worst_table() -> None:
    check = check_sample_ratio(
        [UnitTable("all", (5000, 5010), HALVES), UnitTable("medical", (900, 1400), HALVES)]
    )
    assert check.status is CheckStatus.ALARM
    assert check.limit == 200.0
    assert "In medical 900 to 1,400 units" in health_message(check)
    assert "1,150 to 1,150 were expected" in health_message(check)


def test_sample_ratio_check_passes_a_sound_split() -> None:
    assert check_sample_ratio([UnitTable("all", (5000, 5010), HALVES)]).status is CheckStatus.OK


def test_sample_ratio_check_without_a_table() -> None:
    with pytest.raises(CountError, match="experiment's own"):
        check_sample_ratio([])


@pytest.mark.parametrize(
    ("excluded", "units", "status"),
    [(0, 0, CheckStatus.OK), (9, 991, CheckStatus.OK), (11, 989, CheckStatus.ALARM)],
)
def test_multiple_exposures(excluded: int, units: int, status: CheckStatus) -> None:
    check = check_multiple_exposures(excluded, units)
    assert check.status is status
    assert check.value == pytest.approx(excluded / 1000)


def test_nothing_amiss_is_said_without_numbers() -> None:
    assert health_message(check_multiple_exposures(0, 400)) == "Each unit saw one arm."
    assert health_message(check_price_coverage({"a": (40, 40)})) == "Every decision has a price."


def test_fewer_than_fifty_units() -> None:
    check = check_units({"control": 50, "local": 49})
    assert check.status is CheckStatus.WARNING
    assert health_message(check) == 'The arm "local" has 49 units; results are shown from 50.'
    assert check_units({"control": 50, "local": 50}).status is CheckStatus.OK


def test_units_of_no_arm() -> None:
    with pytest.raises(CountError, match="0 included"):
        check_units({})


def test_rated_share_that_differs() -> None:
    check = check_rated_share(RatedShares(rated_share(2000, 0.30), rated_share(2000, 0.36)))
    assert check.status is CheckStatus.WARNING
    assert check.value == pytest.approx(0.06)
    assert "30.0 % of the control's decisions are rated and 36.0 %" in health_message(check)


def test_rated_share_that_does_not_differ() -> None:
    check = check_rated_share(RatedShares(rated_share(2000, 0.30), rated_share(2000, 0.302)))
    assert check.status is CheckStatus.OK
    assert (
        health_message(check)
        == "The shares of rated decisions show no difference between the arms."
    )


def test_rated_share_without_decisions() -> None:
    nothing = RatioSummary(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    check = check_rated_share(RatedShares(nothing, nothing))
    assert (check.status, check.value) == (CheckStatus.OK, None)


def test_price_coverage_of_the_worst_arm() -> None:
    check = check_price_coverage({"control": (1000, 1000), "local": (900, 1000)})
    assert check.status is CheckStatus.ALARM
    assert health_message(check).startswith('Only 90.0 % of the decisions of "local" have a price.')
    assert check_price_coverage({"control": (96, 100), "local": (0, 0)}).status is CheckStatus.OK


@pytest.mark.parametrize(("hours", "status"), [(3.0, CheckStatus.OK), (30.0, CheckStatus.WARNING)])
def test_traffic(hours: float, status: CheckStatus) -> None:
    assert check_traffic(hours).status is status


def test_traffic_is_not_missed_while_windows_are_open() -> None:
    check = check_traffic(72.0, waiting=3)
    assert check.status is CheckStatus.OK
    assert health_message(check) == "No request has arrived for 72 hours; windows are still open."


def test_only_alarms_make_an_experiment_unhealthy() -> None:
    few = check_units({"control": 3})
    assert Health((few,)).healthy
    broken = HealthCheck(HealthCode.SAMPLE_RATIO, CheckStatus.ALARM, 1e9, 100.0)
    assert Health((few, broken)).alarms == (broken,)
    assert not Health((few, broken)).healthy


def test_stopped_traffic_is_found_among_the_checks() -> None:
    stopped = check_traffic(99.0)
    assert Health((check_units({"a": 99}), stopped)).traffic_stopped == stopped
    assert Health((check_traffic(1.0),)).traffic_stopped is None


def test_a_share_at_its_limit_passes() -> None:
    assert check_multiple_exposures(1, 99).status is CheckStatus.OK
    assert check_price_coverage({"control": (95, 100)}).status is CheckStatus.OK
    assert health_message(check_traffic(24.0)) == "Requests are arriving."
    assert health_message(check_traffic(24.0, waiting=1)) == "Requests are arriving."


def test_one_unit_or_several_were_seen_in_two_arms() -> None:
    assert health_message(check_multiple_exposures(1, 999)) == (
        "1 unit was seen in two arms and is left out (0.1 %)."
    )
    assert health_message(check_multiple_exposures(2, 998)) == (
        "2 units were seen in two arms and are left out (0.2 %)."
    )


def test_one_arm_alone_has_no_chi_square() -> None:
    assert sample_ratio(UnitTable("all", (7,), (1.0,))).chi_square_p_value == 1.0


def test_no_units_fit_any_split() -> None:
    assert sample_ratio(UnitTable("all", (0, 0), HALVES)).chi_square_p_value == 1.0


def test_one_unit_has_a_chi_square_of_one() -> None:
    """(1 - 0.5)^2 / 0.5 twice is 1, which 31.7 % of samples exceed."""
    result = sample_ratio(UnitTable("all", (1, 0), HALVES))
    assert result.chi_square_p_value == pytest.approx(0.31731051, abs=1e-8)


def test_an_e_value_is_cut_at_the_exponent_700() -> None:
    assert sample_ratio(UnitTable("all", (10_000_000, 0), HALVES)).e_value == exp(700)


def test_the_rated_shares_need_decisions_in_both_arms() -> None:
    nothing = RatioSummary(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert check_rated_share(RatedShares(rated_share(2000, 0.3), nothing)).value is None
    assert check_rated_share(RatedShares(nothing, rated_share(2000, 0.3))).value is None


def test_prices_say_which_share_is_covered_at_least() -> None:
    check = check_price_coverage({"control": (96, 100), "local": (100, 100)})
    assert health_message(check) == "At least 96.0 % of every arm's decisions have a price."


def test_traffic_that_stopped_says_for_how_long() -> None:
    assert health_message(check_traffic(30.4)).startswith("No request has arrived for 30 hours. ")


def test_without_decisions_no_price_is_missing() -> None:
    check = check_price_coverage({"control": (0, 0)})
    assert (check.status, check.value) == (CheckStatus.OK, 1.0)
