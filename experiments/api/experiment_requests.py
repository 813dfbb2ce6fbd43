"""Reads the body of an experiment into the shape of a configuration file."""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import orjson

from experiments.api.errors import InvalidRequestError
from experiments.api.readers import Reader
from experiments.core.policy import Method
from experiments.models import Experiment, ExperimentMetric

Values = dict[str, Any]

STATUSES = tuple(Experiment.Status.values)
METHODS = tuple(str(method) for method in Method if method is not Method.DIRECT)
ROLES = tuple(ExperimentMetric.Role.values)
KEY = re.compile(r"[a-z][a-z0-9-]{0,79}")
NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
MOST_ARMS = 10
MOST_METRICS = 20
MOST_STEPS = 8
MOST_UNITS = 2_000_000_000
MOST_DAYS = 3650
MOST_DOLLARS = 9000
LONGEST_HYPOTHESIS = 2000
SHARES = ("coverage", "namespace_start", "namespace_end", "expected_loss", "audit_share")


def read_key(reader: Reader) -> str:
    key = reader.text("key")
    if key is None:
        raise reader.fail("key", "is missing.", "missing")
    if not KEY.fullmatch(key):
        raise reader.fail("key", "must be small letters, digits and hyphens, 80 at most.")
    return key


def drop_unchanged(data: Any, shown: Values, editable: Iterable[str]) -> Any:
    """`data` without fields that cannot be edited and are sent back unchanged: GET, then PATCH."""
    if not isinstance(data, dict):
        return data
    fixed = orjson.loads(orjson.dumps({k: v for k, v in shown.items() if k not in set(editable)}))
    for name in data.keys() & fixed.keys():
        if data[name] != fixed[name]:
            message = f"'{name}' cannot be edited. Leave it out, or send it unchanged."
            raise InvalidRequestError(message, name, "read_only")
    return {name: value for name, value in data.items() if name not in fixed}


def read_experiment(reader: Reader) -> Values:
    """The fields that are present; null clears `NULLABLE`, an empty text clears `owner` and
    `namespace`."""
    given: Values = {
        "hypothesis": reader.text("hypothesis", LONGEST_HYPOTHESIS),
        "unit_kind": reader.text("unit_kind", 20),
        **{name: reader.number(name, 0, 1) for name in SHARES},
        "alpha": reader.number("alpha", 0.001, 0.5),
        "power": reader.number("power", 0.5, 0.99),
        "target_effect": _dollars(reader, "target_effect", 9999),
        "prior_sd": reader.number("prior_sd", 0.01, 10),
        "min_units": reader.integer("min_units", 100, MOST_UNITS),
        "min_days": reader.integer("min_days", 0, MOST_DAYS),
        "window_days": reader.integer("window_days", 1, MOST_DAYS),
        "arms": _arms(reader),
        "metrics": _metrics(reader),
    }
    nullable: Values = {
        "domain": reader.text("domain"),
        "owner": reader.text("owner", 150, empty=True) or "",
        "namespace": _name(reader, "namespace", 40, empty=True) or "",
        "planned_units": reader.integer("planned_units", 1, MOST_UNITS),
        "cost_cap": _dollars(reader, "cost_cap", MOST_DOLLARS),
    }
    return {
        **{name: value for name, value in given.items() if value is not None},
        **{name: value for name, value in nullable.items() if reader.has(name)},
    }


def _name(reader: Reader, name: str, longest: int, *, empty: bool = False) -> str | None:
    value = reader.text(name, longest, empty=empty)
    if value and not NAME.fullmatch(value):
        raise reader.fail(name, "must be small letters, digits and underscores.")
    return value


def _dollars(reader: Reader, name: str, most: float) -> str | None:
    """US dollars, in the form of the configuration document."""
    value = reader.amount(name, 1e-9, most)
    return None if value is None else f"{round(Decimal(str(value)), 9).normalize():f}"


def _arms(reader: Reader) -> list[Values] | None:
    items = reader.objects("arms", MOST_ARMS)
    if items is None:
        return None
    arms = [_arm(Reader(item, f"{reader.param('arms')}[{i}]")) for i, item in enumerate(items)]
    names = [arm["name"] for arm in arms]
    if len(set(names)) < len(names):
        raise reader.fail("arms", "name an arm twice.")
    if sum(arm["is_control"] for arm in arms) > 1:
        raise reader.fail("arms", "have more than one control.")
    return arms


def _arm(reader: Reader) -> Values:
    name = reader.text("name", 80)
    if name is None:
        raise reader.fail("name", "is missing.", "missing")
    if not KEY.fullmatch(name):
        raise reader.fail("name", "must be small letters, digits and hyphens.")
    weight = reader.number("weight", 0, 1)
    policy = reader.value("policy")
    if policy is None:
        raise reader.fail(
            "policy", 'is missing: for example {"method": "always_strong"}.', "missing"
        )
    arm = {
        "name": name,
        "weight": 0.5 if weight is None else float(weight),
        "is_control": bool(reader.boolean("is_control")),
        "policy": _policy(Reader(policy, reader.param("policy"))),
    }
    reader.close()
    return arm


def _policy(reader: Reader) -> Values:
    method = reader.choice("method", METHODS)
    if method is None:
        raise reader.fail("method", "is missing.", "missing")
    threshold, between = reader.number("threshold", 0, 1), _between(reader)
    policy = {
        "method": method,
        "router": reader.text("router"),
        "threshold": None if threshold is None else float(threshold),
        "strong": reader.text("strong_model"),
        "weak": reader.text("weak_model"),
        "epsilon": float(reader.number("epsilon", 0, 1) or 0),
        **({"between": between} if between else {}),
    }
    reader.close()
    return policy


def _between(reader: Reader) -> list[Values]:
    """Models between the pair's two; none if the field is left out or an empty list."""
    if not reader.value("between"):
        return []
    path = reader.param("between")
    steps = reader.objects("between", MOST_STEPS) or []
    return [_step(Reader(step, f"{path}[{i}]")) for i, step in enumerate(steps)]


def _step(reader: Reader) -> Values:
    model, router = reader.text("model"), reader.text("router")
    threshold = reader.number("threshold", 0, 1)
    step = {"model": model, "router": router, "threshold": threshold}
    missing = [name for name, value in step.items() if value is None]
    if missing:
        raise reader.fail(missing[0], "is missing.", "missing")
    reader.close()
    return step


def _metrics(reader: Reader) -> list[Values] | None:
    items = reader.objects("metrics", MOST_METRICS)
    if items is None:
        return None
    path = reader.param("metrics")
    metrics = [_metric(Reader(item, f"{path}[{i}]")) for i, item in enumerate(items)]
    names = [metric["metric"] for metric in metrics]
    if len(set(names)) < len(names):
        raise reader.fail("metrics", "name a metric twice.")
    return metrics


def _metric(reader: Reader) -> Values:
    name, role = _name(reader, "metric", 60), reader.choice("role", ROLES)
    if name is None or role is None:
        missing = "metric" if name is None else "role"
        raise reader.fail(missing, "is missing.", "missing")
    margin = reader.number("margin", 0, 1e9)
    if role == ExperimentMetric.Role.GUARDRAIL and not margin:
        raise reader.fail("margin", "is missing: a guardrail needs one above 0.", "missing")
    reader.close()
    return {"metric": name, "role": role, "margin": None if margin is None else float(margin)}
