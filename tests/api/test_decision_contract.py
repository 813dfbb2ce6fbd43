"""The response of POST /api/v1/route, key by key and type by type."""

import re
from decimal import Decimal
from typing import Any

from experiments.core.bucketing import bucket
from experiments.models import Flag
from tests.api.client import API

PROMPT = "Write a haiku about the sea."
MONEY = re.compile(r"-?\d+(\.\d*[1-9])?")

SHAPE: dict[str, Any] = {
    "decision_id": str,
    "model": str,
    "tier": str,
    "method": str,
    "reason": str,
    "domain": {
        "name": str,
        "confidence": float,
        "candidates": [{"name": str, "confidence": float}],
        "overridden": bool,
    },
    "router": {"name": str, "score": float, "threshold": float},
    "flags": [{"key": str, "on": bool, "reason": str, "bucket": float, "percentage": float}],
    "experiment": None,
    "sticky": bool,
    "explored": bool,
    "propensity": float,
    "propensity_given_arm": float,
    "propensity_reason": None,
    "cost": {
        "currency": str,
        "estimated": str,
        "strong": str,
        "weak": str,
        "baseline": str,
        "saving": str,
        "baseline_model": str,
        "priced": bool,
    },
    "fallbacks": [],
    "policy_revision": int,
    "latency_ms": float,
}


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        shapes = [shape(item) for item in value]
        assert all(each == shapes[0] for each in shapes)
        return shapes[:1]
    return None if value is None else type(value)


def test_a_routed_decision_has_exactly_these_fields_and_types(api: API) -> None:
    assert shape(api.route(PROMPT, domain="creative", unit_id="user-42")) == SHAPE


def test_a_decision_of_the_selector_has_no_router(api: API) -> None:
    decision = api.route(PROMPT, domain="legal")
    assert shape(decision) == {**SHAPE, "router": None}


def test_money_is_a_plain_decimal_string_and_adds_up(api: API) -> None:
    cost = api.route(PROMPT, domain="creative")["cost"]
    for name in ("estimated", "strong", "weak", "baseline", "saving"):
        assert MONEY.fullmatch(cost[name]), name
    assert cost["currency"] == "USD"
    assert Decimal(cost["saving"]) == Decimal(cost["baseline"]) - Decimal(cost["estimated"])


def test_flags_are_the_master_and_the_domains_with_their_public_buckets(api: API) -> None:
    keys = ["routellm_enabled", "routellm_creative_domain"]
    seeds = {flag.key: flag.seed for flag in Flag.objects.filter(key__in=keys)}
    decision = api.route(PROMPT, domain="creative", unit_id="user-42")
    assert [(flag["key"], flag["bucket"]) for flag in decision["flags"]] == [
        (key, bucket(seeds[key], "user-42")) for key in keys
    ]
    assert {flag["reason"] for flag in decision["flags"]} == {"rollout"}
