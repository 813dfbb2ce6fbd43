"""Trains the part of the domain detector that knows other languages than English."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from experiments.management.base import BaseCommand
from experiments.routers.detector import LANGUAGES_CHECKPOINT
from experiments.routers.domain_prompts import WORDS_FOLDER, load_word_lists
from experiments.routers.training.domain_languages import (
    collect_pieces,
    listed_prompts,
    save_languages,
    train_languages,
)


class Command(BaseCommand):
    help = (
        "Train the domain detector for languages other than English on the word lists (about a "
        "minute). Operators do not need it: example prompts in the admin take effect without it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--words", type=Path, default=WORDS_FOLDER, help="Folder of word lists (YAML)."
        )
        parser.add_argument(
            "--out", type=Path, default=LANGUAGES_CHECKPOINT, help="Folder to write to."
        )
        parser.add_argument("--seed", type=int, default=0)

    def handle(self, *args: Any, **options: Any) -> None:
        lists = load_word_lists(options["words"])
        if not lists:
            raise CommandError(f"{options['words']} has no word list. Give a folder of YAML files.")
        seed = options["seed"]
        rows = collect_pieces(listed_prompts(lists, seed))
        trained = train_languages(rows, seed=seed, progress=self._say)
        sha256 = save_languages(trained, rows, options["out"], seed=seed)
        self.stdout.write(f"whole prompts: {trained.measured['whole_prompts']}")
        self.stdout.write(f"Wrote {options['out']} (sha256 {sha256}).")

    def _say(self, line: str) -> None:
        self.stderr.write(line)
