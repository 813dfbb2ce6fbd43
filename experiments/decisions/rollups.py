"""The contribution of a decision to the hourly roll-ups, which pages read."""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from experiments.decisions.unit_totals import fell_back, priced_by
from experiments.models import Decision, Outcome
from experiments.models.sums import CONFIDENCE_BINS, LATENCY_ENDS, SCORE_BINS

MICRO = 1_000


def contribution(
    decision: Decision, outcome: Outcome | None = None, quality: int | None = None
) -> dict[str, int]:
    """The contribution of one decision to its hour: the columns that are not 0."""
    counts = {
        "decisions": 1,
        "fallbacks": int(fell_back(decision, outcome)),
        "explored": int(decision.explored),
        "routing_us": decision.latency_us or 0,
        "timed": int(decision.latency_us is not None),
        **_costs(decision, outcome),
        **(_outcome(decision, outcome) if outcome else {}),
    }
    if quality is not None:
        counts |= {"quality": quality, "quality_squares": quality * quality, "rated": 1}
    return {name: count for name, count in counts.items() if count}


def _costs(decision: Decision, outcome: Outcome | None) -> dict[str, int]:
    """With actual tokens if an outcome reported them, else as estimated."""
    known = priced_by(decision, outcome)
    cost, baseline = known.cost, known.cost_baseline
    if cost is None or baseline is None:
        return {}
    counts = {
        "priced": 1,
        "cost": cost,
        "cost_squares": (cost // MICRO) ** 2,
        "baseline": baseline,
    }
    if known.cost_strong is not None and known.cost_weak is not None:
        counts |= {
            "paired": 1,
            "paired_cost": cost,
            "strong_cost": known.cost_strong,
            "weak_cost": known.cost_weak,
        }
    return counts


def _outcome(decision: Decision, outcome: Outcome) -> dict[str, int]:
    counts = {
        "outcomes": 1,
        "errors": int(outcome.success is False),
        "input_tokens": outcome.input_tokens or 0,
        "output_tokens": outcome.output_tokens or 0,
    }
    if outcome.latency_ms is not None:
        counts |= {"response_us": round(outcome.latency_ms * 1000), "responses": 1}
    if _tells_of_the_estimate(decision, outcome) and outcome.cost is not None:
        counts |= {
            "actual": outcome.cost,
            "estimated": decision.cost or 0,
            "reconciled": 1,
        }
    return counts


def _tells_of_the_estimate(decision: Decision, outcome: Outcome) -> bool:
    """Only if the chosen model wrote the answer: the cost of another model, or of no answer, cannot
    be compared with the estimate."""
    answered = not outcome.model and outcome.output_tokens is not None
    return answered and decision.cost is not None


def bins_of(decision: Decision) -> list[dict[str, Any]]:
    """The histogram bins of a new decision. Outcomes never change them."""
    hour = _hour(decision)
    return [
        {"hour": hour, "domain": decision.domain, "kind": kind, "bin": name}
        for kind, name in _bins(decision)
    ]


def _bins(decision: Decision) -> Iterator[tuple[str, str]]:
    yield "confidence", _bin(decision.confidence, CONFIDENCE_BINS)
    if decision.latency_us is not None:
        yield "latency", f"{bisect_left(LATENCY_ENDS, decision.latency_us):02d}"
    for router, answer in decision.detail["scores"].items():
        if "value" in answer:
            yield f"score:{router}", _bin(answer["value"], SCORE_BINS)
    others = (name for name, _ in decision.detail["candidates"] if name != decision.domain)
    runner_up = next(others, None)
    if runner_up is not None:
        yield "runner_up", runner_up


def _bin(share: float, bins: int) -> str:
    return f"{min(int(share * bins), bins - 1):02d}"


def _hour(decision: Decision) -> Any:
    return decision.created_at.replace(minute=0, second=0, microsecond=0)


def key_of(decision: Decision) -> dict[str, Any]:
    """The row of `Rollup` that counts the decision."""
    return {
        "hour": _hour(decision),
        "domain": decision.domain,
        "experiment": decision.experiment,
        "arm": decision.arm,
        "tier": decision.tier,
        "model": decision.model,
        "method": decision.method,
    }
