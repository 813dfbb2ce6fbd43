"""`manage.py train_router`: local routers from recorded outcomes, with honest figures."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from experiments.routers.outcomes import (
    STRONG_MODEL,
    WEAK_MODEL,
    Outcomes,
    OutcomesError,
    read_domains,
    read_outcomes,
)
from experiments.routers.training.fit import TooFewPromptsError
from experiments.routers.training.run import KINDS, TRAINERS, Plan, prepare_data


class Command(BaseCommand):
    help = (
        "Train the local routers on recorded outcomes, measure them by cross-validation and write "
        "checkpoints. The same data and seed give the same bytes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "outcomes",
            type=Path,
            help="RouteLLM's evaluation folder, or a CSV prompt,strong_score,weak_score[,…].",
        )
        parser.add_argument("--kind", choices=[*KINDS, "all"], default="all")
        parser.add_argument(
            "--out",
            type=Path,
            default=Path("trained"),
            help="Folder for the checkpoints, one sub-folder a kind (default: trained/).",
        )
        parser.add_argument(
            "--domains", type=Path, help="CSV subject,domain: thresholds for each domain."
        )
        parser.add_argument(
            "--leave-out",
            action="append",
            default=[],
            metavar="GROUP",
            help="A subject or group that is not trained on. May be repeated.",
        )
        parser.add_argument("--strong-model", default=STRONG_MODEL, help="Column of the folder.")
        parser.add_argument("--weak-model", default=WEAK_MODEL, help="Column of the folder.")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--repeats", type=int, default=3, help="Five-fold splits over questions."
        )
        parser.add_argument(
            "--group-seeds", type=int, default=5, help="Five-fold splits over whole groups."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            outcomes = _outcomes(options)
            self._train(outcomes, options)
        except (OutcomesError, TooFewPromptsError) as error:
            raise CommandError(str(error)) from error

    def _train(self, outcomes: Outcomes, options: dict[str, Any]) -> None:
        kinds = KINDS if options["kind"] == "all" else (options["kind"],)
        self.stdout.write(f"{len(outcomes)} prompts. Reading them once …")
        data = prepare_data(outcomes)
        for kind in kinds:
            with tqdm(desc=kind, file=sys.stderr, unit="fit") as bar:
                plan = Plan(
                    outcomes=outcomes,
                    seed=options["seed"],
                    repeats=options["repeats"],
                    group_seeds=options["group_seeds"],
                    left_out=sorted(options["leave_out"]),
                    advance=bar.update,
                )
                bar.reset(total=plan.steps())
                folder = options["out"] / kind
                manifest = TRAINERS[kind](plan, data, folder)
            self._report(kind, folder, manifest.measured)

    def _report(self, kind: str, folder: Path, measured: Any) -> None:
        for name, figure in measured.items():
            self.stdout.write(f"{kind}: APGR {figure['apgr']:.3f} ({name}, held out)")
        self.stdout.write(
            f"Wrote {folder}. Use it: set checkpoint_path of a router of kind {kind} to it."
        )


def _outcomes(options: dict[str, Any]) -> Outcomes:
    domains = read_domains(options["domains"]) if options["domains"] else None
    outcomes = read_outcomes(
        options["outcomes"],
        strong_model=options["strong_model"],
        weak_model=options["weak_model"],
        domains=domains,
    )
    unknown = sorted(set(options["leave_out"]) - set(outcomes.groups))
    if unknown:
        raise OutcomesError(
            f"There is no group {', '.join(unknown)} to leave out of {options['outcomes']}."
        )
    return outcomes.where(lambda row: row.group not in options["leave_out"])
