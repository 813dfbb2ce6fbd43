"""`manage.py rebuild_rollups`: recounts the hourly totals that pages read."""

from argparse import ArgumentParser
from datetime import UTC, date, datetime, time
from typing import Any

from experiments.decisions.rebuilding import rebuild
from experiments.formatting import plural
from experiments.management.base import BaseCommand


class Command(BaseCommand):
    help = "Recounts the hourly roll-ups from the stored decisions; pruned hours do not change."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=date.fromisoformat, help="First UTC day: 2026-11-01.")
        parser.add_argument("--until", type=date.fromisoformat, help="UTC day to stop before.")

    def handle(self, *args: Any, **options: Any) -> None:
        done = rebuild(_midnight(options["since"]), _midnight(options["until"]))
        self.stdout.write(
            f"Recounted {plural(done.decisions, 'decision')} of {plural(done.hours, 'hour')}."
        )
        if done.left:
            self.stdout.write(
                f"Skipped {plural(done.left, 'hour')}: some of their decisions are pruned."
            )


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time.min, UTC) if day else None
