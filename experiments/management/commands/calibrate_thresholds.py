"""`manage.py calibrate_thresholds`: sets each domain's threshold for its target strong share."""

from argparse import ArgumentParser
from typing import Any

from experiments.lab.share_calibration import calibrate
from experiments.management.base import BaseCommand


class Command(BaseCommand):
    help = "Finds each domain's threshold for its target strong share, from recent scores."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only print.")

    def handle(self, *args: Any, **options: Any) -> None:
        for result in calibrate(save=not options["dry_run"]):
            self.stdout.write(str(result))
