"""`manage.py verify_totals`: compares the running totals with a recount of the decisions."""

import sys
from argparse import ArgumentParser
from datetime import UTC, date, datetime, time
from typing import Any

import orjson

from experiments.decisions.verification import Verified, verify
from experiments.formatting import plural
from experiments.management.base import BaseCommand

SHOWN = 100


class Command(BaseCommand):
    help = (
        "Compares roll-ups, histograms, unit totals, metric totals and key usage with a recount of "
        "the stored decisions, also during traffic. Lists differences; the exit status is then 1."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=date.fromisoformat, help="First UTC day: 2026-11-01.")
        parser.add_argument("--until", type=date.fromisoformat, help="UTC day to stop before.")
        parser.add_argument("--repair", action="store_true", help="Correct the differences.")
        parser.add_argument("--json", action="store_true", help="Print all differences as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        done = verify(
            _midnight(options["since"]), _midnight(options["until"]), repair=options["repair"]
        )
        if options["json"]:
            self.stdout.write(orjson.dumps(_payload(done), option=orjson.OPT_INDENT_2).decode())
        else:
            self._print(done)
        if done.differences and not options["repair"]:
            sys.exit(1)

    def _print(self, done: Verified) -> None:
        for difference in done.differences[:SHOWN]:
            self.stdout.write(str(difference))
        if (more := len(done.differences) - SHOWN) > 0:
            self.stdout.write(f"and {more:,} more; --json lists all.")
        compared = f"Compared {plural(done.hours, 'hour')} and {plural(done.days, 'day')}: "
        self.stdout.write(compared + plural(len(done.differences), "difference") + ".")
        if done.left_out_hours or done.left_out_days:
            self.stdout.write(
                f"Left out {plural(done.left_out_hours, 'hour')} and "
                f"{plural(done.left_out_days, 'day')} before {done.pruned_before:%Y-%m-%d}: their "
                "decisions are pruned."
            )
        if done.left_out_usage_days:
            self.stdout.write(
                f"Left out the key usage of {plural(done.left_out_usage_days, 'day')}: with calls "
                "from before reservations were stored with decisions."
            )
        if done.corrected:
            self.stdout.write(f"Corrected {plural(done.corrected, 'row')}.")
        elif done.differences:
            self.stdout.write("Correct them with --repair.")


def _payload(done: Verified) -> dict[str, Any]:
    return {
        **done._asdict(),
        "differences": [difference._asdict() for difference in done.differences],
    }


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time.min, UTC) if day else None
