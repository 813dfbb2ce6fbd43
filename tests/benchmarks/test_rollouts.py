"""The simulated rollouts end as their known truth says."""

import numpy as np
import pytest

from benchmarks.rollouts import TABLES, World, main, run


def ends(world: World, runs: int = 4) -> set[str]:
    return {run(np.random.default_rng([5, number]), world).how for number in range(runs)}


FAST = World(per_day=600, rated=1.0)


def test_without_harm_they_complete() -> None:
    assert ends(FAST) == {"completed"}


def test_a_drift_of_all_traffic_rolls_nothing_back() -> None:
    assert "rolled back" not in ends(FAST._replace(drift=0.1))


def test_a_loss_of_twice_the_margin_completes_nowhere() -> None:
    assert "completed" not in ends(FAST._replace(loss=0.06, days=25))


def test_a_great_loss_is_rolled_back() -> None:
    assert ends(FAST._replace(loss=0.3, days=10)) == {"rolled back"}


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(TABLES) == {"calls", "units", "days", "drift-3", "drift-1"}
    main(["--only", "calls", "--runs", "5"])
    printed = capsys.readouterr().out
    assert "| 100 % | 1 % | 5 | 5 |" in printed
