"""`manage.py config_schema`: the JSON schema of a configuration file."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from experiments.configuration.json_schema import file_schema, reference_page
from experiments.management.base import BaseCommand


class Command(BaseCommand):
    help = "Writes the JSON schema of a configuration file, with which editors check the YAML."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", type=Path, help="Output file. Default: standard output.")
        parser.add_argument("--markdown", action="store_true", help="The reference page instead.")

    def handle(self, *args: Any, **options: Any) -> None:
        text = reference_page() if options["markdown"] else json.dumps(file_schema(), indent=2)
        if options["output"]:
            options["output"].write_text(f"{text.rstrip()}\n")
            self.stdout.write(f"Wrote {options['output']}.")
        else:
            self.stdout.write(text)
