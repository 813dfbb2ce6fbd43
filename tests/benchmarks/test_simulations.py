"""The simulations run, repeat themselves, and show what the documentation says they show."""

import numpy as np
import pytest

from benchmarks import intervals, sample_ratio, simulations, verdicts
from benchmarks.tables import batches, share
from benchmarks.worlds import Truth, cumulated, draw_arm
from experiments.analysis.experiment.summaries import RatioSummary


def rows(name: str, runs: int) -> list[str]:
    rng = np.random.default_rng(1)
    return list(simulations.TABLES[name].rows(rng, runs))


def test_same_seed_prints_the_same_table() -> None:
    assert rows("srm", 20) == rows("srm", 20)


def test_coverage_has_a_row_for_each_metric_and_size() -> None:
    assert len(rows("coverage", 4)) == 1 + 3 * 3


def test_share_is_reported_with_its_standard_error() -> None:
    assert share(5, 100) == "5.0 % (2.2)"


def test_batches_sum_to_the_runs() -> None:
    assert list(batches(120)) == [50, 50, 20]


def test_moments_of_the_last_day_are_those_of_all_units() -> None:
    rng = np.random.default_rng(3)
    y, x = rng.random((2, 3, 5)), rng.random((2, 3, 5))
    summary = cumulated(y, x).summary(1, 2)
    covariance = np.cov(y[1].ravel(), x[1].ravel())
    expected = RatioSummary(
        15, y[1].mean(), covariance[0, 0], x[1].mean(), covariance[1, 1], covariance[0, 1]
    )
    assert summary.n == expected.n
    assert summary.numerator_variance == pytest.approx(expected.numerator_variance)
    assert summary.covariance == pytest.approx(expected.covariance)


def test_drawn_arms_are_as_true_as_they_claim() -> None:
    arm = draw_arm(np.random.default_rng(5), Truth(), runs=1, days=1, per_day=200_000)
    assert arm.cost.estimates()[0][0, 0] == pytest.approx(0.001, rel=0.03)
    assert arm.quality.estimates()[0][0, 0] == pytest.approx(0.8, abs=0.004)
    assert arm.failures(0, 0).mean == pytest.approx(0.02, abs=0.002)


def test_peeking_ships_what_the_verdict_does_not() -> None:
    rng, case = np.random.default_rng(8), verdicts.CASES[0]
    phases = [verdicts.draw_phase(rng, case, 25)]
    wrong = [verdicts.verdicts_of(case, phases, run) for run in range(25)]
    assert sum(bool(seen) for seen in wrong) <= 2
    assert verdicts.peeking_ships(case, phases[0]).sum() >= 3


def test_sound_splits_rarely_alarm_and_broken_ones_do() -> None:
    rng = np.random.default_rng(9)
    sound, broken = (sample_ratio.draw(rng, 100, kept) for kept in (1.0, 0.9))
    assert sample_ratio.sequential_alarms(sound).sum() <= 3
    assert sample_ratio.sequential_alarms(broken).sum() >= 10


def test_metrics_of_the_coverage_table_have_the_truth_they_claim() -> None:
    rng = np.random.default_rng(11)
    for metric in intervals.METRICS[1:]:
        values = [metric.draw(rng, (1, 1, 200_000), treated) for treated in (False, True)]
        control, treatment = (y.sum() / x.sum() for y, x in values)
        assert treatment - control == pytest.approx(metric.truth, abs=0.005)
