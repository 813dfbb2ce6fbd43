"""Trains the domain detector that ships with the application."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from experiments.management.base import BaseCommand
from experiments.routers.detector import CHECKPOINT
from experiments.routers.domain_prompts import FOLDER, load_sources
from experiments.routers.outcomes import OutcomesError, read_domains, read_outcomes
from experiments.routers.training.domain_rows import PROMPTS_PER_DOMAIN, collect
from experiments.routers.training.domains import save, train


class Command(BaseCommand):
    help = (
        "Trains the domain detector on recorded prompts (RouteLLM's evaluation folder, or a CSV "
        "with prompt,strong_score,weak_score,domain) and the hand-written prompts. Operators do "
        "not need this command: example prompts in the admin work without training."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("data", type=Path, help="Evaluation folder or CSV file.")
        parser.add_argument(
            "--domains", type=Path, help="CSV subject,domain; an empty domain is general."
        )
        parser.add_argument(
            "--prompts", type=Path, default=FOLDER, help="Folder of hand-written prompts (YAML)."
        )
        parser.add_argument("--out", type=Path, default=CHECKPOINT, help="Folder to write to.")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--per-domain", type=int, default=PROMPTS_PER_DOMAIN)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            named = read_domains(options["domains"]) if options["domains"] else {}
            outcomes = read_outcomes(options["data"], domains=named)
        except (OutcomesError, OSError) as error:
            raise CommandError(str(error)) from error
        rows = collect(
            outcomes,
            load_sources(options["prompts"]),
            seed=options["seed"],
            per_domain=options["per_domain"],
            progress=self._log,
        )
        trained = train(rows, seed=options["seed"], progress=self._log)
        sha256 = save(
            trained, rows, options["out"], seed=options["seed"], data_sha256=outcomes.sha256()
        )
        for folds, measured in trained.measured.items():
            self.stdout.write(f"{folds}: {measured}")
        self.stdout.write(f"Wrote {options['out']} (sha256 {sha256}).")

    def _log(self, line: str) -> None:
        self.stderr.write(line)
