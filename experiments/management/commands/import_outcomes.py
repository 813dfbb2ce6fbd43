"""`manage.py import_outcomes PATH`: imports recorded outcomes into a set of the lab."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from experiments.lab.imports import Import, default_name, domains_of, prices_now
from experiments.management.base import BaseCommand
from experiments.routers.outcomes import STRONG_MODEL, WEAK_MODEL, OutcomesError, OutcomeSource


class Command(BaseCommand):
    help = (
        "Imports recorded outcomes: grades of two or more models on the same prompts. Rows with "
        "errors are listed with line and reason, and skipped. Importing again changes nothing; an "
        "interrupted import continues."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "path",
            type=Path,
            help="RouteLLM's evaluation folder, or a .csv, .jsonl or .parquet file with "
            "prompt,strong_score,weak_score[,…] or prompt,score:MODEL,score:MODEL[,…].",
        )
        parser.add_argument("--name", help="The set's name. Default: the file's name.")
        parser.add_argument(
            "--domains", type=Path, help="CSV subject,domain: the domain of each group."
        )
        parser.add_argument(
            "--detect-domains",
            action="store_true",
            help="Detect the domain of prompts without one.",
        )
        parser.add_argument(
            "--strong-model",
            default=STRONG_MODEL,
            help="The strong model, for columns named after models.",
        )
        parser.add_argument("--weak-model", default=WEAK_MODEL, help="The weak model.")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["path"]
        name = options["name"] or default_name(path.resolve())
        try:
            source = OutcomeSource(path, options["strong_model"], options["weak_model"])
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
