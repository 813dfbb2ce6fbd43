"""Creates the static embedding that the detector and the local routers use."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from experiments.management.base import BaseCommand
from experiments.routers.embedding import CHECKPOINT
from experiments.routers.training.distillation import DistillationError, distil_embedding


class Command(BaseCommand):
    help = (
        "Distils the static embedding from all-MiniLM-L6-v2 (about a minute, no network). "
        "Routers and detectors trained on the old one must be trained again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--out", type=Path, default=CHECKPOINT, help="Folder to write to.")
        parser.add_argument("--dimensions", type=int, default=256)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            distilled = distil_embedding(options["out"], options["dimensions"])
        except DistillationError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Wrote {len(distilled.embedding.pieces)} vectors to {options['out']}; the lowest "
            f"cosine between a vector and its rounded form is {distilled.worst_cosine}."
        )
