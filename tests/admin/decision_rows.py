"""Decisions stored as rows, where a test is about many of them and not about deciding."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from uuid6 import uuid7

from experiments.models import Decision

START = datetime(2026, 11, 1, tzinfo=UTC)


def decision_row(created_at: datetime, **fields: Any) -> Decision:
    """A plain decision of the domain selector, with what the test cares about in `fields`."""
    values: dict[str, Any] = {
        "id": uuid7(),
        "created_at": created_at,
        "revision": 1,
        "unit_hash": "0" * 32,
        "sticky": True,
        "domain": "technical",
        "confidence": 0.9,
        "method": "domain_selector",
        "reason": "policy",
        "tier": "selected",
        "model": "openai/gpt-4.1",
        "intended_model": "openai/gpt-4.1",
        "counted": False,
        "explored": False,
        "epsilon": 0.0,
        "input_tokens": 10,
        "priced": False,
        "detail": {"flags": []},
    }
    return Decision(**{**values, **fields})


def store_units(key: str, domain: str, buckets: Iterable[int], first: int = 0) -> None:
    """One decision a unit, whose flag `key` met these bucket indexes. Later calls are newer."""
    begin = START + timedelta(days=Decision.objects.count())
    Decision.objects.bulk_create(
        decision_row(
            begin + timedelta(seconds=number),
            domain=domain,
            unit_hash=f"{first + number:032x}",
            detail={"flags": [_state(key, bucket)]},
        )
        for number, bucket in enumerate(buckets)
    )


def _state(key: str, bucket: int) -> dict[str, Any]:
    return {
        "key": key,
        "on": True,
        "reason": "rollout",
        "bucket": bucket / 10_000,
        "percentage": 0.0,
    }
