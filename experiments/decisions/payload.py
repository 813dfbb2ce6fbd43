"""A decision in the REST API's form: one shape for new and stored ones."""

from experiments.core.money import usd
from experiments.decisions import shapes
from experiments.models import Decision


def decision_payload(row: Decision) -> shapes.DecisionPayload:
    detail = row.detail
    return {
        "decision_id": str(row.id),
        "model": row.model,
        "tier": row.tier,
        "method": row.method,
        "reason": row.reason,
        "domain": {
            "name": row.domain,
            "confidence": row.confidence,
            "candidates": [
                {"name": name, "confidence": confidence}
                for name, confidence in detail["candidates"]
            ],
            "overridden": detail["overridden"],
        },
        "router": _router(row),
        "flags": detail["flags"],
        "experiment": _experiment(row),
        "sticky": row.sticky,
        "explored": row.explored,
        "propensity": row.propensity,
        "propensity_given_arm": row.propensity_given_arm,
        "propensity_reason": detail["propensity_reason"],
        "cost": _cost(row),
        "fallbacks": detail["fallbacks"],
        "policy_revision": row.revision,
        "latency_ms": None if row.latency_us is None else round(row.latency_us / 1000, 3),
    }


def _router(row: Decision) -> shapes.DecisionRouter | None:
    if not row.router or row.score is None or row.threshold is None:
        return None
    return {
        "name": row.router,
        "score": row.score,
        "threshold": row.threshold,
    }


def _experiment(row: Decision) -> shapes.DecisionExperiment | None:
    if not row.experiment or row.arm is None or row.phase is None:
        return None
    return {"key": row.experiment, "arm": row.arm, "phase": row.phase}


def _cost(row: Decision) -> shapes.DecisionCost:
    saving = None
    if row.cost is not None and row.cost_baseline is not None:
        saving = row.cost_baseline - row.cost
    return {
        "currency": "USD",
        "estimated": usd(row.cost),
        "strong": usd(row.cost_strong),
        "weak": usd(row.cost_weak),
        "baseline": usd(row.cost_baseline),
        "saving": usd(saving),
        "baseline_model": row.baseline_model or None,
        "priced": row.priced,
    }
