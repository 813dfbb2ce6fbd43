"""Experiments and guarded rollouts in the JSON form of the REST API."""

from dataclasses import asdict
from typing import Any

from experiments.configuration.document import EXPERIMENT_FIELDS
from experiments.experimentation.checklists import Check
from experiments.models import Arm, Experiment, Rollout
from experiments.rollouts.steps import steps_of

# The configuration of an experiment without its seed, and its result.
PLAIN = (
    "key",
    *(name for name in EXPERIMENT_FIELDS if name != "seed"),
    "started_at",
    "stopped_at",
    "stopped_by",
    "stop_reason",
    "verdict",
    "shipped_arm",
    "ship_reason",
)


def experiment_payload(row: Experiment) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in PLAIN},
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


def _arm(arm: Arm) -> dict[str, Any]:
    policy = arm.routing_policy()
    return {
        "name": arm.name,
        "weight": arm.weight,
        "is_control": arm.is_control,
        "policy": {
            "method": str(policy.method),
            "router": policy.router,
            "threshold": policy.threshold,
            "strong_model": policy.strong,
            "weak_model": policy.weak,
            "epsilon": policy.epsilon,
            **({"between": [asdict(step) for step in policy.steps]} if policy.steps else {}),
        },
    }


def check_payload(check: Check) -> dict[str, Any]:
    """Includes the prediction for each arm, in the one line that states it."""
    shown = {"name": check.name, "passed": check.passed, "message": check.message}
    return {**shown, "arms": [arm._asdict() for arm in check.arms]} if check.arms else shown


def rollout_payload(row: Rollout) -> dict[str, Any]:
    return {
        "key": row.key,
        "flag": row.flag.key,
        "state": row.state,
        "step": row.step if row.step >= 0 else None,
        "percentage": float(row.flag.percentage),
        "steps": [
            {"percentage": float(step.percentage), "hours": step.hours, "monitored": step.monitored}
            for step in steps_of(row)
        ],
        "guards": row.guards,
        "margin": row.margin,
        "alpha": row.alpha,
        "holdback_percentage": row.holdback_percentage,
        "before_percentage": float(row.before_percentage),
        "reason": row.reason,
        "started_at": row.started_at,
        "step_started_at": row.step_started_at,
        "ended_at": row.ended_at,
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
