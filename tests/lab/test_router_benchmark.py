"""Baselines of `benchmark_routers`."""

import numpy as np
import pytest

from experiments.lab.evaluation_inputs import as_columns
from experiments.lab.router_benchmark import SingleModel, benchmark, hull_quality, pair_as_singles
from experiments.routers.outcomes import PromptOutcome, from_rows

SMALL = SingleModel("small", 0.5, 1.0)
MIDDLE = SingleModel("middle", 0.6, 4.0)
LARGE = SingleModel("large", 0.9, 5.0)


def test_the_hull_is_the_best_mixture_of_equal_cost() -> None:
    assert hull_quality([SMALL, LARGE], 3.0) == pytest.approx(0.7)
    assert hull_quality([SMALL, MIDDLE, LARGE], 4.0) == pytest.approx(0.8)
    assert hull_quality([SMALL, LARGE], 9.0) == 0.9
    assert hull_quality([SMALL, LARGE], 0.5) is None
    assert hull_quality([SMALL, LARGE._replace(cost=None)], 3.0) is None


@pytest.mark.slow
@pytest.mark.parametrize("separable", [True, False])
def test_it_says_whether_routing_pays(separable: bool) -> None:
    """The weak model is wrong where the prompt says 'hard', or by chance."""
    rng = np.random.default_rng(0)
    rows = []
    for place in range(160):
        hard = rng.random() < 0.5
        wrong = hard if separable else rng.random() < 0.5
        word = "hard" if hard else "easy"
        rows.append(
            PromptOutcome(f"Case {place}: an {word} question.", 1.0, float(not wrong), "", "")
        )
    columns = as_columns(from_rows(rows), "cases")
    steps: list[str] = []
    found = benchmark(columns, pair_as_singles(columns, "strong", "weak"), step=steps.append)
    words = next(line for line in found.lines if line.name == "words")

    assert found.pays is separable
    assert found.sentence.startswith("Yes: on 'cases'" if separable else "No: on 'cases'")
    assert found.singles[0].name == "strong"
    assert found.oracle >= words.quality.value
    assert words.over_random.low <= words.over_random.value <= words.over_random.high
    assert words.cost is None
    assert words.over_hull is None
    assert set(found.learning) == {"words", "knn", "linear"}
    assert list(found.learning["words"]) == [50, 100]
    assert "complexity" in {line.name for line in found.lines}


def test_without_a_gap_the_weak_model_is_enough() -> None:
    rows = [PromptOutcome(f"Case {place}.", place % 2, place % 2, "", "") for place in range(40)]
    columns = as_columns(from_rows(rows), "cases")
    found = benchmark(columns, pair_as_singles(columns, "strong", "weak"))

    assert not found.pays
    assert found.sentence.startswith("No: on 'cases' the strong model is not surely better")
