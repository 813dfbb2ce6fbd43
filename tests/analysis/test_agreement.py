"""Agreement of a judge with people: who took which side, and how sure."""

import pytest

from experiments.analysis.agreement import agreement, proportion


def test_sides_are_counted_and_the_undecided_left_out() -> None:
    found = agreement([(1, 1), (0.8, 0.75), (0, 0.25), (1, 0), (0.2, 1), (0.5, 1), (1, 0.5)])
    assert found == (2, 1, 1, 1, 2)
    assert (found.n, found.agreed, found.is_enough) == (5, 3, False)
    # People are for it in 3 of 5, and so is the judge.
    assert found.by_chance == pytest.approx(0.6 * 0.6 + 0.4 * 0.4)


def test_of_nothing_there_is_no_share() -> None:
    found = agreement([(0.5, 0.5)])
    assert (found.n, found.share, found.by_chance) == (0, None, None)


def test_wilsons_interval() -> None:
    """Newcombe (1998), example: 81 of 263 gives 0.2553 to 0.3662."""
    found = proportion(81, 263)
    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)
    everything = proportion(10, 10)
    assert everything is not None
    assert (round(everything.low, 3), everything.high) == (0.722, 1.0)
    assert proportion(0, 0) is None


def test_thirty_are_enough() -> None:
    assert not agreement([(1, 1)] * 29).is_enough
    assert agreement([(1, 1)] * 30).is_enough
