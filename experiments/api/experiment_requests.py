"""Converts the body of an experiment into the form of a configuration file."""

from collections.abc import Iterable
from typing import Any

import orjson

from experiments.api import experiment_shapes as shapes
from experiments.api.errors import InvalidRequestError
from experiments.models import ExperimentMetric

Values = dict[str, Any]

# Null clears these; of all other fields it means left out.
CLEARED_BY_NULL: Values = {
    "domain": None,
    "owner": "",
    "namespace": "",
    "planned_units": None,
    "cost_cap": None,
}


def drop_unchanged(data: Any, shown: shapes.ExperimentPayload) -> Any:
    """`data` without fields that cannot be edited and are sent back unchanged: GET, then PATCH."""
    if not isinstance(data, dict):
        return data
    fixed = orjson.loads(orjson.dumps({k: v for k, v in shown.items() if k not in shapes.EDITABLE}))
    for name in data.keys() & fixed.keys():
        if data[name] != fixed[name]:
            message = f"'{name}' cannot be edited. Leave it out, or send it unchanged."
            raise InvalidRequestError(message, name, "read_only")
    return {name: value for name, value in data.items() if name not in fixed}


def experiment_values(given: shapes.ExperimentEdit) -> Values:
    """The fields that are present. Raises InvalidRequestError."""
    values: Values = {}
    for name in given.model_fields_set - {"key"}:
        value = getattr(given, name)
        if value is not None:
            values[name] = value
        elif name in CLEARED_BY_NULL:
            values[name] = CLEARED_BY_NULL[name]
    if given.arms is not None:
        values["arms"] = _arms(given.arms)
    if given.metrics is not None:
        values["metrics"] = _metrics(given.metrics)
    return values


def _arms(arms: list[shapes.ArmRequest]) -> list[Values]:
    _require_distinct((arm.name for arm in arms), "arms", "name an arm twice.")
    if sum(bool(arm.is_control) for arm in arms) > 1:
        raise InvalidRequestError("'arms' have more than one control.", "arms")
    return [
        {
            "name": arm.name,
            "weight": 0.5 if arm.weight is None else arm.weight,
            "is_control": bool(arm.is_control),
            "policy": _policy(arm.policy),
        }
        for arm in arms
    ]


def _policy(policy: shapes.PolicyRequest) -> Values:
    between = {"between": [dict(step) for step in policy.between]} if policy.between else {}
    return {
        "method": policy.method,
        "router": policy.router,
        "threshold": policy.threshold,
        "strong": policy.strong_model,
        "weak": policy.weak_model,
        "epsilon": policy.epsilon or 0.0,
        **({} if policy.target_share is None else {"target_share": policy.target_share}),
        **between,
    }


def _metrics(metrics: list[shapes.MetricRequest]) -> list[Values]:
    for index, metric in enumerate(metrics):
        if metric.role == ExperimentMetric.Role.GUARDRAIL and not metric.margin:
            param = f"metrics[{index}].margin"
            message = f"'{param}' is missing: a guardrail needs one above 0."
            raise InvalidRequestError(message, param, "missing")
    _require_distinct((metric.metric for metric in metrics), "metrics", "name a metric twice.")
    return [dict(metric) for metric in metrics]


def _require_distinct(names: Iterable[str], param: str, message: str) -> None:
    listed = list(names)
    if len(set(listed)) < len(listed):
        raise InvalidRequestError(f"'{param}' {message}", param)
