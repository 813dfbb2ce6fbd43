"""Experiments and guarded rollouts in the JSON form of the REST API."""

from experiments.api import experiment_shapes as shapes
from experiments.experimentation.checklists import Check
from experiments.experimentation.shapes import ArmForecastPayload
from experiments.experimentation.shapes import CheckPayload as CheckShape
from experiments.models import Arm, Experiment, Rollout
from experiments.rollouts.steps import steps_of
from experiments.shapes.fields import copied


def experiment_payload(row: Experiment) -> shapes.ExperimentPayload:
    return {
        **copied(row, shapes.ExperimentColumns),
        "target_effect": f"{row.target_effect.normalize():f}",
        "cost_cap": None if row.cost_cap is None else f"{row.cost_cap.normalize():f}",
        "domain": row.domain.name if row.domain else None,
        "arms": [_arm(arm) for arm in row.arms.all()],
        "metrics": [
            {"metric": metric.metric, "role": metric.role, "margin": metric.margin}
            for metric in row.metrics.all()
        ],
        "phases": [
            {"number": phase.number, "started_at": phase.started_at, "ended_at": phase.ended_at}
            for phase in row.phases.all()
        ],
    }


def _arm(arm: Arm) -> shapes.ArmPayload:
    value = arm.routing_policy()
    policy: shapes.PolicyPayload = {
        "method": str(value.method),
        "router": value.router,
        "threshold": value.threshold,
        "strong_model": value.strong,
        "weak_model": value.weak,
        "epsilon": value.epsilon,
    }
    if value.target_share is not None:
        policy["target_share"] = value.target_share
    if value.steps:
        policy["between"] = [copied(step, shapes.PolicyStep) for step in value.steps]
    return {
        "name": arm.name,
        "weight": arm.weight,
        "is_control": arm.is_control,
        "policy": policy,
    }


def check_payload(check: Check) -> CheckShape:
    """Includes the prediction for each arm, in the one line that states it."""
    shown: CheckShape = {"name": check.name, "passed": check.passed, "message": check.message}
    if check.arms:
        shown["arms"] = [copied(arm, ArmForecastPayload) for arm in check.arms]
    return shown


def rollout_payload(row: Rollout) -> shapes.RolloutPayload:
    return {
        **copied(row, shapes.RolloutColumns),
        "flag": row.flag.key,
        "step": row.step if row.step >= 0 else None,
        "percentage": float(row.flag.percentage),
        "steps": [
            {"percentage": float(step.percentage), "hours": step.hours, "monitored": step.monitored}
            for step in steps_of(row)
        ],
        "before_percentage": float(row.before_percentage),
        "history": [
            {
                "at": step.at,
                "percentage": float(step.percentage),
                "state": step.state,
                "reason": step.reason,
                "monitored": step.monitored,
                "without_evidence": step.without_evidence or None,
            }
            for step in row.history.all()
        ],
    }
