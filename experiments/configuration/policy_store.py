"""Builds the frozen `Policy` of a revision, and caches the newest one in each process."""

import threading
import time
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import Max

from experiments.configuration.shapes import Document
from experiments.core import policy as core
from experiments.core.aliases import PolicyAlias, by_precedence
from experiments.core.catalog import Model, ModelCapabilities, ModelMetrics
from experiments.core.detection import DomainConfig
from experiments.core.endpoints import Endpoint, Protocol, Upstream, upstream_name
from experiments.core.money import Price
from experiments.core.parameters import (
    DROPPED_FOR_ENDPOINT,
    Action,
    PolicyRule,
    in_order,
    selective,
)
from experiments.models import PolicyRevision
from experiments.models.catalog import PART_PRICES
from experiments.models.domains import followed_share
from experiments.models.routers import LEARNED, LOCAL_KINDS
from experiments.storage.deadlines import acquired
from experiments.storage.lab_files import with_local_paths

NANO_PER_DOLLAR = 1_000_000_000
RUNNING = "running"
T = TypeVar("T")
SWITCHES = {
    "cost_tracking": "routellm_cost_tracking",
    "performance_monitoring": "routellm_performance_monitoring",
    "ab_testing": "routellm_a_b_testing",
    "quality_feedback": "routellm_quality_feedback",
    "dynamic_threshold": "routellm_dynamic_threshold",
    "learning": "routellm_learning",
}

# Capabilities in a document, and the fields of `ModelCapabilities`.
CAPABILITY_FIELDS = {
    "function_calling": "supports_function_calling",
    "structured_output": "supports_structured_output",
    "streaming": "supports_streaming",
    "vision": "vision_capable",
    "audio": "audio_capable",
    "code": "code_specialized",
    "tools": "supports_tools",
    "json_mode": "supports_json_mode",
}


class NoPolicyError(Exception):
    """No revision was ever published."""

    def __init__(self) -> None:
        super().__init__("No configuration yet. Run `manage.py seed`.")


class PolicyStore:
    """The newest policy of this process. Checks for a newer revision at most once a second.

    Reading a revision takes milliseconds, so flags and percentages apply from the next decision on.
    Slower parts (routers, the detector's examples) are notified and load in the background.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._policy: core.Policy | None = None
        self._checked = float("-inf")
        self._listeners: list[Callable[[core.Policy], None]] = []

    def on_change(self, listener: Callable[[core.Policy], None]) -> None:
        """`listener` is called with each new policy, in the thread that found it."""
        self._listeners.append(listener)

    def current(self) -> core.Policy:
        """At most one query per second, two if there is a new revision."""
        policy = self._fresh()
        if policy is not None:
            return policy
        with acquired(self._lock):
            return self._fresh() or self._refresh()

    def _fresh(self) -> core.Policy | None:
        is_due = time.monotonic() - self._checked >= settings.POLICY_REFRESH_SECONDS
        return None if is_due else self._policy

    def invalidate(self) -> None:
        """The next decision reads the newest revision."""
        self._policy = None

    def _refresh(self) -> core.Policy:
        self._checked = time.monotonic()
        newest = PolicyRevision.objects.aggregate(newest=Max("number"))["newest"]
        if newest is None:
            raise NoPolicyError
        if self._policy is None or self._policy.revision != newest:
            self._policy = load_policy(newest)
            for listener in self._listeners:
                listener(self._policy)
        return self._policy


store = PolicyStore()


def load_policy(number: int) -> core.Policy:
    """The policy of one revision. Raises PolicyRevision.DoesNotExist."""
    return build_policy(number, PolicyRevision.objects.get(number=number).document)


def build_policy(number: int, document: Document) -> core.Policy:
    flags = {key: _flag(key, flag) for key, flag in document["flags"].items()}
    switches = core.Switches(
        **{name: flags[key].share > 0 for name, key in SWITCHES.items() if key in flags}
    )
    routing = document["settings"]
    models = {name: _model(name, model) for name, model in document["models"].items()}
    endpoints = {
        name: _endpoint(name, endpoint) for name, endpoint in document.get("endpoints", {}).items()
    }
    rules = [_parameter_rule(*item) for item in document.get("parameter_rules", {}).items()]
    return core.Policy(
        revision=number,
        master=flags[core.MASTER_FLAG],
        domains={
            name: _domain(name, domain, flags[core.domain_flag(name)], switches)
            for name, domain in document["domains"].items()
        },
        models=models,
        prices={
            name: tuple(_price(price) for price in model["prices"])
            for name, model in document["models"].items()
        },
        routers={
            name: _router(name, router)
            for name, router in document["routers"].items()
            if router["enabled"]
        },
        experiments=tuple(
            _experiment(key, experiment)
            for key, experiment in document["experiments"].items()
            if experiment["status"] == RUNNING
        ),
        rollouts=tuple(
            _rollout(key, rollout)
            for key, rollout in document["rollouts"].items()
            if rollout.get("counted", True)
        ),
        holdout=core.Holdout(_share(routing["holdout_percentage"]), routing["holdout_seed"]),
        exploration_seed=routing["exploration_seed"],
        tie_seed=f"{routing['exploration_seed']}:ties",
        switches=switches,
        detection=core.Detection(
            routing["detector"],
            {name: tuple(d["examples"]) for name, d in document["domains"].items()},
        ),
        shadowing=_shadowing(routing),
        default_pair=core.RoutingPolicy(strong=routing["strong_model"], weak=routing["weak_model"]),
        baseline=routing["baseline"],
        aliases=by_precedence(
            PolicyAlias(name, alias["pattern"], alias["target"], frozenset(alias["keys"]))
            for name, alias in document.get("aliases", {}).items()
        ),
        upstreams={
            name: _upstream(name, model, endpoints[model["endpoint"]], rules)
            for name, model in document["models"].items()
            if model.get("endpoint")
        },
    )


def from_document(kind: type[T], document: Document, **given: Any) -> T:
    """A value of `core` with the document's values of the same names, lists as tuples.

    What an older revision does not have keeps its default.
    """
    values = {
        each.name: tuple(value) if isinstance(value := document[each.name], list) else value
        for each in fields(kind)  # type: ignore[arg-type]
        if each.name in document and each.name not in given
    }
    return kind(**values, **given)


def _shadowing(routing: Document) -> core.Shadowing:
    """Revisions from before shadow calls have none of these values."""
    return core.Shadowing(
        routing.get("shadow_seed", core.Shadowing().seed),
        int(Decimal(routing.get("shadow_budget", 0)) * NANO_PER_DOLLAR),
        routing.get("judge_model"),
    )


def _endpoint(name: str, endpoint: Document) -> Endpoint:
    return from_document(Endpoint, endpoint, name=name, protocol=Protocol(endpoint["protocol"]))


def _upstream(name: str, model: Document, endpoint: Endpoint, rules: list[PolicyRule]) -> Upstream:
    provider = model["provider"]
    called = upstream_name(name, provider, model["upstream_name"], endpoint.protocol)
    names = (name, name.partition("/")[2] or name, called)
    own = [
        PolicyRule(DROPPED_FOR_ENDPOINT, parameter, Action.DROP)
        for parameter in endpoint.dropped_parameters
    ]
    own += [rule for rule in rules if rule.matches(provider, names)]
    ordered = in_order(own)
    return Upstream(endpoint, called, ordered, selective(ordered), model["max_output_tokens"])


def _parameter_rule(name: str, rule: Document) -> PolicyRule:
    return from_document(PolicyRule, rule, name=name, action=Action(rule["action"]))


def _share(percentage: str) -> int:
    return int(Decimal(percentage) * 100)


def _flag(key: str, flag: Document) -> core.FlagRule:
    return from_document(
        core.FlagRule,
        flag,
        key=key,
        share=_share(flag["percentage"]),
        allow=frozenset(entry["unit_hash"] for entry in flag["allow"]),
        deny=frozenset(entry["unit_hash"] for entry in flag["deny"]),
    )


def _domain(
    name: str, domain: Document, flag: core.FlagRule, switches: core.Switches
) -> core.PolicyDomain:
    return from_document(
        core.PolicyDomain,
        domain,
        config=from_document(DomainConfig, domain, name=name),
        flag=flag,
        policy=_domain_policy(domain, switches),
        learning_budget=_known(domain, "learning_budget"),
    )


def _domain_policy(domain: Document, switches: core.Switches) -> core.RoutingPolicy:
    """The domain's own policy with the threshold or target that it follows.

    An arm of an experiment never follows either, not even one that is equal to the domain's policy.
    """
    policy, calibrated = routing_policy(domain["policy"]), domain["calibrated_threshold"]
    if switches.dynamic_threshold and calibrated is not None:
        policy = replace(policy, threshold=calibrated)
    share = followed_share(
        domain.get("follows_target", False),
        domain.get("target_kind", ""),
        domain["target_strong_share"],
        domain.get("resolved_share"),
    )
    return replace(policy, target_share=share)


def routing_policy(policy: Document) -> core.RoutingPolicy:
    steps = tuple(core.ModelStep(**step) for step in policy.get("between", ()))
    return from_document(
        core.RoutingPolicy, policy, method=core.Method(policy["method"]), steps=steps
    )


def _experiment(key: str, experiment: Document) -> core.PolicyExperiment:
    name = experiment["namespace"]
    return from_document(
        core.PolicyExperiment,
        experiment,
        key=key,
        arms=tuple(
            from_document(core.PolicyArm, arm, policy=routing_policy(arm["policy"]))
            for arm in experiment["arms"]
        ),
        namespace=core.Namespace(name, experiment["namespace_start"], experiment["namespace_end"])
        if name
        else None,
        by_request=experiment["unit_kind"] == "request",
    )


def _rollout(key: str, rollout: Document) -> core.PolicyRollout:
    return core.PolicyRollout(
        key,
        rollout["flag"],
        _share(rollout["percentage"]),
        _share(rollout["control_percentage"]),
        rollout.get("phase"),
        _slow_ms(rollout),
    )


def _slow_ms(rollout: Document) -> float | None:
    guards = rollout.get("guards", ())
    return next((one["limit"] for one in guards if one["metric"] == core.P95_LATENCY), None)


def _router(name: str, router: Document) -> core.PolicyRouter:
    return from_document(
        core.PolicyRouter,
        router,
        name=name,
        local=router["kind"] in LOCAL_KINDS,
        checkpoint=router["checkpoint"] or None,
        arguments=with_local_paths(router["arguments"]),
        domain=router["arguments"].get("domain") if router["kind"] == LEARNED else None,
    )


def _price(price: Document) -> Price:
    return Price(
        input_per_million=_nano(price["input_per_million"]),
        output_per_million=_nano(price["output_per_million"]),
        per_request=_nano(price["per_request"]),
        **{of: _known(price, column) for column, of in PART_PRICES.items()},
        source=price["source"],
        valid_from=_day(price["valid_from"]),
        valid_until=_day(price["valid_until"]),
    )


def _known(values: Document, name: str) -> int | None:
    """Revisions from before this amount existed have none."""
    dollars = values.get(name)
    return None if dollars is None else _nano(dollars)


def _nano(dollars: str) -> int:
    return int(Decimal(dollars) * NANO_PER_DOLLAR)


def _day(value: str | None) -> date | None:
    return date.fromisoformat(value) if value else None


def _model(name: str, model: Document) -> Model:
    can = {of: name in model["capabilities"] for name, of in CAPABILITY_FIELDS.items()}
    return from_document(
        Model,
        model,
        name=name,
        capabilities=from_document(
            ModelCapabilities,
            model,
            supported_tasks=tuple(model["tasks"]),
            max_tokens=model["max_output_tokens"],
            **can,
        ),
        # If no price has a start or an end, the first one is valid on any day.
        cost=core.cost_of(_price(model["prices"][0]) if model["prices"] else None),
        metrics=ModelMetrics(model["latency_p50_ms"], model["latency_p95_ms"]),
    )
