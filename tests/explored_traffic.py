"""Traffic of a domain that explores, through the real services: decided, answered and rated."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

from experiments.models import Decision, Domain
from experiments.services.engine import engine
from experiments.services.outcomes import OutcomeReport, Rating, record_feedback, record_outcomes
from experiments.services.policies import store
from experiments.services.revisions import revision
from experiments.services.routing import RouteRequest, route_batch

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SUBJECTS = ("a loop in Python", "a mutex", "a B-tree", "SQL joins", "garbage collection")


def set_policy(domain: str = "technical", **values: object) -> None:
    """The domain's row with `values`, published and loaded."""
    with revision("tests"):
        row = Domain.objects.get(name=domain)
        for name, value in values.items():
            setattr(row, name, value)
        row.save()
    engine.warm_up(store.current())


def send(
    count: int,
    *,
    domain: str = "technical",
    rated: float = 1.0,
    until: datetime = NOW,
    days: float = 7,
    seed: int = 1,
) -> list[Decision]:
    """`count` requests of a third as many units: the strong model is liked in 9 of 10 cases, the
    weak one in 6."""
    chance = random.Random(seed)
    requests = [
        RouteRequest(
            f"Explain {chance.choice(SUBJECTS)}, case {number}. " + "Show code. " * (number % 9),
            unit_id=f"unit-{seed}-{number % max(1, count // 3)}",
            domain=domain,
            at=until - timedelta(days=0.99 * days * (1 - number / count)),
        )
        for number in range(count)
    ]
    rows = [row for row in route_batch(requests) if isinstance(row, Decision)]
    reports = {
        UUID(str(row.id)): OutcomeReport(row.created_at, row.input_tokens, 200, success=True)
        for row in rows
    }
    record_outcomes(reports, until)
    liked = [
        Rating(
            UUID(str(row.id)),
            "quality",
            float(chance.random() < (0.9 if row.model == row.strong_model else 0.6)),
            "user",
            row.created_at,
        )
        for row in rows
        if chance.random() < rated
    ]
    record_feedback(liked, until)
    return rows
