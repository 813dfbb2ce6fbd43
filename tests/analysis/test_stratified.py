"""Treated against controls within cells: estimates, units that come back, drift."""

from collections.abc import Sequence

import numpy as np
import pytest

from experiments.analysis.experiment.effects import EffectInterval
from experiments.analysis.rollout.stratified import Observations, compare

SHARE = EffectInterval(0.0, 1.0)


def rows(
    *groups: tuple[int, bool, Sequence[float]], units: list[int] | None = None
) -> Observations:
    """Groups of one value each: cell, whether treated, values."""
    cell = np.concatenate([np.full(len(values), number) for number, _, values in groups])
    treated = np.concatenate([np.full(len(values), side) for _, side, values in groups])
    total = np.concatenate([np.array(values, float) for _, _, values in groups])
    unit = np.arange(len(total)) if units is None else np.array(units)
    return Observations(unit, cell.astype(np.int64), treated, total, np.ones(len(total)))


def test_one_cell_is_the_difference_of_means() -> None:
    found = compare(rows((0, False, [1, 1, 0, 1]), (0, True, [0, 1, 0, 0])), SHARE)
    assert found is not None
    assert found.estimate == pytest.approx(-0.5)
    assert (found.control.mean, found.treated.mean) == (0.75, 0.25)
    assert (found.information, found.size) == (2.0, 8)


def test_cells_are_combined_by_their_weights() -> None:
    # Weights 2 * 2 / 4 = 1 and 1 * 3 / 4 = 0.75; differences 0.5 and -1.
    found = compare(
        rows((0, False, [0, 1]), (0, True, [1, 1]), (1, False, [1]), (1, True, [0, 0, 0])),
        SHARE,
    )
    assert found is not None
    assert found.estimate == pytest.approx((1 * 0.5 - 0.75 * 1) / 1.75)
    assert found.information == 1.75


def test_a_drift_between_cells_is_no_effect() -> None:
    """Both sides fall while the treated become more: pooled that looks like harm."""
    early = (0, False, [1] * 9 + [0]), (0, True, [1] * 9 + [0])
    late = (1, False, [1, 0]), (1, True, [1] * 50 + [0] * 50)
    found = compare(rows(*early, *late), SHARE)
    assert found is not None
    assert found.estimate == pytest.approx(0.0, abs=1e-12)


def test_a_unit_that_comes_back_counts_once() -> None:
    once = rows((0, False, [0, 1] * 20), (0, True, [0, 1] * 20))
    again = rows(
        *[(day, side, [0, 1] * 20) for day in range(4) for side in (False, True)],
        units=[*range(80)] * 4,
    )
    single, repeated = compare(once, SHARE), compare(again, SHARE)
    assert single is not None
    assert repeated is not None
    assert repeated.standard_error == pytest.approx(single.standard_error, rel=0.05)
    assert (repeated.treated.n, repeated.treated_rows) == (40, 160)


def test_a_control_that_is_treated_later_adds_up() -> None:
    """Its luck counts against the treated first and for them later, so it cancels in part."""
    values = [0, 1] * 20
    cells = [(0, False, values), (0, True, values), (1, False, values), (1, True, values)]
    same = compare(rows(*cells, units=[*range(80), *range(80)]), SHARE)
    crossed = compare(rows(*cells, units=[*range(80), *range(80, 120), *range(40)]), SHARE)
    assert same is not None
    assert crossed is not None
    assert crossed.standard_error < same.standard_error


@pytest.mark.parametrize(
    "seen",
    [
        rows((0, False, [])),
        rows((0, False, [1, 0, 1])),
        rows((0, False, [1]), (1, True, [1])),
        rows((0, False, [1]), (0, True, [1])),
    ],
)
def test_without_both_sides_in_a_cell_there_is_nothing(seen: Observations) -> None:
    assert compare(seen, SHARE) is None


def test_rows_without_a_value_are_left_out() -> None:
    seen = rows((0, False, [1, 1, 0, 1, 1]), (0, True, [0, 1, 0, 0, 0]))
    counts = np.array([1, 1, 1, 1, 0, 1, 1, 1, 1, 0], float)
    found = compare(
        Observations(seen.unit, seen.cell, seen.treated, seen.total * counts, counts), SHARE
    )
    assert found is not None
    assert found.estimate == pytest.approx(-0.5)


def test_a_side_that_never_failed_can_still_fail() -> None:
    found = compare(rows((0, False, [1] * 200), (0, True, [1] * 10)), SHARE)
    assert found is not None
    assert found.estimate == 0
    assert found.standard_error == pytest.approx(0.1001, abs=0.001)


def test_it_agrees_with_least_squares_with_errors_by_unit() -> None:
    """One effect, a mean for each cell, errors clustered by unit (Liang and Zeger)."""
    rng = np.random.default_rng(7)
    units, days = 60, 5
    unit, cell = np.repeat(np.arange(units), days), np.tile(np.arange(days), units)
    treated = unit % 3 == 0
    value = (rng.random(units * days) < 0.6 + 0.05 * cell / days - 0.1 * treated).astype(float)
    found = compare(Observations(unit, cell, treated, value, np.ones(len(value))), SHARE)
    design = np.column_stack([treated, *[cell == day for day in range(days)]]).astype(float)
    bread = np.linalg.inv(design.T @ design)
    coefficients = bread @ design.T @ value
    scores = design * (value - design @ coefficients)[:, None]
    by_unit = np.array([scores[unit == one].sum(axis=0) for one in range(units)])
    variance = (bread @ by_unit.T @ by_unit @ bread)[0, 0] * len(value) / (len(value) - days - 1)
    assert found is not None
    assert found.estimate == pytest.approx(coefficients[0])
    # Beyond it only what one more unit at each end of the range adds to both sides.
    assert variance < found.standard_error**2 < variance + 2 / 20**2 + 2 / 40**2
