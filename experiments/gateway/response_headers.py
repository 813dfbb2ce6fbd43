"""What the caller is answered: the headers of every answer, and the explanation where asked."""

from collections.abc import Mapping
from typing import Any

from experiments.core.money import usd
from experiments.decisions.outcomes import actual_costs
from experiments.decisions.payload import decision_payload
from experiments.gateway.asgi import Request
from experiments.gateway.execution import CallExecution
from experiments.limits.budgets import QuotaStatus

PREFIX = "x-switchyard-"
EXPLAIN = PREFIX + "explain"
OWN_KEY = "switchyard"
_LATE = {PREFIX + "fallback", PREFIX + "overhead-ms"}


def wants_explanation(request: Request) -> bool:
    return request.headers.get(EXPLAIN, "").lower() in {"1", "true", "yes"}


def headers(exchange: CallExecution, model: str, elapsed_ms: float) -> dict[str, str]:
    """`x-switchyard-…`. Costs are actual once the tokens are known, before that as estimated."""
    return _headers(exchange, model, elapsed_ms, *_money(exchange))


def error_headers(exchange: CallExecution, elapsed_ms: float) -> dict[str, str]:
    """The same without money: a call that failed has no price to compare."""
    return _headers(exchange, exchange.model, elapsed_ms, None, None)


def early_headers(exchange: CallExecution) -> dict[str, str]:
    """What is certain before it is known who answers."""
    named = _headers(exchange, "", 0.0, None, None)
    return {name: value for name, value in named.items() if name not in _LATE}


def _headers(
    exchange: CallExecution, model: str, elapsed_ms: float, cost: int | None, saving: int | None
) -> dict[str, str]:
    row = exchange.admitted.decision
    values = {
        "decision-id": str(row.pk),
        "model": model,
        "domain": row.domain,
        "arm": row.arm,
        "cost": usd(cost),
        "saving": usd(saving),
        "fallback": exchange.fallback or row.fallback,
        "changed": exchange.changed,
        "overhead-ms": f"{max(0.0, elapsed_ms - exchange.waited_ms):.2f}",
        "budget": ", ".join(f"above soft {each}" for each in exchange.admitted.standing.above_soft),
    }
    named = {PREFIX + name: value for name, value in values.items() if value}
    return named | limit_headers(exchange.admitted.standing)


def limit_headers(standing: QuotaStatus) -> dict[str, str]:
    """OpenAI's `x-ratelimit-…`, for keys that have a limit by the minute."""
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


def explanation(exchange: CallExecution) -> Mapping[str, Any]:
    """The decision as the REST API explains it, who answered, and every attempt."""
    cost, saving = _money(exchange)
    usage = exchange.usage
    return {
        "decision": decision_payload(exchange.admitted.decision),
        "answered_by": exchange.model,
        "unavailable": dict(exchange.admitted.unavailable),
        "attempts": [
            {
                "model": attempt.model,
                "status": attempt.status,
                "first_token_ms": attempt.first_token_ms,
                "ended_ms": attempt.ended_ms,
                "error": attempt.error or None,
                "changes": [change._asdict() for change in attempt.changes],
            }
            for attempt in exchange.attempts
        ],
        "cost": {"currency": "USD", "actual": usd(cost), "saving": usd(saving)},
        "usage_estimated": usage.estimated if usage else None,
    }


def _money(exchange: CallExecution) -> tuple[int | None, int | None]:
    """Cost and saving in nano-dollars. A call that failed has what its attempts cost, and saved
    nothing."""
    row, usage = exchange.admitted.decision, exchange.usage
    if exchange.has_failed:
        return exchange.cost, None
    cost, baseline = row.cost, row.cost_baseline
    if usage is not None:
        cost = exchange.cost
        actual = actual_costs(row, usage.input_tokens, usage.output_tokens, usage)
        baseline = actual.cost_baseline
    return cost, None if cost is None or baseline is None else baseline - cost
