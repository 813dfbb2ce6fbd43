"""How large an experiment must be and how long it still takes, from the data of recent units."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import NamedTuple

import numpy as np
from django.db.models import Sum

from experiments.analysis.errors import AnalysisError
from experiments.analysis.experiment.plan import MINIMUM_UNITS
from experiments.analysis.experiment.power import (
    Design,
    Goal,
    NoSize,
    Remaining,
    SampleSize,
    guardrail_goal,
    plan_size,
    remaining,
    saving_goal,
)
from experiments.analysis.experiment.summaries import MeanSummary, Summary
from experiments.experimentation.aggregates import summarise
from experiments.experimentation.metrics import BUILT_IN, NANO, MetricSpec, spec_of
from experiments.experimentation.study import (
    COST,
    PhaseData,
    cap_of,
    counters_of,
    plan_of,
    window_of,
)
from experiments.experimentation.units import read_recent
from experiments.models import Arm, Experiment, Rollup
from experiments.models.sums import FIXED_POINT

RECENT_DAYS = 28
CAP_QUANTILE = 0.99
MICRO = 1_000_000
QUALITY = "quality"
ROLLED_UP = (
    "decisions",
    "priced",
    "cost",
    "cost_squares",
    "fallbacks",
    "outcomes",
    "errors",
    "rated",
    "quality",
    "quality_squares",
)


class _Recent(NamedTuple):
    """The domain's recent units: one aggregate per metric, and their number."""

    summaries: dict[str, Summary]
    units: int


def propose(experiment: Experiment, as_of: date) -> SampleSize | NoSize:
    """The units and days that decide cost and every guardrail, with the experiment's power."""
    try:
        recent = _recent(experiment, as_of)
        arriving = recent.units * experiment.coverage / RECENT_DAYS
        goals = _goals(experiment, recent.summaries)
        return plan_size(goals, _design(experiment, arriving))
    except AnalysisError as error:
        return NoSize((), str(error))


def recent_cap(experiment: Experiment, as_of: date) -> float | None:
    """The 99th percentile of the domain's recent units in US dollars, at their own or the
    baseline's cost; None with fewer than a hundred units, or if each request is a unit."""
    if experiment.by_request:
        return None
    domain = experiment.domain.name if experiment.domain else None
    since = as_of - timedelta(days=RECENT_DAYS)
    units = read_recent(domain, window_days=window_of(experiment), since=since, until=as_of)
    spent = np.maximum(units.column("cost"), units.column("baseline"))
    spent = spent[units.column("priced") > 0]
    return float(np.quantile(spent, CAP_QUANTILE)) / NANO if len(spent) >= MINIMUM_UNITS else None


def remaining_of(study: PhaseData, now: datetime) -> Remaining | NoSize | None:
    """The units and days still needed, with the variance so far. None unless it runs."""
    experiment = study.experiment
    if not study.compares or not experiment.is_running:
        return None
    counted = study.units.sums.take(study.units.closed)
    summaries = {
        spec.name: summarise(counted, spec) for spec in (*study.specs.values(), study.spec("cost"))
    }
    try:
        return remaining(
            _goals(experiment, summaries),
            _design(experiment, study.units.exposed / max(study.days(now), 1.0)),
            tuning_sample_size=experiment.tuning_sample_size,
            units_so_far=study.units.counted,
        )
    except AnalysisError as error:
        return NoSize((), str(error))


def _goals(experiment: Experiment, recent: dict[str, Summary]) -> list[Goal]:
    plan = plan_of(experiment, tuple(experiment.metrics.all()))
    target = float(experiment.target_effect)
    goals = [saving_goal(COST.name, recent[COST.name], expected_saving=target)]
    for guardrail in plan.guardrails:
        loss = experiment.expected_loss if guardrail.name == QUALITY else 0.0
        goals.append(guardrail_goal(guardrail, recent[guardrail.name], expected_loss=loss))
    return goals


def _design(experiment: Experiment, units_per_day: float) -> Design:
    arms: list[Arm] = sorted(experiment.arms.all(), key=lambda arm: not arm.is_control)
    return Design(
        weights=tuple(arm.weight for arm in arms),
        alpha=experiment.alpha,
        power=experiment.power,
        phase=experiment.phase,
        units_per_day=units_per_day or None,
        window_days=window_of(experiment),
    )


def _recent(experiment: Experiment, as_of: date) -> _Recent:
    specs = [COST, *(spec_of(metric.metric) for metric in experiment.metrics.all())]
    domain = experiment.domain.name if experiment.domain else None
    since = as_of - timedelta(days=RECENT_DAYS)
    if experiment.by_request:
        return _recent_requests(specs, domain, since, as_of)
    window = window_of(experiment)
    units = read_recent(
        domain, window_days=window, since=since, until=as_of, counters=counters_of(specs)
    ).capped(_planned_cap(experiment, as_of))
    return _Recent({spec.name: summarise(units, spec) for spec in specs}, units.n)


def _planned_cap(experiment: Experiment, as_of: date) -> int | None:
    """The cap as set, or as the start would set it from the same units."""
    if experiment.cost_cap is not None:
        return cap_of(experiment)
    proposed = recent_cap(experiment, as_of)
    return round(proposed * NANO) if proposed else None


def _recent_requests(
    specs: Iterable[MetricSpec], domain: str | None, since: date, until: date
) -> _Recent:
    """Each request as its own unit, from the hourly roll-ups. One query."""
    rows = Rollup.objects.filter(hour__date__gt=since, hour__date__lte=until)
    if domain is not None:
        rows = rows.filter(domain=domain)
    found = rows.aggregate(**{name: Sum(name, default=0) for name in ROLLED_UP})
    totals = {name: int(value) for name, value in found.items()}
    return _Recent({s.name: _of_requests(s, totals) for s in specs}, totals["decisions"])


def _of_requests(spec: MetricSpec, totals: dict[str, int]) -> Summary:
    """Empty if the roll-ups have no sums of squares: the plan then reports what is missing."""
    if spec.name == COST.name:
        micro = totals["cost"] // 1_000
        return _mean(totals["priced"], micro, totals["cost_squares"], MICRO)
    if spec.name == QUALITY:
        return _mean(totals["rated"], totals["quality"], totals["quality_squares"], FIXED_POINT)
    if spec.name in BUILT_IN and spec.boolean and spec.numerator in totals:
        return MeanSummary.from_successes(totals[spec.denominator], totals[spec.numerator])
    return MeanSummary(0, 0.0, 0.0)


def _mean(n: int, total: int, squares: int, scale: int) -> MeanSummary:
    """Costs were rounded before they were squared, so the variance could come out below 0."""
    least = -(-total * total // n) if n else 0
    return MeanSummary.from_sums(n, total, max(squares, least), scale=scale)
