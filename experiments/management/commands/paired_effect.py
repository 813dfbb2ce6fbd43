"""`manage.py paired_effect FILE`: effect, bounds and verdict from labeled pairs."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from experiments.analysis.errors import AnalysisError
from experiments.analysis.paired import PairedEffect, paired_effect
from experiments.lab.pair_labels import read_pair_labels
from experiments.management.base import BaseCommand
from experiments.routers.table_files import OutcomesError

VERDICTS = {
    "non_inferior": "Not worse: the loss is smaller than the margin.",
    "inferior": "Worse: the loss is larger than the margin.",
    "undecided": "Undecided: label more pairs.",
}


class Command(BaseCommand):
    help = (
        "Estimate how much better or worse a new policy answers, from labeled pairs of answers "
        "where it chose another model than the old policy. The file (CSV, or JSON lines named "
        ".jsonl) has the columns unit,difference and maybe odds,asked,judge,skipped, in the order "
        "in which the pairs were drawn."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="CSV or JSON lines file with the labels.")
        parser.add_argument(
            "--decisions", type=int, required=True, help="Decisions that the pairs come from."
        )
        parser.add_argument(
            "--disagreements",
            type=int,
            required=True,
            help="How many of them the two policies decide differently.",
        )
        parser.add_argument(
            "--margin",
            type=float,
            required=True,
            help="The largest loss per decision that is accepted, such as 0.03.",
        )
        parser.add_argument(
            "--alpha", type=float, default=0.05, help="Risk of a wrong verdict at any look; 0.05."
        )
        parser.add_argument(
            "--floor",
            type=float,
            help="Smallest odds times asked that the plan allows; else read from the labels.",
        )
        parser.add_argument(
            "--pairs-per-unit",
            type=int,
            help="Most pairs of a unit that the plan allows, 1 to 3; else read from the labels.",
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = paired_effect(
                read_pair_labels(options["file"]),
                decisions=options["decisions"],
                disagreements=options["disagreements"],
                margin=options["margin"],
                alpha=options["alpha"],
                floor=options["floor"],
                pairs_per_unit=options["pairs_per_unit"],
            )
        except (OutcomesError, AnalysisError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(asdict(found)) if options["json"] else _summary(found))


def _summary(found: PairedEffect) -> str:
    estimate = "not known" if found.estimate is None else f"{found.estimate:+.4f}"
    return "\n".join(
        [
            VERDICTS[found.verdict],
            f"difference per decision  {estimate}",
            f"lower and upper bound    {found.lower:+.4f} to {found.upper:+.4f}",
            f"labels, judge verdicts   {found.labels}, {found.judged}",
        ]
    )
