"""Holm's correction, checked against tea-tasting, and families of questions."""

from typing import Any, NamedTuple

import pytest
import tea_tasting
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.experiment.multiplicity import Hypothesis, answer_together, holm
from experiments.analysis.experiment.summaries import MeanSummary


class _PValue(NamedTuple):
    pvalue: float


def test_holm_literal() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))


def test_holm_stays_at_most_one() -> None:
    assert holm([0.6, 0.9]) == (1.0, 1.0)


def test_holm_of_nothing() -> None:
    assert holm([]) == ()


def test_question_without_a_result_still_counts() -> None:
    first, unknown, last = holm([0.01, None, 0.03])
    assert (first, last) == pytest.approx((0.03, 0.06))
    assert unknown is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_is_tea_tastings(p_values: list[float]) -> None:
    results = tea_tasting.experiment.ExperimentResult(
        {str(i): _PValue(p) for i, p in enumerate(p_values)}
    )
    other: Any = tea_tasting.adjust_fwer(results, arbitrary_dependence=True, method="bonferroni")
    adjusted = [row["pvalue_adj"] for row in other.to_dicts()]
    assert holm(p_values) == pytest.approx(tuple(adjusted))


def test_breakdown_is_corrected_and_marked_as_exploration() -> None:
    def question(name: str, gain: float) -> Hypothesis:
        return Hypothesis(name, MeanSummary(900, 0.5, 0.25), MeanSummary(900, 0.5 + gain, 0.25))

    answers = answer_together([question("medical", 0.12), question("legal", 0.0)], exploratory=True)
    medical, legal = answers
    assert [answer.exploratory for answer in answers] == [True, True]
    assert medical.effect.sequential_p_value == pytest.approx(0.00013302914, rel=1e-6)
    assert medical.adjusted_p_value == pytest.approx(2 * 0.00013302914, rel=1e-6)
    assert (legal.name, legal.adjusted_p_value) == ("legal", 1.0)
