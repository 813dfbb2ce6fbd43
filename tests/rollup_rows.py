"""Roll-ups as rows, where a test is about what is read from them and not about deciding."""

from datetime import UTC, datetime
from typing import Any

from experiments.models import Rollup, RollupBin
from experiments.models.sums import FIXED_POINT

HOUR = datetime(2026, 11, 20, 10, tzinfo=UTC)
CENT = 10_000_000
"""Nano-dollars."""


def hour(
    domain: str = "technical",
    tier: str = "strong",
    *,
    at: datetime = HOUR,
    decisions: int = 100,
    strong_cost: int = CENT,
    weak_cost: int = CENT // 10,
    liked: int = 0,
    rated: int = 0,
    priced: bool = True,
    **values: Any,
) -> Rollup:
    """`decisions` of one tier, each at these costs; `liked` of `rated` were rated 1, the others 0.

    The domain selector took the weak model.
    """
    each = strong_cost if tier == "strong" else weak_cost
    money = {
        "priced": decisions,
        "paired": decisions,
        "cost": decisions * each,
        "paired_cost": decisions * each,
        "cost_squares": decisions * (each // 1_000) ** 2,
        "baseline": decisions * strong_cost,
        "strong_cost": decisions * strong_cost,
        "weak_cost": decisions * weak_cost,
    }
    fields: dict[str, Any] = {
        "hour": at,
        "domain": domain,
        "tier": tier,
        "model": "openai/gpt-4.1" if tier == "strong" else "openai/gpt-4.1-mini",
        "method": "domain_selector" if tier == "selected" else "routellm",
        "decisions": decisions,
        "quality": liked * FIXED_POINT,
        "quality_squares": liked * FIXED_POINT**2,
        "rated": rated,
        **(money if priced else {}),
    }
    return Rollup.objects.create(**{**fields, **values})


def bins(kind: str, counts: dict[str, int], domain: str = "technical") -> None:
    for name, count in counts.items():
        RollupBin.objects.create(hour=HOUR, domain=domain, kind=kind, bin=name, count=count)
