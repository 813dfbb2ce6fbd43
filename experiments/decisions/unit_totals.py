"""The contribution of a decision to its unit's daily sums, and the row it belongs to."""

from collections.abc import Iterable
from typing import Any

from experiments.core.sources import is_judge
from experiments.models import Decision, Feedback, Outcome
from experiments.models.sums import FIXED_POINT

QUALITY = "quality"
JUDGE = "judge"


def contribution(
    decision: Decision, outcome: Outcome | None = None, quality: int | None = None
) -> dict[str, int]:
    """The columns of `UnitSum` that are not 0. `quality` is in millionths (`combined_rating`)."""
    counts = {
        "decisions": 1,
        "strong": int(decision.tier == "strong"),
        "fallbacks": int(fell_back(decision, outcome)),
        "audited": int(decision.audited),
        **_costs(decision, outcome),
    }
    if outcome is not None:
        counts |= {"outcomes": 1, "errors": int(outcome.success is False)}
        if outcome.latency_ms is not None:
            counts |= {"latency": round(outcome.latency_ms * 1000), "latency_count": 1}
            counts["slow"] = int(_is_slow(decision, outcome.latency_ms))
    if quality is not None:
        counts |= {"quality": quality, "rated": 1}
        if decision.audited:
            counts |= {"audited_quality": quality, "audited_rated": 1}
    return {name: count for name, count in counts.items() if count}


def _is_slow(decision: Decision, latency_ms: float) -> bool:
    """Longer than the limit that its guarded rollout set before the start."""
    limit = decision.detail.get("slow_ms")
    return limit is not None and latency_ms > limit


def _costs(decision: Decision, outcome: Outcome | None) -> dict[str, int]:
    """Only where both are known, or savings would compare different decisions."""
    known = priced_by(decision, outcome)
    if known.cost is None or known.cost_baseline is None:
        return {}
    return {"priced": 1, "cost": known.cost, "baseline": known.cost_baseline}


def fell_back(decision: Decision, outcome: Outcome | None) -> bool:
    """Whether another model than the chosen one answered."""
    return bool(decision.fallback) or bool(outcome and outcome.model)


def priced_by(decision: Decision, outcome: Outcome | None) -> Decision | Outcome:
    """The row with the costs: the outcome if it reported actual tokens, else the decision."""
    return outcome if outcome is not None and outcome.cost is not None else decision


def combined_rating(ratings: Iterable[Feedback]) -> int | None:
    """One value of one metric, in millionths: people beat judges, equals are averaged."""
    by_kind: dict[bool, list[float]] = {True: [], False: []}
    for rating in ratings:
        by_kind[is_judge(rating.source)].append(rating.value)
    values = by_kind[False] or by_kind[True]
    return round(sum(values) / len(values) * FIXED_POINT) if values else None


def is_counted(decision: Decision) -> bool:
    """Listed and forced units are not counted, nor calls that named their model or router."""
    inputs = decision.detail["inputs"]
    return not decision.detail["listed"] and inputs["force_arm"] is None and not inputs.get("asked")


def key_of(decision: Decision) -> dict[str, Any]:
    """The row that counts the decision: its experiment's arm, its rollout's side and phase, or its
    history."""
    if decision.experiment:
        where = (decision.experiment, decision.phase or 0, decision.arm)
    elif decision.rollout:
        where = (decision.rollout, decision.phase or 1, decision.rollout_arm)
    else:
        where = ("", 0, "")
    return {
        **dict(zip(("experiment", "phase", "arm"), where, strict=True)),
        "unit_hash": _unit_of(decision),
        "domain": decision.domain,
        "day": decision.created_at.date(),
    }


def _unit_of(decision: Decision) -> str:
    """The unit's hash, or the decision itself if the experiment randomizes requests."""
    if decision.detail.get("by_request"):
        return str(decision.id).replace("-", "")
    return decision.unit_hash
