"""The headers of every response, and the explanation if requested."""

from collections.abc import Mapping
from typing import Any

from experiments.core.money import usd
from experiments.decisions.outcomes import actual_costs
from experiments.decisions.payload import decision_payload
from experiments.gateway.asgi import Request
from experiments.gateway.execution import CallExecution
from experiments.limits.quotas import QuotaStatus

PREFIX = "x-switchyard-"
EXPLAIN = PREFIX + "explain"
OWN_KEY = "switchyard"
_LATE = {PREFIX + "fallback", PREFIX + "overhead-ms"}


def wants_explanation(request: Request) -> bool:
    return request.headers.get(EXPLAIN, "").lower() in {"1", "true", "yes"}


def headers(execution: CallExecution, model: str, elapsed_ms: float) -> dict[str, str]:
    """`x-switchyard-…`. Costs are actual once the tokens are known, estimated before."""
    return _headers(execution, model, elapsed_ms, *_money(execution))


def error_headers(execution: CallExecution, elapsed_ms: float) -> dict[str, str]:
    """The same without costs: a failed call has no price to compare."""
    return _headers(execution, execution.model, elapsed_ms, None, None)


def early_headers(execution: CallExecution) -> dict[str, str]:
    """The headers that are known before a model answers."""
    named = _headers(execution, "", 0.0, None, None)
    return {name: value for name, value in named.items() if name not in _LATE}


def _headers(
    execution: CallExecution, model: str, elapsed_ms: float, cost: int | None, saving: int | None
) -> dict[str, str]:
    row = execution.admitted.decision
    values = {
        "decision-id": str(row.pk),
        "model": model,
        "domain": row.domain,
        "arm": row.arm,
        "cost": usd(cost),
        "saving": usd(saving),
        "fallback": execution.fallback_to(model) or row.fallback,
        "changed": execution.changed,
        "overhead-ms": f"{max(0.0, elapsed_ms - execution.waited_ms):.2f}",
        "budget": ", ".join(
            f"above soft {each}" for each in execution.admitted.standing.above_soft
        ),
    }
    named = {PREFIX + name: value for name, value in values.items() if value}
    return named | limit_headers(execution.admitted.standing)


def limit_headers(standing: QuotaStatus) -> dict[str, str]:
    """OpenAI's `x-ratelimit-…`, for keys with a limit per minute."""
    found = {}
    limits = standing.limits
    for name, limit, left in (
        ("requests", limits.requests, standing.requests_left),
        ("tokens", limits.tokens, standing.tokens_left),
    ):
        if limit is not None:
            found[f"x-ratelimit-limit-{name}"] = str(limit)
            found[f"x-ratelimit-remaining-{name}"] = str(left or 0)
            found[f"x-ratelimit-reset-{name}"] = f"{standing.resets_in}s"
    return found


def explanation(execution: CallExecution) -> Mapping[str, Any]:
    """The decision as the REST API explains it, the model that answered, and every attempt."""
    cost, saving = _money(execution)
    usage = execution.usage
    return {
        "decision": decision_payload(execution.admitted.decision),
        "answered_by": execution.model,
        "unavailable": dict(execution.admitted.unavailable),
        "attempts": [
            {
                "model": attempt.model,
                "status": attempt.status,
                "first_token_ms": attempt.first_token_ms,
                "ended_ms": attempt.ended_ms,
                "error": attempt.error or None,
                "changes": [change._asdict() for change in attempt.changes],
            }
            for attempt in execution.attempts
        ],
        "cost": {"currency": "USD", "actual": usd(cost), "saving": usd(saving)},
        "usage_estimated": usage.estimated if usage else None,
    }


def _money(execution: CallExecution) -> tuple[int | None, int | None]:
    """Cost and saving in nano-dollars. A failed call costs what its attempts cost, and saves
    nothing."""
    row, usage = execution.admitted.decision, execution.usage
    if execution.has_failed:
        return execution.cost, None
    cost, baseline = row.cost, row.cost_baseline
    if usage is not None:
        cost = execution.cost
        actual = actual_costs(row, usage.input_tokens, usage.output_tokens, usage)
        baseline = actual.cost_baseline
    return cost, None if cost is None or baseline is None else baseline - cost
