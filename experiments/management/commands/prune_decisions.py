"""`manage.py prune_decisions`: deletes decisions older than the retention time, keeps totals."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, date, datetime, time
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone
from tqdm import tqdm

from experiments.background import tasks
from experiments.decisions.pruning import BATCH, PruningProgress, prune
from experiments.management.base import BaseCommand
from experiments.management.periodic_jobs import retained_from


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"'{text}' is not a day such as 2026-11-22.") from None


def _batch(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError("must be a whole number of at least 1.")
    return int(text)


class Command(BaseCommand):
    help = (
        "Deletes decisions older than DECISION_RETENTION_DAYS with their outcomes and feedback. "
        "Reports still count them; the API answers 410 for them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--before", type=_day, help="Delete decisions made before this UTC day instead."
        )
        parser.add_argument(
            "--batch", type=_batch, default=BATCH, help="Decisions per transaction."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        before = options["before"] or retained_from(timezone.now().date())
        if before is None:
            self.stdout.write("DECISION_RETENTION_DAYS is 0: decisions are never deleted.")
            return
        if before > timezone.now().date():
            raise CommandError(f"{before} is in the future. Give today or an earlier day.")
        with tqdm(desc="Pruning", unit=" decisions", file=self.stderr, disable=None) as bar:

            def show(progress: PruningProgress) -> None:
                bar.total = progress.total
                bar.update(progress.done - bar.n)

            deleted = prune(before, options["batch"], show)
        tasks.prune(datetime.combine(before, time.min, UTC))
        self.stdout.write(f"Pruned {deleted:,} decisions made before {before}.")
