"""`manage.py rebuild_rollups`: counts the hourly sums that pages read anew."""

from argparse import ArgumentParser
from datetime import UTC, date, datetime, time
from typing import Any

from experiments.core.wording import plural
from experiments.decisions.rebuilding import rebuild
from experiments.management.base import BaseCommand


class Command(BaseCommand):
    help = (
        "Counts the hourly roll-ups anew from the stored decisions; pruned hours stay as they are."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=date.fromisoformat, help="First UTC day: 2026-11-01.")
        parser.add_argument("--until", type=date.fromisoformat, help="UTC day to stop before.")

    def handle(self, *args: Any, **options: Any) -> None:
        done = rebuild(_midnight(options["since"]), _midnight(options["until"]))
        self.stdout.write(
            f"Counted {plural(done.decisions, 'decision')} of {plural(done.hours, 'hour')} anew."
        )
        if done.left:
            self.stdout.write(
                f"Left {plural(done.left, 'hour')} alone: some of their decisions are pruned."
            )


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time.min, UTC) if day else None
