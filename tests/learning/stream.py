"""A stream of decisions with known qualities of both answers, stored as the gateway stores them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from experiments.configuration.policy_store import store
from experiments.configuration.revisions import revision
from experiments.learning.inputs import input_row
from experiments.models import (
    Decision,
    Domain,
    Feedback,
    Flag,
    LearningInput,
    RoutingSettings,
    ShadowPair,
)
from experiments.routing.route import RouteRequest, configuration, decide_one

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EASY = ("What is the capital of", "Translate this word into", "Name a synonym of", "Spell")
HARD = (
    "Prove by induction that",
    "Derive the gradient of",
    "Find the bug in",
    "Schedule",
)
THINGS = ("France", "matrices", "recursion", "seven", "a queue", "light", "the parser", "a heap")


class Asked(NamedTuple):
    """One request: `strong` and `weak` are the qualities of both answers."""

    text: str
    strong: float
    weak: float


def asked(count: int, seed: int = 1, gain: float = 1.0) -> list[Asked]:
    """Half of the prompts are hard: there the strong model is better with probability `gain`."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        hard = bool(rng.random() < 0.5)
        start = rng.choice(HARD if hard else EASY)
        text = f"{start} {rng.choice(THINGS)} and {rng.choice(THINGS)}, case {number}."
        better = hard and rng.random() < gain
        strong = 1.0 if better else 0.5
        found.append(Asked(text, strong, 1.0 - strong))
    return found


def learning_on(domain: str = "technical", **values: Any) -> None:
    with revision("tests"):
        Domain.objects.filter(name=domain).update(
            learning=True, prompt_storage="features", **values
        )
        Flag.objects.filter(key="routellm_learning").update(percentage=100)
        RoutingSettings.objects.update(judge_model=RoutingSettings.objects.get().strong_model)
    store.invalidate()


def moment(number: int) -> datetime:
    return START + timedelta(seconds=10 * number)


def send(
    requests: Sequence[Asked],
    first: int,
    *,
    strong: Sequence[bool] | None = None,
    paired: Sequence[bool] = (),
    rated: bool = True,
    domain: str = "technical",
) -> list[Decision]:
    """Decides and stores requests, with their labels. `strong` says which model answered."""
    policy, expected = configuration()
    rows = []
    for at, one in enumerate(requests):
        request = RouteRequest(
            one.text, unit_id=f"unit-{first + at}", domain=domain, at=moment(first + at)
        )
        row = decide_one(policy, expected, request)
        if strong is not None:
            row.model = row.strong_model if strong[at] else row.weak_model
        rows.append(row)
    Decision.objects.bulk_create(rows)
    for at, (one, row) in enumerate(zip(requests, rows, strict=True)):
        by_strong = row.model == row.strong_model
        if rated:
            _rate(row, one.strong if by_strong else one.weak, moment(first + at))
        if at < len(paired) and paired[at]:
            _pair(row, one, moment(first + at))
    return rows


def _rate(row: Decision, value: float, at: datetime) -> None:
    Feedback.objects.create(
        decision=row,
        metric="quality",
        source="user",
        value=value,
        occurred_at=at,
        received_at=at,
    )


def _pair(row: Decision, one: Asked, at: datetime) -> None:
    by_strong = row.model == row.strong_model
    ShadowPair.objects.create(
        decision=row,
        status="judged",
        domain=row.domain,
        model=row.model,
        other_model=row.weak_model if by_strong else row.strong_model,
        created_at=at,
        ended_at=at,
        preference=one.strong if by_strong else one.weak,
        odds=0.1,
    )
    LearningInput.objects.bulk_create([input_row(row, one.text)])
