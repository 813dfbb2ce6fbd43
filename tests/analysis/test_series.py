"""Results over time: one point per day and phase, at the level its phase may spend."""

from datetime import date

import pytest

from experiments.analysis.experiment.effects import difference_in_means
from experiments.analysis.experiment.series import InterimResult, over_time
from experiments.analysis.experiment.summaries import MeanSummary


def arms(n: int) -> tuple[MeanSummary, MeanSummary]:
    return MeanSummary(n, 1.0, 1.0), MeanSummary(n, 1.1, 1.0)


def test_points_are_in_order_of_day() -> None:
    looks = [InterimResult(date(2026, 11, day), 1, *arms(100 * day)) for day in (3, 1, 2)]
    points = over_time(looks)
    assert [point.day.day for point in points] == [1, 2, 3]
    assert [point.effect.n_control for point in points] == [100, 200, 300]


def test_band_is_at_the_level_of_the_phase_split_by_treatments() -> None:
    looks = [InterimResult(date(2026, 11, phase), phase, *arms(500)) for phase in (1, 2)]
    first, second = over_time(looks, alpha=0.05, treatments=2)
    assert first.effect == difference_in_means(*arms(500), alpha=0.0125)
    assert second.effect == difference_in_means(*arms(500), alpha=0.05 / 12)


def test_day_without_enough_data_has_an_empty_effect() -> None:
    (point,) = over_time([InterimResult(date(2026, 11, 1), 1, *arms(1))])
    assert point.effect.estimate is None


def test_band_narrows_as_units_arrive() -> None:
    points = over_time(
        [InterimResult(date(2026, 11, day), 1, *arms(50 * day)) for day in range(1, 29)]
    )
    widths = [
        interval.upper - interval.lower
        for point in points
        if (interval := point.effect.sequential_interval) is not None
    ]
    assert len(widths) == 28
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == pytest.approx(0.2501951, abs=1e-6)
