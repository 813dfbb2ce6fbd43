"""The configuration as one document, as in revisions and `export_config`.

A document is plain JSON with sorted names, so that its hash shows whether anything changed. Secrets
and unit ids are never part of it: lists contain keyed hashes.
"""

import hashlib
from decimal import Decimal
from typing import Any

import orjson
from django.core.exceptions import ObjectDoesNotExist

from experiments.models import (
    Domain,
    Experiment,
    Flag,
    FlagEntry,
    LanguageModel,
    Metric,
    ModelPrice,
    ParameterRule,
    ProviderEndpoint,
    Rollout,
    Router,
    RoutingSettings,
)
from experiments.models.base import RoutingPolicyRow
from experiments.models.catalog import PART_PRICES, price_order

Document = dict[str, Any]

MODEL_FIELDS = (
    "provider",
    "is_available",
    "context_window",
    "max_output_tokens",
    "tasks",
    "capabilities",
    "languages",
    "domains",
    "certifications",
    "accuracy_score",
    "speed_rating",
    "latency_p50_ms",
    "latency_p95_ms",
    "upstream_name",
)
ENDPOINT_FIELDS = (
    "protocol",
    "base_url",
    "api_key_env",
    "api_key_file",
    "connect_seconds",
    "first_token_seconds",
    "total_seconds",
    "retries",
    "concurrency",
    "dropped_parameters",
    "asks_usage",
    "native_formats",
)
PARAMETER_RULE_FIELDS = (
    "provider",
    "model_patterns",
    "parameter",
    "action",
    "replacement",
    "minimum",
    "maximum",
    "only_values",
    "except_values",
    "with_parameter",
)
ROUTER_FIELDS = ("kind", "arguments", "checkpoint", "timeout_seconds", "enabled")
DOMAIN_FIELDS = (
    "label",
    "description",
    "keywords",
    "patterns",
    "preferred_models",
    "required_capabilities",
    "required_certifications",
    "min_accuracy_score",
    "min_confidence",
    "target_strong_share",
    "calibrated_threshold",
    "prompt_storage",
    "shadow_share",
    "rubric",
)
SETTINGS_FIELDS = ("detector", "baseline", "holdout_seed", "exploration_seed", "shadow_seed")
EXPERIMENT_FIELDS = (
    "status",
    "seed",
    "phase",
    "hypothesis",
    "owner",
    "unit_kind",
    "coverage",
    "namespace",
    "namespace_start",
    "namespace_end",
    "alpha",
    "power",
    "expected_loss",
    "min_units",
    "min_days",
    "prior_sd",
    "planned_units",
    "tuning_sample_size",
    "window_days",
    "audit_share",
)
ARM_FIELDS = ("name", "weight", "is_control")
METRIC_FIELDS = ("metric", "role", "margin")
OWN_METRIC_FIELDS = ("description", "kind", "minimum", "maximum", "better", "level")
WATCHED = (Rollout.State.READY, Rollout.State.RUNNING, Rollout.State.HELD, Rollout.State.PAUSED)
PLANNED = (Rollout.State.PENDING, *WATCHED)
PLAN_FIELDS = ("steps", "guards", "alpha", "holdback_percentage")
PRICE_FIELDS = ("source", "source_version")


def current_document() -> Document:
    """The configuration in the current rows. A fixed number of queries."""
    return {
        "settings": settings_document(load_settings()),
        "models": {
            row.name: model_document(row)
            for row in LanguageModel.objects.select_related("endpoint")
            .prefetch_related("prices")
            .order_by("name")
        },
        "endpoints": {
            row.name: fields(row, ENDPOINT_FIELDS) for row in ProviderEndpoint.objects.all()
        },
        "parameter_rules": {
            row.name: fields(row, PARAMETER_RULE_FIELDS) for row in ParameterRule.objects.all()
        },
        "routers": {row.name: fields(row, ROUTER_FIELDS) for row in Router.objects.all()},
        "domains": {
            row.name: domain_document(row)
            for row in Domain.objects.select_related("router", "strong_model", "weak_model")
            .prefetch_related("examples")
            .order_by("name")
        },
        "metrics": {row.name: fields(row, OWN_METRIC_FIELDS) for row in Metric.objects.all()},
        "experiments": {
            row.key: experiment_document(row)
            for row in Experiment.objects.exclude(status=Experiment.Status.ARCHIVED)
            .select_related("domain")
            .prefetch_related("arms__router", "arms__strong_model", "arms__weak_model", "metrics")
            .order_by("key")
        },
        "rollouts": {
            row.key: rollout_document(row)
            for row in Rollout.objects.filter(state__in=PLANNED).select_related("flag")
        },
        "flags": {
            row.key: flag_document(row)
            for row in Flag.objects.prefetch_related("entries").order_by("key")
        },
    }


def load_settings() -> RoutingSettings:
    """The row of settings. Raises RoutingSettings.DoesNotExist, which says how to create it."""
    try:
        related = RoutingSettings.objects.select_related(
            "strong_model", "weak_model", "judge_model"
        )
        return related.get(pk=1)
    except ObjectDoesNotExist:
        raise RoutingSettings.DoesNotExist(
            "No routing settings yet. Run `manage.py seed`."
        ) from None


def fields(row: Any, names: tuple[str, ...]) -> Document:
    return {name: getattr(row, name) for name in names}


def settings_document(row: RoutingSettings) -> Document:
    return {
        **fields(row, SETTINGS_FIELDS),
        "holdout_percentage": f"{row.holdout_percentage:.2f}",
        "strong_model": row.strong_model.name if row.strong_model else None,
        "weak_model": row.weak_model.name if row.weak_model else None,
        "judge_model": row.judge_model.name if row.judge_model else None,
        "shadow_budget": f"{row.shadow_budget.normalize():f}",
    }


def model_document(row: LanguageModel) -> Document:
    prices = sorted(row.prices.all(), key=price_order)
    return {
        **fields(row, MODEL_FIELDS),
        "endpoint": row.endpoint.name if row.endpoint else None,
        "prices": [price_document(price) for price in prices],
    }


def price_document(row: ModelPrice) -> Document:
    return {
        **fields(row, PRICE_FIELDS),
        "input_per_million": f"{row.input_per_million.normalize():f}",
        "output_per_million": f"{row.output_per_million.normalize():f}",
        "per_request": f"{row.per_request.normalize():f}",
        **{column: _plain(getattr(row, column)) for column in PART_PRICES},
        "valid_from": row.valid_from.isoformat() if row.valid_from else None,
        "valid_until": row.valid_until.isoformat() if row.valid_until else None,
    }


def _plain(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount.normalize():f}"


def policy_document(row: RoutingPolicyRow) -> Document:
    value = row.routing_policy()
    return {
        "method": str(value.method),
        "router": value.router,
        "threshold": value.threshold,
        "strong": value.strong,
        "weak": value.weak,
        "epsilon": value.epsilon,
        **({"between": list(row.between)} if row.between else {}),
    }


def domain_document(row: Domain) -> Document:
    return {
        **fields(row, DOMAIN_FIELDS),
        "policy": policy_document(row),
        "examples": [example.text for example in row.examples.all()],
    }


def experiment_document(row: Experiment) -> Document:
    return {
        **fields(row, EXPERIMENT_FIELDS),
        "target_effect": f"{row.target_effect.normalize():f}",
        "cost_cap": _plain(row.cost_cap),
        "domain": row.domain.name if row.domain else None,
        "arms": [
            {**fields(arm, ARM_FIELDS), "policy": policy_document(arm)} for arm in row.arms.all()
        ],
        "metrics": [fields(metric, METRIC_FIELDS) for metric in row.metrics.all()],
    }


def rollout_document(row: Rollout) -> Document:
    """A rollout's plan and, once it has started, its shares of treated and control units.

    If a flag was changed manually, its share differs from the phase and nothing is counted.
    """
    share = row.flag.percentage
    return {
        "flag": row.flag.key,
        "state": row.state,
        "step": row.step,
        "phase": row.phase,
        "percentage": f"{share:.2f}",
        "control_percentage": f"{row.control_percentage:.2f}",
        "counted": row.state in WATCHED and share == row.treated_percentage,
        **fields(row, PLAN_FIELDS),
    }


def flag_document(row: Flag) -> Document:
    entries = sorted(row.entries.all(), key=lambda e: (e.kind, e.label, e.unit_hash))
    return {
        "percentage": f"{row.percentage:.2f}",
        "seed": row.seed,
        "description": row.description,
        "allow": [_entry(e) for e in entries if e.kind == FlagEntry.Kind.ALLOW],
        "deny": [_entry(e) for e in entries if e.kind == FlagEntry.Kind.DENY],
    }


def _entry(row: FlagEntry) -> Document:
    return {"unit_hash": row.unit_hash, "label": row.label}


def content_hash(document: Document) -> str:
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()
