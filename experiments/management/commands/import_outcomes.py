"""`manage.py import_outcomes PATH`: recorded outcomes into a set of the lab."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from experiments.lab.imports import Import, default_name, domains_of, prices_now
from experiments.management.base import BaseCommand
from experiments.routers.dataset_reader import Source
from experiments.routers.outcomes import STRONG_MODEL, WEAK_MODEL, OutcomesError


class Command(BaseCommand):
    help = (
        "Imports recorded outcomes: how well both models of a pair, or more of them, answered the "
        "same prompts. Rows that cannot be taken are listed with their line and the reason, the "
        "rest goes in. Importing again changes nothing, and goes on where it was interrupted."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "path",
            type=Path,
            help="RouteLLM's evaluation folder, or a .csv, .jsonl or .parquet file with "
            "prompt,strong_score,weak_score[,…] or prompt,score:MODEL,score:MODEL[,…].",
        )
        parser.add_argument("--name", help="The set's name (default: the file's).")
        parser.add_argument(
            "--domains", type=Path, help="CSV subject,domain: the domain of each group."
        )
        parser.add_argument(
            "--detect-domains",
            action="store_true",
            help="Ask the domain detector where the domain is not said.",
        )
        parser.add_argument(
            "--strong-model",
            default=STRONG_MODEL,
            help="The strong one, where columns are named after models.",
        )
        parser.add_argument("--weak-model", default=WEAK_MODEL, help="And the weak one.")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["path"]
        name = options["name"] or default_name(path.resolve())
        try:
            source = Source(path, options["strong_model"], options["weak_model"])
            job = Import(
                source,
                name,
                domains_of(options["domains"]),
                options["detect_domains"],
                prices=prices_now(),
            )
            with tqdm(total=source.total(), file=sys.stderr, unit="B", unit_scale=True) as bar:
                tally = job.run(
                    lambda done: bar.update(max(0, done - bar.n)),
                    lambda refusal: self.stdout.write(f"{refusal.where}: {refusal.reason}"),
                )
        except OutcomesError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{name}: {tally.sentence}")
        self.stdout.write(f"Next: manage.py evaluate_router local {name}")
