"""Multiple comparisons: Holm's correction, and exploratory results."""

from collections.abc import Sequence
from typing import NamedTuple

from experiments.analysis.experiment.effects import Effect, difference
from experiments.analysis.experiment.sequential import DEFAULT_TUNING_SAMPLE_SIZE
from experiments.analysis.experiment.summaries import Summary


class Hypothesis(NamedTuple):
    """One metric, or one domain of a breakdown, in both arms.

    `least_scale` is that of `difference`, for metrics that may be the same in every unit.
    """

    name: str
    control: Summary
    treatment: Summary
    least_scale: float | None = None


class CorrectedEffect(NamedTuple):
    """An effect with its always-valid p-value, corrected for all questions of its family.

    `exploratory` results suggest the next experiment; they do not affect this one's verdict.
    """

    name: str
    effect: Effect
    adjusted_p_value: float | None
    exploratory: bool


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Holm's step-down adjusted p-values, in the given order; valid under any dependence.

    None (no result) stays None and counts as a question: it may get a result later.
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(p_values) - rank)))
        adjusted[index] = largest
    return tuple(adjusted)


def answer_together(
    questions: Sequence[Hypothesis],
    *,
    alpha: float = 0.05,
    tuning_sample_size: float = DEFAULT_TUNING_SAMPLE_SIZE,
    exploratory: bool = False,
) -> tuple[CorrectedEffect, ...]:
    """Secondary metrics, or with `exploratory` a breakdown, corrected as one family."""
    effects = [
        difference(
            q.control,
            q.treatment,
            alpha=alpha,
            tuning_sample_size=tuning_sample_size,
            least_scale=q.least_scale,
        )
        for q in questions
    ]
    adjusted = holm([effect.sequential_p_value for effect in effects])
    return tuple(
        CorrectedEffect(question.name, effect, p, exploratory)
        for question, effect, p in zip(questions, effects, adjusted, strict=True)
    )
