"""The current results of an experiment: verdict, effects, arms, domains, health, progress."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, NamedTuple

from experiments.analysis.experiment.health import Health
from experiments.analysis.experiment.plan import ArmData, Plan
from experiments.analysis.experiment.power import NoSize, Remaining
from experiments.analysis.experiment.verdict import Verdict, VerdictCode, judge
from experiments.experimentation.aggregates import mean, summarise
from experiments.experimentation.effects import (
    DomainEffect,
    MetricEffect,
    breakdown_of,
    effects_of,
)
from experiments.experimentation.health import health_of
from experiments.experimentation.metrics import BUILT_IN, QUALITY
from experiments.experimentation.planning import remaining_of
from experiments.experimentation.series import SeriesPoint, series_of
from experiments.experimentation.study import COST, ArmOfPhase, PhaseData, plan_of, window_of
from experiments.experimentation.text import health_message, verdict_sentence
from experiments.models import DailyResult, Experiment

__all__ = [
    "ArmSummary",
    "DomainEffect",
    "MetricEffect",
    "Progress",
    "Results",
    "SeenDay",
    "SeriesPoint",
    "plan_of",
    "results",
    "window_of",
]

WAITING = (VerdictCode.KEEP_RUNNING, VerdictCode.NOT_ENOUGH_DATA)


class ArmSummary(NamedTuple):
    """The figures of one arm. Means are None if nothing was counted; money in US dollars.

    `cut` units reached the cost cap; cost, quality and the strong share count them up to it.
    """

    name: str
    is_control: bool
    weight: float
    units: int
    waiting: int
    requests: int
    cost_per_request: float | None
    quality: float | None
    rated: int
    strong_share: float | None
    cut: int = 0


class Progress(NamedTuple):
    """Units counted so far and planned. `remaining` is None unless it runs.

    `days` are those of the phase, `counted_days` those on which each arm has counted units.
    """

    units: int
    planned: int | None
    days: int
    remaining: Remaining | NoSize | None
    counted_days: int = 0


class SeenDay(NamedTuple):
    """The result as shown on a day, before later outcomes."""

    day: date
    phase: int
    verdict: str
    sentence: str
    result: dict[str, Any]


class Results(NamedTuple):
    """All results of an experiment on one day.

    `sentence` is never empty; `verdict` is None without data to judge. The series covers all
    phases, everything else the current one.
    """

    key: str
    status: str
    phase: int
    as_of: date
    judged_at: datetime
    sentence: str
    verdict: Verdict | None
    health: Health
    arms: tuple[ArmSummary, ...]
    effects: tuple[MetricEffect, ...]
    breakdown: tuple[DomainEffect, ...]
    series: tuple[SeriesPoint, ...]
    seen: tuple[SeenDay, ...]
    progress: Progress


def results(experiment: Experiment, now: datetime, *, series: bool = True) -> Results:
    """The results at `now`. Reads running sums only, never decisions."""
    study = PhaseData(experiment, now.date())
    health = health_of(study, now)
    verdict = _verdict(study, health)
    return Results(
        key=experiment.key,
        status=experiment.status,
        phase=experiment.phase,
        as_of=study.as_of,
        judged_at=now,
        sentence=_sentence(study, verdict, health),
        verdict=verdict,
        health=health,
        arms=tuple(_arm_summary(study, arm) for arm in study.arms),
        effects=effects_of(study),
        breakdown=breakdown_of(study),
        series=(*_earlier_series(study), *series_of(study)) if series else (),
        seen=seen_days(experiment),
        progress=_progress(study, now),
    )


def seen_days(experiment: Experiment) -> tuple[SeenDay, ...]:
    """What was shown on each day, oldest first. One query."""
    rows = DailyResult.objects.filter(experiment=experiment).order_by("day", "phase")
    return tuple(
        SeenDay(row.day, row.phase, row.verdict, row.result["sentence"], row.result) for row in rows
    )


def _verdict(study: PhaseData, health: Health) -> Verdict | None:
    """None if there is nothing to judge: before the start, or without a guardrail."""
    if not study.compares or not study.with_role("guardrail"):
        return None
    plan = plan_of(study.experiment, study.metrics)
    control, *treatments = (
        _arm_data(study, plan, arm) for arm in sorted(study.arms, key=lambda a: not a.is_control)
    )
    return judge(plan, control, treatments, days=study.counted_days, health=health)


def _arm_data(study: PhaseData, plan: Plan, arm: ArmOfPhase) -> ArmData:
    units = study.units.of(arm.name)
    cost = summarise(units, COST, history=study.units.has_history)
    guardrails = tuple(study.measured(units, guardrail.name) for guardrail in plan.guardrails)
    return ArmData(arm.name, units.n, cost, guardrails)


def _sentence(study: PhaseData, verdict: Verdict | None, health: Health) -> str:
    experiment = study.experiment
    if verdict is None:
        if experiment.status == Experiment.Status.DRAFT:
            return "Not started yet: the checklist shows what is missing."
        return "No results: it never ran."
    if experiment.status == Experiment.Status.PAUSED:
        return f"Paused: no units are enrolled. {verdict_sentence(verdict)}"
    if experiment.shipped_arm:
        return f'"{experiment.shipped_arm}" was shipped. {verdict_sentence(verdict)}'
    if experiment.stopped_at is not None:
        stopped = f"Stopped on {experiment.stopped_at:%Y-%m-%d}"
        return f"{stopped} ({experiment.stop_reason}). {verdict_sentence(verdict)}"
    return " ".join([verdict_sentence(verdict), *_note(verdict, health)])


def _note(verdict: Verdict, health: Health) -> Iterator[str]:
    """While it waits for data: a note that none arrive."""
    if verdict.outcome in WAITING and health.traffic_stopped is not None:
        yield health_message(health.traffic_stopped)


def _arm_summary(study: PhaseData, arm: ArmOfPhase) -> ArmSummary:
    units = study.units.of(arm.name)
    return ArmSummary(
        name=arm.name,
        is_control=arm.is_control,
        weight=arm.weight,
        units=units.n,
        waiting=study.units.seen(arm.name) - units.n,
        requests=units.total("decisions"),
        cost_per_request=mean(units, COST),
        quality=mean(units, study.spec(QUALITY.name)),
        rated=units.total(study.spec(QUALITY.name).denominator),
        strong_share=mean(units, BUILT_IN["strong_share"]),
        cut=units.cut,
    )


def _earlier_series(study: PhaseData) -> list[SeriesPoint]:
    """The series of each earlier phase: phases are never combined."""
    earlier = study.experiment.phases.filter(number__lt=study.number).order_by("number")
    studies = (PhaseData(study.experiment, study.as_of, phase) for phase in earlier)
    return [point for phase in studies for point in series_of(phase)]


def _progress(study: PhaseData, now: datetime) -> Progress:
    return Progress(
        study.units.counted,
        study.experiment.planned_units,
        int(study.days(now)),
        remaining_of(study, now),
        study.counted_days,
    )
