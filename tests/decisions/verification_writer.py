"""A process that decides, reports and rates until its input ends. Run by `manage.py shell`."""

import random
import select
import sys
from datetime import UTC, datetime

from experiments.configuration.policy_store import store
from experiments.decisions.outcomes import OutcomeReport, Rating, record_feedback, record_outcome
from experiments.routing.route import RouteRequest, route
from experiments.routing.runtime import engine


def write(seed: int) -> None:
    chance, made = random.Random(seed), 0
    engine.warm_up(store.current())
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        row = route(RouteRequest(f"Prompt {made}", unit_id=f"u{made % 7}"))
        now = datetime.now(UTC)
        record_outcome(row.pk, OutcomeReport(now, 9, chance.randrange(99), 1.5, True), now)
        rated = Rating(row.pk, "quality", chance.choice([0.0, 1.0, 1 / 3]), "a", now)
        record_feedback([rated, rated._replace(metric="stars", value=2.0)], now)
        made += 1
    print(made, flush=True)
