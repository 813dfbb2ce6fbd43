"""Generated traffic: decisions, outcomes and ratings written in bulk, for measuring pages.

Nothing is decided: columns are drawn so that pages have as much to add up as real traffic would
give them. The roll-ups are counted afterwards, as `manage.py rebuild_rollups` does.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from django.db import connection, models, transaction
from django.utils import timezone

from experiments.decisions.rebuilding import rebuild
from experiments.models import Decision, Feedback, Outcome

STRONG, WEAK = "openai/gpt-4.1", "openai/gpt-4.1-nano"
STRONG_COST, WEAK_COST = 4_200_000, 105_000
CHUNK = 10_000


class World(NamedTuple):
    """One domain: its share of the traffic, its threshold, and how its tiers are rated."""

    name: str
    share: float
    threshold: float
    strong_quality: float
    weak_quality: float
    experiment: str = ""


WORLDS = (
    World("technical", 0.30, 0.38, 0.93, 0.92, "technical-threshold"),
    World("creative", 0.18, 0.55, 0.90, 0.90),
    World("educational", 0.16, 0.50, 0.94, 0.93),
    World("general", 0.14, 0.45, 0.91, 0.89),
    World("scientific", 0.10, 0.42, 0.92, 0.80, "scientific-weak"),
    World("financial", 0.07, 1.01, 0.92, 0.91),
    World("medical", 0.04, 0.25, 0.95, 0.93),
    World("legal", 0.01, 0.30, 0.94, 0.92),
)


class Arm(NamedTuple):
    """A policy: always strong and always weak are thresholds of 0 and above 1."""

    name: str
    method: str = "routellm"
    threshold: float = 0.0


NO_ARM = Arm("")
ARMS = (
    Arm("always-strong", "always_strong", 1e-9),
    Arm("routed"),
    Arm("always-weak", "always_weak", 1.0),
)


class Traffic(NamedTuple):
    decisions: int
    days: int
    outcome_share: float = 0.7
    rated_share: float = 0.15
    seed: int = 20261122


def generate(wanted: Traffic) -> None:
    """Writes the traffic into the database and counts its roll-ups."""
    rng = np.random.default_rng(wanted.seed)
    now = timezone.now()
    # More in the day than at night, and a little growth.
    hours = np.sort(_moments(rng, wanted))
    begin = now - timedelta(days=wanted.days)
    for start in range(0, wanted.decisions, CHUNK):
        chunk = hours[start : start + CHUNK]
        times = [begin + timedelta(seconds=float(second)) for second in chunk]
        rows = list(_decisions(rng, times))
        with transaction.atomic():
            _insert(Decision, [row.columns for row in rows])
            _insert(Outcome, list(_outcomes(rng, rows, wanted.outcome_share)))
            _insert(Feedback, list(_ratings(rng, rows, wanted.rated_share)))
    rebuild()


class _Row(NamedTuple):
    columns: dict[str, Any]
    world: World
    is_strong: bool


def _moments(rng: np.random.Generator, wanted: Traffic) -> Any:
    """Seconds since the beginning."""
    days = np.floor(wanted.days * rng.beta(1.25, 1.0, wanted.decisions))
    hours = (rng.normal(14, 4.5, wanted.decisions) % 24) * 3600
    last = wanted.days * 86400 - 1
    return np.minimum(days * 86400 + hours, last)


def _decisions(rng: np.random.Generator, times: Sequence[datetime]) -> Iterator[_Row]:
    n = len(times)
    places = rng.choice(len(WORLDS), n, p=[world.share for world in WORLDS])
    scores = rng.beta(2.2, 2.6, n)
    sizes = rng.lognormal(0, 0.5, n)
    others = rng.choice(len(WORLDS), n)
    noise = rng.random((n, 5))
    entropy = rng.integers(0, 2**63, n)
    for i, at in enumerate(times):
        world = WORLDS[places[i]]
        other = WORLDS[others[i]].name
        arm = ARMS[int(noise[i][0] * len(ARMS))] if world.experiment else NO_ARM
        selected = world.threshold > 1
        is_strong = bool(scores[i] >= (arm.threshold or world.threshold))
        tier = "selected" if selected else ("strong" if is_strong else "weak")
        failed = noise[i][1] < 0.004
        yield _Row(
            _columns(
                at=at,
                id=_uuid7(at, int(entropy[i])),
                domain=world.name,
                tier="selected" if failed else tier,
                is_strong=is_strong,
                score=round(float(scores[i]), 4),
                threshold=arm.threshold or world.threshold,
                size=float(sizes[i]),
                confidence=round(0.45 + 0.55 * float(noise[i][2]) ** 0.5, 4),
                other=other if other != world.name else "general",
                experiment=world.experiment,
                arm=arm.name,
                method="domain_selector" if selected or failed else arm.method,
                failed=bool(failed),
                selected=selected,
                latency_us=int(900 + 900 * float(noise[i][3]) / (1.02 - float(noise[i][4]))),
            ),
            world,
            is_strong,
        )


def _columns(  # noqa: PLR0913 - a row has many columns
    *,
    at: datetime,
    id: UUID,  # noqa: A002 - the column's name
    domain: str,
    tier: str,
    is_strong: bool,
    score: float,
    threshold: float,
    size: float,
    confidence: float,
    other: str,
    experiment: str,
    arm: str,
    method: str,
    failed: bool,
    selected: bool,
    latency_us: int,
) -> dict[str, Any]:
    model = STRONG if is_strong else WEAK
    cost = round(size * (STRONG_COST if is_strong else WEAK_COST))
    by_selector = selected or failed
    reason = "score_at_or_above_threshold" if is_strong else "score_below_threshold"
    if by_selector:
        reason = "router_failed" if failed else "domain_flag_off"
    return {
        "id": id,
        "created_at": at,
        "revision": 1,
        "unit_hash": f"{id.int % 40_000:032x}",
        "sticky": True,
        "domain": domain,
        "confidence": confidence,
        "method": method,
        "reason": reason,
        "tier": tier,
        "model": model,
        "intended_model": model,
        "strong_model": STRONG,
        "weak_model": WEAK,
        "baseline_model": STRONG,
        "router": "" if by_selector else "local",
        "score": None if by_selector else score,
        "threshold": None if by_selector else threshold,
        "experiment": experiment,
        "arm": arm,
        "phase": 1 if experiment else None,
        "rollout": "",
        "rollout_arm": "",
        "counted": bool(experiment),
        "audited": False,
        "explored": False,
        "epsilon": 0.0,
        "propensity": 1.0,
        "propensity_given_arm": 1.0,
        "fallback": "router_failed" if failed else "",
        "input_tokens": round(140 * size),
        "priced": True,
        "cost": cost,
        "cost_strong": round(size * STRONG_COST),
        "cost_weak": round(size * WEAK_COST),
        "cost_baseline": round(size * STRONG_COST),
        "latency_us": latency_us,
        "key_id": None,
        "request_id": "",
        "text": None,
        "odds": "" if by_selector else f'{{"{model}":0.98,"{WEAK if is_strong else STRONG}":0.02}}',
        "scores": "" if failed else f'{{"local":{score}}}',
        "detail": json.dumps(_detail(domain, confidence, other, score, failed, selected)),
    }


def _detail(
    domain: str, confidence: float, other: str, score: float, failed: bool, selected: bool
) -> dict[str, Any]:
    answer = {"reason": "router_failed"} if failed else {"value": score, "checkpoint": "ab" * 32}
    flag = {"reason": "rollout", "bucket": 0.1234}
    return {
        "candidates": [[domain, confidence], [other, round(1 - confidence, 4)]],
        "detector": "classic",
        "overridden": False,
        "flags": [
            {"key": "routellm_enabled", "on": True, "percentage": 100.0, **flag},
            {
                "key": f"routellm_{domain}_domain",
                "on": not selected,
                "percentage": 0.0 if selected else 100.0,
                **flag,
            },
        ],
        "listed": False,
        "scores": {"local": answer},
        "fallbacks": [],
        "propensities": {},
        "propensity_reason": None,
        "prices": {
            STRONG: {"input": 2_000_000_000, "output": 8_000_000_000, "request": 0, "source": ""},
            WEAK: {"input": 100_000_000, "output": 400_000_000, "request": 0, "source": ""},
        },
        "output_tokens": {STRONG: 300, WEAK: 300},
        "inputs": {
            "buckets": {},
            "day": "2026-11-22",
            "force_arm": None,
            "criteria": None,
            "unavailable": [],
            "default_output_tokens": 300,
            "expected": {},
        },
    }


def _outcomes(
    rng: np.random.Generator, rows: Sequence[_Row], share: float
) -> Iterator[dict[str, Any]]:
    factors, came = rng.lognormal(0.02, 0.25, len(rows)), rng.random(len(rows))
    for row, factor, chance in zip(rows, factors, came, strict=True):
        if chance < share:
            costs = {
                name: round(row.columns[name] * float(factor))
                for name in ("cost", "cost_strong", "cost_weak", "cost_baseline")
            }
            yield {
                "decision_id": row.columns["id"],
                "input_tokens": row.columns["input_tokens"],
                "output_tokens": round(300 * float(factor)),
                "latency_ms": round(900 * float(factor), 1),
                "success": bool(chance > 0.003),
                "error": "",
                "occurred_at": row.columns["created_at"],
                "received_at": row.columns["created_at"],
                **costs,
            }


def _ratings(
    rng: np.random.Generator, rows: Sequence[_Row], share: float
) -> Iterator[dict[str, Any]]:
    chances, liked = rng.random(len(rows)), rng.random(len(rows))
    for row, chance, like in zip(rows, chances, liked, strict=True):
        if chance < share:
            good = row.world.strong_quality if row.is_strong else row.world.weak_quality
            yield {
                "decision_id": row.columns["id"],
                "metric": "quality",
                "source": "human",
                "value": 1.0 if like < good else 0.0,
                "comment": "",
                "occurred_at": row.columns["created_at"],
                "received_at": row.columns["created_at"],
            }


def _insert(model: type[models.Model], rows: Sequence[dict[str, Any]]) -> None:
    """Many rows by one prepared statement: the ORM takes several times as long."""
    if not rows:
        return
    fields = [f for f in model._meta.concrete_fields if not isinstance(f, models.AutoField)]
    defaults = {str(f.column): f.get_default() for f in fields if f.has_default()}
    rows = [{**defaults, **row} for row in rows]
    names = tuple(rows[0])
    adapt = {
        field.column: (lambda value, field=field: field.get_db_prep_save(value, connection))
        for field in model._meta.concrete_fields
        if isinstance(field, models.UUIDField | models.DateTimeField | models.ForeignKey)
    }
    values = [[adapt.get(name, _same)(row[name]) for name in names] for row in rows]
    columns = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join(["%s"] * len(names))
    with connection.cursor() as cursor:
        cursor.executemany(
            f'INSERT INTO "{model._meta.db_table}" ({columns}) VALUES ({marks})', values
        )


def _same(value: Any) -> Any:
    return value


def _uuid7(at: datetime, entropy: int) -> UUID:
    milliseconds = int(at.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | (entropy >> 2))
