"""Effects by day, computed from today's data.

Units are sorted by the day their windows closed; one pass over the running sums then gives every
day. `DailyResult` stores what was shown on a day, before late outcomes.
"""

from datetime import date
from typing import NamedTuple

import numpy as np

from experiments.analysis.experiment.series import InterimResult, Point, over_time
from experiments.analysis.experiment.summaries import Summary
from experiments.experimentation.aggregates import running
from experiments.experimentation.columns import Column
from experiments.experimentation.effects import least_scale_of, shown
from experiments.experimentation.metrics import MetricSpec
from experiments.experimentation.study import PhaseData, window_of
from experiments.experimentation.units import UnitSums
from experiments.models import ExperimentMetric


class SeriesPoint(NamedTuple):
    """An effect at the end of a day; empty with fewer than 50 units in an arm."""

    arm: str
    metric: str
    point: Point


class _Ordered(NamedTuple):
    """An arm's units in the order their windows closed, and how many had closed by each day."""

    units: UnitSums
    ends: list[int]


def series_of(study: PhaseData) -> tuple[SeriesPoint, ...]:
    """Cost and guardrails of every treatment, on each day of the phase on which a window closed."""
    if not study.compares or not study.units.counted:
        return ()
    days = _days(study)
    arms = {arm.name: _ordered(study, arm.name, days) for arm in study.arms}
    metrics = ["cost", *(m.metric for m in study.with_role(ExperimentMetric.Role.GUARDRAIL))]
    return tuple(
        point
        for treatment in study.treatments
        for metric in dict.fromkeys(metrics)
        for point in _points(study, treatment.name, study.spec(metric), arms, days)
    )


def _days(study: PhaseData) -> list[date]:
    """From the first closed window to the last, or to today while the phase may get more."""
    closing = study.units.first_days[study.units.closed] + window_of(study.experiment)
    first, last = int(closing.min()), int(closing.max())
    is_current = study.phase is None or study.phase.ended_at is None
    end = study.as_of.toordinal() if is_current else last
    return [date.fromordinal(day) for day in range(first, end + 1)]


def _ordered(study: PhaseData, arm: str, days: list[date]) -> _Ordered:
    mine = study.units.is_counted(arm)
    closing: Column = study.units.first_days[mine] + window_of(study.experiment)
    order = np.argsort(closing, kind="stable")
    ordinals = [day.toordinal() for day in days]
    ends = np.searchsorted(closing[order], ordinals, side="right")
    return _Ordered(study.units.sums.take(mine).take(order), ends.tolist())


def _points(
    study: PhaseData, arm: str, spec: MetricSpec, arms: dict[str, _Ordered], days: list[date]
) -> list[SeriesPoint]:
    control = next(a.name for a in study.arms if a.is_control)
    looks = [
        InterimResult(day, study.number, before, after, least_scale_of(study, spec))
        for day, before, after in zip(
            days,
            _summaries(study, arms[control], spec),
            _summaries(study, arms[arm], spec),
            strict=True,
        )
    ]
    points = over_time(
        looks,
        alpha=study.experiment.alpha,
        treatments=len(study.treatments),
        tuning_sample_size=study.experiment.tuning_sample_size,
    )
    enough = zip(_observed(arms[control], spec), _observed(arms[arm], spec), strict=True)
    return [
        SeriesPoint(arm, spec.name, point._replace(effect=shown(point.effect, min(units))))
        for point, units in zip(points, enough, strict=True)
    ]


def _summaries(study: PhaseData, arm: _Ordered, spec: MetricSpec) -> list[Summary]:
    return running(arm.units, spec, arm.ends, history=study.units.has_history)


def _observed(arm: _Ordered, spec: MetricSpec) -> list[int]:
    so_far = np.cumsum(arm.units.column(spec.denominator) > 0)
    return [int(so_far[end - 1]) if end else 0 for end in arm.ends]
