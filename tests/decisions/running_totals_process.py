"""Run as a program: several threads write decisions and outcomes into one SQLite file, then all
sums are recounted. `python -m tests.decisions.running_totals_process` with DATABASE_URL set."""

import os
import random
import sys
import threading
from collections.abc import Callable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

WRITERS = 4


def in_threads(work: Callable[[int], None]) -> list[BaseException]:
    """Runs `work` in several threads, each with its own connection; what they raised."""
    from django.db import connection

    raised: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            raised.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def write_concurrently() -> list[BaseException]:
    """All writers share the decisions, so that they meet on the same rows."""
    from tests.decisions import recount

    shared = recount.decide(random.Random(0), 40)

    def work(number: int) -> None:
        chance = random.Random(number)
        for _ in range(5):
            own = recount.decide(chance, 10)
            recount.report(chance, shared + own, 40)

    return in_threads(work)


def differences() -> list[str]:
    """The tables whose sums differ from a recount."""
    from experiments.models import MetricSum, Rollup, UnitSum
    from tests.decisions import recount

    pairs = {
        "units": (recount.stored(UnitSum), recount.units()),
        "metrics": (recount.stored(MetricSum), recount.metrics()),
        "hours": (recount.stored(Rollup), recount.hours()),
        "bins": (recount.stored_bins(), recount.bins()),
    }
    return [name for name, (kept, counted) in pairs.items() if kept != counted]


def main() -> None:
    import django

    django.setup()
    from django.core.management import call_command

    from experiments.configuration.seeding import seed
    from tests.decisions import recount

    call_command("migrate", verbosity=0)
    seed()
    recount.prepare()
    raised = write_concurrently()
    wrong = differences()
    if raised or wrong:
        sys.exit(f"raised {raised!r}, wrong {wrong}")
    print("equal")


if __name__ == "__main__":
    main()
