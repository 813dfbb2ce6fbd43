"""`manage.py export_config`: the configuration as YAML."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import yaml

from experiments.configuration.document import current_document
from experiments.management.base import BaseCommand


class Command(BaseCommand):
    help = "Writes the configuration as YAML, without secrets, for apply_config."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", type=Path, help="Output file. Default: standard output.")

    def handle(self, *args: Any, **options: Any) -> None:
        text = yaml.safe_dump(current_document(), sort_keys=False, allow_unicode=True, width=100)
        if options["output"]:
            options["output"].write_text(text)
            self.stdout.write(f"Wrote {options['output']}.")
        else:
            self.stdout.write(text)
