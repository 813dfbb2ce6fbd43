"""What share of the requests the strong model gets while thresholds follow a target of 50 %.

    python -m benchmarks.thresholds [--requests 800] [--orders 3] [--share 0.5] [--prompts FILE …]

Plays generated streams of prompts through the code that answers `POST /api/v1/route`, on a new
installation in a temporary SQLite database: each request is detected, scored, decided and stored,
and tables move after every 50, as the background process moves them. Printed is the table of
docs/learning.md: the strong share from the 200th request on, with every prompt in one domain and
with the domains that are detected. FILE is a CSV with a column `prompt`, played as further streams
in a random order; nothing of it is kept.
"""

import argparse
import csv
import gzip
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from benchmarks.progress import report
from benchmarks.prompt_streams import STREAMS, stream
from benchmarks.tables import heading, line

MOVED_EVERY = 50
COUNTED_FROM = 200
ONE_DOMAIN = "general"


class Played(NamedTuple):
    """The share of the strong model from the 200th request on, and among the first 200."""

    share: float
    first: float


def play(prompts: Sequence[str], domain: str | None) -> Played:
    """Routes the prompts of one stream in a database without decisions."""
    from experiments.learning.thresholds import ThresholdMover
    from experiments.routing.route import RouteRequest, route
    from experiments.routing.runtime import tables

    _empty()
    tables.invalidate()
    mover, strong = ThresholdMover(), []
    for number, prompt in enumerate(prompts):
        if number % MOVED_EVERY == 0:
            mover.move()
            tables.read()
        strong.append(route(RouteRequest(prompt, domain=domain)).tier == "strong")
    later, first = strong[COUNTED_FROM:], strong[:COUNTED_FROM]
    return Played(sum(later) / len(later), sum(first) / len(first))


def set_up(folder: Path, share: float) -> None:
    """A new installation with that target in every domain, and all flags on."""
    os.environ["DATABASE_URL"] = f"sqlite:///{folder / 'thresholds.sqlite3'}"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routing_site.settings")
    os.environ.setdefault("SECRET_KEY", "benchmarks-only-" + "x" * 50)
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("seed")
    aim_at(share)


def aim_at(share: float) -> None:
    from experiments.configuration.policy_store import store
    from experiments.configuration.revisions import revision
    from experiments.models import Domain, Flag
    from experiments.routing.runtime import engine

    with revision("benchmark"):
        Domain.objects.update(target_strong_share=share)
        Flag.objects.filter(kind="domain").update(percentage=100)
    engine.warm_up(store.current())


def _empty() -> None:
    from experiments.models import Decision, ThresholdTable

    Decision.objects.all().delete()
    ThresholdTable.objects.all().delete()


def _recorded(path: Path, count: int, seed: int) -> list[str]:
    csv.field_size_limit(10_000_000)
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        prompts = [row["prompt"] for row in csv.DictReader(file)]
    return Random(seed).sample(prompts, min(count, len(prompts)))


def _streams(files: Sequence[Path], count: int, orders: int) -> Iterator[tuple[str, list[str]]]:
    for order in range(orders):
        for name in STREAMS:
            yield name, list(stream(name, count, order))
        for path in files:
            yield path.parent.name, _recorded(path, count, order)


def main() -> None:
    arguments = _arguments()
    found: dict[tuple[str, str], list[Played]] = {}
    with tempfile.TemporaryDirectory() as folder:
        report("Preparing a database …")
        set_up(Path(folder), arguments.share)
        for name, prompts in _streams(arguments.prompts, arguments.requests, arguments.orders):
            for where, domain in (("one domain", ONE_DOMAIN), ("detected domains", None)):
                played = play(prompts, domain)
                report(f"{name}, {where}: {played.share:.3f}")
                found.setdefault((name, where), []).append(played)
    print(heading("stream", "domains", "share from 200", "lowest", "highest", "first 200"))
    for (name, where), all_played in found.items():
        shares = [one.share for one in all_played]
        first = sum(one.first for one in all_played) / len(all_played)
        mean = sum(shares) / len(shares)
        numbers = (mean, min(shares), max(shares), first)
        print(line(name, where, *(f"{number:.3f}" for number in numbers)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--requests", type=int, default=800, help="Requests of each stream.")
    parser.add_argument("--orders", type=int, default=3, help="How often each stream is drawn.")
    parser.add_argument("--share", type=float, default=0.5, help="The target strong share.")
    parser.add_argument("--prompts", type=Path, nargs="*", default=[], help="CSV files to play.")
    arguments = parser.parse_args()
    if arguments.requests <= COUNTED_FROM:
        sys.exit(f"--requests must be above {COUNTED_FROM}: earlier requests are not counted.")
    return arguments


if __name__ == "__main__":
    main()
