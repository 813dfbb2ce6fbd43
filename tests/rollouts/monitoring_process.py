"""Run as a program: several machines do a round of one guarded rollout at the same moment, on one
SQLite file. `python -m tests.rollouts.monitoring_process` with DATABASE_URL set."""

import os
import sys
from datetime import timedelta
from threading import Barrier

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

FLAG = "routellm_medical_domain"


def rounds_at_once() -> list[BaseException]:
    """Two moments at which a step is over, and everybody advances at each of them."""
    from experiments.rollouts import lifecycle
    from tests.decisions.running_totals_process import WRITERS, in_threads
    from tests.experiment_rows import START, rollout

    lifecycle.start(rollout(steps=[(10, 24), (25, 24), (50, 24), (100, 0)]), "olga", START)
    compare()
    together = Barrier(WRITERS)

    def work(_: int) -> None:
        for day in (1, 2):
            together.wait(timeout=60)
            lifecycle.advance_all(START + timedelta(days=day))

    return in_threads(work)


def compare() -> None:
    """Enough units on both sides for every step."""
    from experiments.models import Rollout, UnitSum
    from tests.experiment_rows import START

    key = Rollout.objects.get().key
    for side, units in (("control", 2700), ("treated", 300)):
        UnitSum.objects.bulk_create(
            UnitSum(
                experiment=key, phase=1, arm=side, unit_hash=f"{side}-{number}", domain="medical",
                day=START.date(), decisions=1, priced=1, cost=1_000_000, baseline=2_000_000,
                outcomes=1, quality=1_000_000, rated=1,
            )
            for number in range(units)
        )  # fmt: skip


def steps_taken() -> list[tuple[float, str]]:
    from experiments.models import Rollout

    history = Rollout.objects.get().history.order_by("pk")
    return [(float(one.percentage), one.state) for one in history]


def main() -> None:
    import django

    django.setup()
    from django.core.management import call_command

    from experiments.configuration.seeding import seed

    call_command("migrate", verbosity=0)
    seed()
    raised = rounds_at_once()
    if raised:
        sys.exit(f"raised {raised!r}")
    print(steps_taken())


if __name__ == "__main__":
    main()
