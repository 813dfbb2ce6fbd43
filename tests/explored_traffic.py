"""Traffic of a domain that explores, through the real services: decided, answered and rated."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

from experiments.configuration.policy_store import store
from experiments.configuration.revisions import revision
from experiments.decisions.decision_rows import compact
from experiments.decisions.outcomes import OutcomeReport, Rating, record_feedback, record_outcomes
from experiments.models import Decision, Domain, Outcome
from experiments.routing.route import RouteRequest, route_batch
from experiments.routing.runtime import engine

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


def let_ten_carry_a_third_of_the_weak_cost() -> None:
    """Ten requests that the weak model answered carry 34 % of what these cost. Either model was as
    likely."""
    first = Decision.objects.all()[0]
    odds = {first.weak_model: 0.5, first.strong_model: 0.5}
    Decision.objects.update(odds=compact(odds))
    weak = Decision.objects.filter(intended_model=first.weak_model)
    keys = list(weak.order_by("created_at").values_list("pk", flat=True))
    others = 66_000_000 // (len(keys) - 10)
    Outcome.objects.filter(pk__in=keys[10:]).update(cost=others)
    Outcome.objects.filter(pk__in=keys[:10]).update(cost=3_400_000)


def let_ten_carry_a_third_of_the_expected_cost() -> None:
    """The same of what 220 requests were expected to cost either model."""
    keys = list(Decision.objects.order_by("created_at").values_list("pk", flat=True))
    Decision.objects.update(cost_weak=220_000, cost_strong=220_000)
    Decision.objects.filter(pk__in=keys[:10]).update(cost_weak=2_380_000, cost_strong=2_380_000)
