"""The data of one phase of an experiment, read once; all results are computed from it."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import NamedTuple

from experiments.analysis.experiment.plan import Guardrail, MeasuredGuardrail, Plan, Primary
from experiments.experimentation.aggregates import ratio, summarise
from experiments.experimentation.metrics import BUILT_IN, NANO, MetricSpec, spec_of
from experiments.experimentation.units import Units, UnitSums, read_units
from experiments.models import Experiment, ExperimentMetric, Phase

RATED_SHARE = BUILT_IN["rated_share"]
COST = BUILT_IN["cost"]
ACTIVE = (Experiment.Status.RUNNING, Experiment.Status.PAUSED)


class ArmOfPhase(NamedTuple):
    """An arm as fixed for its phase."""

    name: str
    weight: float
    is_control: bool


class PhaseData:
    """One phase of an experiment on a given day; by default the current phase."""

    def __init__(self, experiment: Experiment, as_of: date, phase: Phase | None = None) -> None:
        self.experiment = experiment
        self.as_of = as_of
        self.number = phase.number if phase else experiment.phase
        self.phase = phase or experiment.phases.filter(number=self.number).first()
        self.arms = _arms(experiment, self.phase)

    @cached_property
    def metrics(self) -> tuple[ExperimentMetric, ...]:
        return tuple(self.experiment.metrics.all())

    @cached_property
    def specs(self) -> dict[str, MetricSpec]:
        audited = self.experiment.audit_share > 0
        return {m.metric: spec_of(m.metric, audited=audited) for m in self.metrics}

    @cached_property
    def units(self) -> Units:
        return read_units(
            self.experiment.key,
            self.number,
            window_days=window_of(self.experiment),
            as_of=self.as_of,
            counters=counters_of(self.specs.values()),
            cap=cap_of(self.experiment),
        )

    @property
    def control(self) -> ArmOfPhase | None:
        return next((arm for arm in self.arms if arm.is_control), None)

    @property
    def treatments(self) -> tuple[ArmOfPhase, ...]:
        return tuple(arm for arm in self.arms if not arm.is_control)

    @property
    def has_begun(self) -> bool:
        return self.experiment.started_at is not None

    @property
    def compares(self) -> bool:
        """Whether it has begun, with a control and a treatment."""
        return self.has_begun and self.control is not None and bool(self.treatments)

    def with_role(self, role: str) -> list[ExperimentMetric]:
        return [metric for metric in self.metrics if metric.role == role]

    def spec(self, metric: str) -> MetricSpec:
        """A metric of the experiment, or a built-in one that it does not name."""
        return self.specs.get(metric) or BUILT_IN[metric]

    @property
    def counted_days(self) -> int:
        """Days on which each arm has counted units; the plan sets their minimum."""
        return min((self.units.days.get(arm.name, 0) for arm in self.arms), default=0)

    def days(self, now: datetime) -> float:
        """Days of the phase, including paused ones."""
        begin = self.phase.started_at if self.phase else self.experiment.started_at
        end = (self.phase.ended_at if self.phase else None) or self.experiment.stopped_at or now
        return max(0.0, (min(end, now) - begin) / timedelta(days=1)) if begin else 0.0

    def measured(self, units: UnitSums, metric: str) -> MeasuredGuardrail:
        """A guardrail with the rated share, if its values come from feedback."""
        spec = self.spec(metric)
        summary = summarise(units, spec, history=self.units.has_history)
        if not spec.from_feedback:
            return MeasuredGuardrail(summary)
        return MeasuredGuardrail(
            summary, ratio(units, RATED_SHARE._replace(numerator=spec.denominator))
        )


def counters_of(specs: Iterable[MetricSpec]) -> set[str]:
    """The counters that the metrics use."""
    return {name for spec in specs for name in (spec.numerator, spec.denominator)}


def window_of(experiment: Experiment) -> int:
    """Days until a unit counts; 0 if each request is a unit."""
    return 0 if experiment.by_request else experiment.window_days


def cap_of(experiment: Experiment) -> int | None:
    """The most that a unit counts for, in nano-dollars."""
    return None if experiment.cost_cap is None else int(experiment.cost_cap * NANO)


def plan_of(experiment: Experiment, metrics: tuple[ExperimentMetric, ...]) -> Plan:
    """The plan that the verdict uses."""
    audited = experiment.audit_share > 0
    return Plan(
        primary=Primary(float(experiment.target_effect)),
        guardrails=tuple(
            _guardrail(spec_of(metric.metric, audited=audited), metric.margin or 0.0)
            for metric in metrics
            if metric.role == ExperimentMetric.Role.GUARDRAIL
        ),
        alpha=experiment.alpha,
        phase=experiment.phase,
        tuning_sample_size=experiment.tuning_sample_size,
        minimum_units=experiment.min_units,
        minimum_days=experiment.min_days,
        planned_units=experiment.planned_units,
        prior_sd=experiment.prior_sd,
    )


def _guardrail(spec: MetricSpec, margin: float) -> Guardrail:
    return Guardrail(spec.name, margin, spec.better, spec.boolean, spec.value_range, spec.unit)


def _arms(experiment: Experiment, phase: Phase | None) -> tuple[ArmOfPhase, ...]:
    """The arms as fixed for the phase; a draft's current arms."""
    if phase is not None:
        arms = phase.arms
        return tuple(ArmOfPhase(a["name"], a["weight"], a["is_control"]) for a in arms)
    return tuple(ArmOfPhase(a.name, a.weight, a.is_control) for a in experiment.arms.all())
