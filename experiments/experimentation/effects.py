"""Each treatment compared with the control: by metric, and by domain as exploration."""

from typing import NamedTuple

from experiments.analysis.experiment.effects import Effect
from experiments.analysis.experiment.health import MINIMUM_SHOWN
from experiments.analysis.experiment.multiplicity import (
    CorrectedEffect,
    Hypothesis,
    answer_together,
)
from experiments.analysis.experiment.sequential import phase_alpha
from experiments.experimentation.aggregates import observed, ratio, summarise
from experiments.experimentation.metrics import MetricSpec
from experiments.experimentation.study import COST, PhaseData
from experiments.experimentation.units import UnitSums
from experiments.models import ExperimentMetric


class MetricEffect(NamedTuple):
    """One metric of one treatment compared with the control.

    `observed` counts the units with a value in the arm that has fewer; below `minimum` the effect
    is empty.
    """

    arm: str
    metric: str
    role: str
    label: str
    unit: str | None
    better: str
    margin: float | None
    effect: Effect
    adjusted_p_value: float | None
    observed: int
    minimum: int = MINIMUM_SHOWN


class DomainEffect(NamedTuple):
    """Exploration: one domain, corrected for the number of domains."""

    arm: str
    domain: str
    metric: str
    answer: CorrectedEffect
    observed: int
    minimum: int = MINIMUM_SHOWN


class _Asked(NamedTuple):
    """A question, and whether enough units have a value to show the effect."""

    question: Hypothesis
    observed: int


def effects_of(study: PhaseData) -> tuple[MetricEffect, ...]:
    """Each treatment's metrics; the secondary ones corrected together."""
    found: list[MetricEffect] = []
    for arm in study.treatments if study.compares else ():
        for role in ExperimentMetric.Role:
            found += _role_effects(study, arm.name, role)
    return tuple(found)


def breakdown_of(study: PhaseData) -> tuple[DomainEffect, ...]:
    """Cost and quality by domain, if there is more than one."""
    domains = sorted(study.units.domains) if study.compares else []
    if len(domains) < 2:
        return ()
    found = []
    for arm in study.treatments:
        for metric in ("cost", "quality"):
            asked = [_ask_domain(study, arm.name, study.spec(metric), d) for d in domains]
            for answer, one in zip(_answers(study, asked, exploratory=True), asked, strict=True):
                found.append(DomainEffect(arm.name, answer.name, metric, answer, one.observed))
    return tuple(found)


def level_of(study: PhaseData) -> float:
    """The level of one comparison in this phase."""
    alpha = phase_alpha(study.experiment.alpha, study.number)
    return alpha / max(1, len(study.treatments))


def least_scale_of(study: PhaseData, spec: MetricSpec) -> float | None:
    """The smallest relevant difference, for metrics without a range: it gives the verdict a result
    even if all units have the same value."""
    if spec.name == COST.name:
        return float(study.experiment.target_effect)
    bounded = spec.boolean or spec.value_range is not None
    margins = (one.margin for one in study.metrics if one.metric == spec.name and one.margin)
    return None if bounded else next(margins, None)


def shown(effect: Effect, units: int) -> Effect:
    """The effect, or an empty one if fewer than 50 units of an arm have a value."""
    if units >= MINIMUM_SHOWN:
        return effect
    return Effect(
        None, None, None, None, None, None, None, None, effect.n_control, effect.n_treatment
    )


def _role_effects(study: PhaseData, arm: str, role: ExperimentMetric.Role) -> list[MetricEffect]:
    metrics = study.with_role(role)
    asked = [_ask(study, arm, study.spec(metric.metric)) for metric in metrics]
    is_secondary = role == ExperimentMetric.Role.SECONDARY
    return [
        _metric_effect(study.spec(metric.metric), arm, metric, answer, one.observed, is_secondary)
        for metric, answer, one in zip(metrics, _answers(study, asked), asked, strict=True)
    ]


def _metric_effect(
    spec: MetricSpec,
    arm: str,
    metric: ExperimentMetric,
    answer: CorrectedEffect,
    units: int,
    is_secondary: bool,
) -> MetricEffect:
    return MetricEffect(
        arm=arm,
        metric=metric.metric,
        role=metric.role,
        label=spec.label,
        unit=spec.unit,
        better=str(spec.better),
        margin=metric.margin,
        effect=answer.effect,
        adjusted_p_value=answer.adjusted_p_value if is_secondary else None,
        observed=units,
    )


def _answers(
    study: PhaseData, asked: list[_Asked], *, exploratory: bool = False
) -> list[CorrectedEffect]:
    """Corrected as one family, including effects that are not shown yet."""
    answers = answer_together(
        [one.question for one in asked],
        alpha=level_of(study),
        tuning_sample_size=study.experiment.tuning_sample_size,
        exploratory=exploratory,
    )
    return [_shown(answer, one.observed) for answer, one in zip(answers, asked, strict=True)]


def _shown(answer: CorrectedEffect, units: int) -> CorrectedEffect:
    p = answer.adjusted_p_value if units >= MINIMUM_SHOWN else None
    return answer._replace(effect=shown(answer.effect, units), adjusted_p_value=p)


def _ask(study: PhaseData, arm: str, spec: MetricSpec) -> _Asked:
    control, treatment = (study.units.of(name) for name in (_control(study), arm))
    history = study.units.has_history
    question = Hypothesis(
        spec.name,
        summarise(control, spec, history=history),
        summarise(treatment, spec, history=history),
        least_scale_of(study, spec),
    )
    return _Asked(question, _fewer(spec, control, treatment))


def _ask_domain(study: PhaseData, arm: str, spec: MetricSpec, domain: str) -> _Asked:
    units = study.units
    control, treatment = (units.in_domain(name, domain) for name in (_control(study), arm))
    scale = least_scale_of(study, spec)
    question = Hypothesis(domain, ratio(control, spec), ratio(treatment, spec), scale)
    return _Asked(question, _fewer(spec, control, treatment))


def _control(study: PhaseData) -> str:
    return next(arm.name for arm in study.arms if arm.is_control)


def _fewer(spec: MetricSpec, control: UnitSums, treatment: UnitSums) -> int:
    return min(observed(control, spec), observed(treatment, spec))
