"""Results over time: the estimate with its always-valid band, per day and phase."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from experiments.analysis.experiment.effects import Effect, difference
from experiments.analysis.experiment.sequential import DEFAULT_TUNING_SAMPLE_SIZE, phase_alpha
from experiments.analysis.experiment.summaries import Summary


class InterimResult(NamedTuple):
    """Both arms at the end of a day: all data of the phase so far."""

    day: date
    phase: int
    control: Summary
    treatment: Summary
    least_scale: float | None = None


class Point(NamedTuple):
    """The effect's intervals are at the level of its phase; phases are never combined."""

    day: date
    phase: int
    effect: Effect


def over_time(
    looks: Sequence[InterimResult],
    *,
    alpha: float = 0.05,
    treatments: int = 1,
    tuning_sample_size: float = DEFAULT_TUNING_SAMPLE_SIZE,
) -> tuple[Point, ...]:
    """One point per look, in order of day; a day without enough data has an empty effect."""
    return tuple(
        Point(
            look.day,
            look.phase,
            difference(
                look.control,
                look.treatment,
                alpha=phase_alpha(alpha, look.phase) / treatments,
                tuning_sample_size=tuning_sample_size,
                least_scale=look.least_scale,
            ),
        )
        for look in sorted(looks, key=lambda look: (look.day, look.phase))
    )
