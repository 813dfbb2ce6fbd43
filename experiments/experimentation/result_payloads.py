"""An experiment's results as JSON, for the REST API and for stored daily results."""

from experiments.analysis.experiment.effects import Effect, EffectInterval
from experiments.analysis.experiment.health import Health, HealthCheck
from experiments.analysis.experiment.power import NoSize, Remaining, SampleSize
from experiments.analysis.experiment.verdict import Reason, Verdict
from experiments.experimentation import shapes
from experiments.experimentation.effects import DomainEffect, MetricEffect
from experiments.experimentation.results import Progress, Results, SeenDay
from experiments.experimentation.series import SeriesPoint
from experiments.experimentation.text import (
    arm_sentence,
    expectation,
    health_message,
    plan_sentence,
    reason_message,
    remaining_sentence,
    verdict_expectation,
    verdict_sentence,
)
from experiments.shapes.fields import copied


def results_payload(results: Results) -> shapes.ResultsPayload:
    return {
        **seen_payload(results),
        "breakdown": [_domain_effect(one) for one in results.breakdown],
        "series": [_point(one) for one in results.series],
        "seen": [_seen(one) for one in results.seen],
    }


def seen_payload(results: Results) -> shapes.DayResults:
    """A day's results as stored: everything except the results of other days."""
    return {
        "key": results.key,
        "status": results.status,
        "phase": results.phase,
        "as_of": results.as_of.isoformat(),
        "judged_at": results.judged_at.isoformat(),
        "sentence": results.sentence,
        "verdict": _verdict(results.verdict) if results.verdict else None,
        "health": _health(results.health),
        "arms": [copied(arm, shapes.ArmResult) for arm in results.arms],
        "effects": [_metric_effect(one) for one in results.effects],
        "progress": _progress(results.progress),
    }


def size_payload(size: SampleSize | NoSize) -> shapes.PlanPayload:
    """A proposed plan; without enough recent data only the metrics that lack it."""
    if isinstance(size, NoSize):
        return {"possible": False, "sentence": plan_sentence(size), "missing": list(size.metrics)}
    return {
        "possible": True,
        "sentence": plan_sentence(size),
        "missing": [],
        "units": size.units,
        "days": size.days,
        "limiting": size.limiting,
        "single_look_units": size.single_look_units,
        "times_a_single_look": size.times_a_single_look,
    }


def _verdict(verdict: Verdict) -> shapes.VerdictPayload:
    return {
        "outcome": str(verdict.outcome),
        "arm": verdict.arm,
        "sentence": verdict_sentence(verdict),
        "expectation": verdict_expectation(verdict),
        "reasons": [_reason(one) for one in verdict.reasons],
        "arms": [
            {
                "arm": arm.arm,
                "outcome": str(arm.outcome),
                "sentence": arm_sentence(arm),
                "expectation": expectation(arm),
                "shrunken": arm.primary.shrunken if expectation(arm) else None,
                "reasons": [_reason(one) for one in arm.reasons],
            }
            for arm in verdict.arms
        ],
    }


def _reason(reason: Reason) -> shapes.ReasonPayload:
    return {
        "code": str(reason.code),
        "arm": reason.arm,
        "metric": reason.metric,
        "value": reason.value,
        "limit": reason.limit,
        "message": reason_message(reason),
    }


def _health(health: Health) -> shapes.HealthPayload:
    return {
        "healthy": health.healthy,
        "checks": [health_check_payload(one) for one in health.checks],
    }


def health_check_payload(check: HealthCheck) -> shapes.HealthCheckPayload:
    return {
        "code": str(check.code),
        "status": str(check.status),
        "value": check.value,
        "limit": check.limit,
        "message": health_message(check),
    }


def _effect(effect: Effect) -> shapes.EstimatePayload:
    return {
        "estimate": effect.estimate,
        "standard_error": effect.standard_error,
        "sequential_interval": _interval(effect.sequential_interval),
        "sequential_p_value": effect.sequential_p_value,
        "interval": _interval(effect.confidence_interval),
        "p_value": effect.p_value,
        "relative": effect.relative,
        "relative_interval": _interval(effect.relative_interval),
        "n_control": effect.n_control,
        "n_treatment": effect.n_treatment,
    }


def _interval(interval: EffectInterval | None) -> list[float] | None:
    return list(interval) if interval else None


def _metric_effect(one: MetricEffect) -> shapes.MetricEffectPayload:
    return {
        "arm": one.arm,
        "metric": one.metric,
        "role": one.role,
        "label": one.label,
        "unit": one.unit,
        "better": one.better,
        "margin": one.margin,
        "adjusted_p_value": one.adjusted_p_value,
        "observed": one.observed,
        "minimum": one.minimum,
        **_effect(one.effect),
    }


def _domain_effect(one: DomainEffect) -> shapes.DomainEffectPayload:
    return {
        "arm": one.arm,
        "domain": one.domain,
        "metric": one.metric,
        "exploratory": one.answer.exploratory,
        "adjusted_p_value": one.answer.adjusted_p_value,
        "observed": one.observed,
        "minimum": one.minimum,
        **_effect(one.answer.effect),
    }


def _point(one: SeriesPoint) -> shapes.SeriesPointPayload:
    effect = one.point.effect
    return {
        "arm": one.arm,
        "metric": one.metric,
        "day": one.point.day.isoformat(),
        "phase": one.point.phase,
        "estimate": effect.estimate,
        "sequential_interval": _interval(effect.sequential_interval),
        "n_control": effect.n_control,
        "n_treatment": effect.n_treatment,
    }


def _seen(day: SeenDay) -> shapes.SeenDayPayload:
    return {
        "day": day.day.isoformat(),
        "phase": day.phase,
        "outcome": day.verdict,
        "sentence": day.sentence,
    }


def _progress(progress: Progress) -> shapes.ProgressPayload:
    remaining = progress.remaining
    return {
        "units": progress.units,
        "planned": progress.planned,
        "days": progress.days,
        "counted_days": progress.counted_days,
        "remaining": {
            "units": remaining.units if isinstance(remaining, Remaining) else None,
            "days": remaining.days if isinstance(remaining, Remaining) else None,
            "sentence": remaining_sentence(remaining),
        }
        if remaining
        else None,
    }
