"""`manage.py evaluate_domains FILE.csv`: the accuracy of domain detection."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError

from experiments.configuration.policy_store import NoPolicyError, store
from experiments.formatting import exact_share
from experiments.lab.domain_evaluation import (
    CLASSIC_DETECTOR,
    LEARNED_DETECTOR,
    DetectedDomain,
    DetectorQuality,
    configured_domains,
    evaluate_detector,
    read_labelled_prompts,
    seeded_domains,
)
from experiments.management.base import BaseCommand
from experiments.routers.table_files import OutcomesError


class Command(BaseCommand):
    help = (
        "Measures a domain detector on a CSV file with the columns text,domain and, optionally, "
        "also (other accepted domains, separated by |) and language. Domains and example prompts "
        "are those of the newest revision, or the seeded ones if there is none."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="CSV file with the columns text,domain.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")
        parser.add_argument(
            "--detector", choices=(LEARNED_DETECTOR, CLASSIC_DETECTOR), default=LEARNED_DETECTOR
        )
        parser.add_argument(
            "--shipped",
            action="store_true",
            help="Use the seeded domains instead of the configured ones.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            prompts = read_labelled_prompts(options["file"])
        except OutcomesError as error:
            raise CommandError(str(error)) from error
        domains = seeded_domains() if options["shipped"] else _domains_in_use()
        quality = evaluate_detector(options["detector"], domains, prompts)
        if options["json"]:
            self.stdout.write(json.dumps({**quality.strict._asdict(), **_more(quality)}))
        else:
            self.stdout.write(_table(quality))


def _domains_in_use() -> list[DetectedDomain]:
    try:
        return configured_domains(store.current())
    except (NoPolicyError, DatabaseError):
        return seeded_domains()


def _more(quality: DetectorQuality) -> dict[str, Any]:
    return {"lenient": quality.lenient, "by_language": dict(quality.by_language)}


def _table(measured: DetectorQuality) -> str:
    quality = measured.strict
    width = max(len("domain"), *map(len, quality.confusion)) + 2
    lines = [
        f"{quality.n} prompts, accuracy {_percent(quality.accuracy)}, "
        f"with other accepted domains {_percent(measured.lenient)}",
        "",
        f"{'domain':<{width}}{'precision':>10}{'recall':>10}",
    ]
    for name in quality.confusion:
        precision, recall = _percent(quality.precision[name]), _percent(quality.recall[name])
        lines.append(f"{name:<{width}}{precision:>10}{recall:>10}")
    if measured.by_language:
        shares = (f"{name} {_percent(share)}" for name, share in measured.by_language.items())
        lines += ["", f"accuracy by language: {', '.join(shares)}"]
    lines += ["", "true domain (rows) and detected domain (columns)"]
    lines.append(" " * width + "".join(f"{name:>{width}}" for name in quality.confusion))
    for name, found in quality.confusion.items():
        lines.append(f"{name:<{width}}" + "".join(f"{n:>{width}}" for n in found.values()))
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "-" if share is None else exact_share(share)
