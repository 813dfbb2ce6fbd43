"""`manage.py apply_config FILE`: applies a configuration in YAML."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import yaml
from django.core.management.base import CommandError

from experiments.configuration.apply import ConfigurationError, apply, plan
from experiments.core.differences import Change
from experiments.management.base import BaseCommand


class Command(BaseCommand):
    help = "Applies the configuration in FILE as one revision. Refuses unknown keys."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="Only print the changes.")
        parser.add_argument("--note", default="", help="The reason, for the history.")

    def handle(self, *args: Any, **options: Any) -> None:
        document = _read(options["file"])
        try:
            if options["dry_run"]:
                self._print(plan(document), "Would change")
            else:
                note = options["note"] or f"Applied {options['file'].name}"
                self._print(apply(document, "apply_config", note), "Changed")
        except ConfigurationError as error:
            problems = "\n".join(f"  {problem}" for problem in error.problems)
            raise CommandError(f"Nothing was changed:\n{problems}") from error

    def _print(self, changes: list[Change], verb: str) -> None:
        if not changes:
            self.stdout.write("No changes.")
            return
        self.stdout.write(f"{verb} {len(changes)}:")
        for change in changes:
            self.stdout.write(f"  {change}")


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except OSError as error:
        raise CommandError(f"Cannot read {path}: {error.strerror}.") from error
    except RecursionError:
        raise CommandError(f"{path} is nested too deeply.") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no UTF-8, or a day such as 31 June
        raise CommandError(f"{path} is not YAML: {error}.") from error
