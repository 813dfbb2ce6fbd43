"""`manage.py evaluate_router ROUTER FILE`: what a router saves on recorded outcomes."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from experiments.analysis.routing import Evaluation
from experiments.routers.checkpoints import CheckpointError
from experiments.routers.evaluation import RouterEvaluation, evaluate_router
from experiments.routers.loading import load_router
from experiments.routers.outcomes import STRONG_MODEL, WEAK_MODEL, OutcomesError, read_outcomes

_HEADINGS = {
    "apgr": "APGR",
    "cpt20": "CPT(20 %)",
    "cpt50": "CPT(50 %)",
    "cpt80": "CPT(80 %)",
    "strong_share_at_95": "share at 95 %",
}


class Command(BaseCommand):
    help = (
        "Measure a router on recorded outcomes, beside a coin and an oracle that knows both "
        "answers. APGR and CPT are RouteLLM's; shares are shares of prompts sent to the strong "
        "model."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("router", help="local, local_mf, random, or a checkpoint's folder.")
        parser.add_argument(
            "file",
            type=Path,
            help="RouteLLM's evaluation folder, or a CSV prompt,strong_score,weak_score[,…].",
        )
        parser.add_argument("--json", action="store_true", help="Print JSON.")
        parser.add_argument("--group", action="append", help="Only this subject or group.")
        parser.add_argument("--leave-out", action="append", default=[], help="Not this one.")
        parser.add_argument("--strong-model", default=STRONG_MODEL, help="Column of the folder.")
        parser.add_argument("--weak-model", default=WEAK_MODEL, help="Column of the folder.")
        parser.add_argument("--seed", type=int, default=0, help="Of the bootstrap.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            evaluation = _evaluate(options)
        except (OutcomesError, CheckpointError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(evaluation.as_dict(), indent=2))
        else:
            self.stdout.write(_table(evaluation))


def _evaluate(options: dict[str, Any]) -> RouterEvaluation:
    outcomes = read_outcomes(
        options["file"], strong_model=options["strong_model"], weak_model=options["weak_model"]
    )
    wanted, unwanted = options["group"], options["leave_out"]
    chosen = outcomes.where(
        lambda row: (not wanted or row.group in wanted) and row.group not in unwanted
    )
    if not len(chosen):
        raise OutcomesError(f"No prompt of {options['file']} is in the chosen groups.")
    router = load_router(options["router"], options["seed"])
    return evaluate_router(router, chosen, options["seed"])


def _table(evaluation: RouterEvaluation) -> str:
    measured = {name: getattr(evaluation, name) for name in ("router", "random", "oracle")}
    rows = [["", *_HEADINGS.values()], *([name, *_cells(of)] for name, of in measured.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join((f"{evaluation.n} prompts, 95 % intervals by bootstrap", *lines))


def _cells(evaluation: Evaluation) -> list[str]:
    cells = []
    for name, value in evaluation.measures._asdict().items():
        interval = evaluation.intervals.get(name)
        within = f" ({interval.low:.3f} to {interval.high:.3f})" if interval else ""
        cells.append("undefined" if value is None else f"{value:.3f}{within}")
    return cells
