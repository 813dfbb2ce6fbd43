"""`manage.py train_router`: trains local routers on recorded outcomes and measures them."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from experiments.lab.datasets import NoOutcomeSetError
from experiments.lab.training import SHORTCOMINGS, TrainingRequest, train
from experiments.management.base import BaseCommand
from experiments.routers import local
from experiments.routers.checkpoints import Manifest
from experiments.routers.errors import RouterConfigurationError
from experiments.routers.outcomes import (
    STRONG_MODEL,
    WEAK_MODEL,
    Outcomes,
    OutcomesError,
    read_domains,
    read_outcomes,
)
from experiments.routers.training.fit import TooFewPromptsError
from experiments.routers.training.job import KINDS as NAMED_KINDS
from experiments.routers.training.run import KINDS, TRAINERS, TrainingPlan, prepare_data
from experiments.routers.training.training_data import TrainingSet, of_outcomes


class Command(BaseCommand):
    help = (
        "Trains the local routers on recorded outcomes, measures them by cross-validation and "
        "writes "
        "checkpoints. The same data and seed give the same bytes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "target",
            metavar="NAME|OUTCOMES",
            help="With --outcomes: the name of the new router. Without: RouteLLM's evaluation "
            "folder, or a CSV prompt,strong_score,weak_score[,…], to train on.",
        )
        parser.add_argument(
            "--outcomes",
            metavar="SET|PATH",
            help="A set of the lab, or a file. Chooses the settings by cross-validation and adds a "
            "router of that name, which no policy uses yet.",
        )
        parser.add_argument("--domain", default="", help="With --outcomes: only this domain.")
        parser.add_argument(
            "--kind",
            choices=[*NAMED_KINDS, "all"],
            default="all",
            help="With --outcomes: default local. Without: local, local_mf or both (all).",
        )
        parser.add_argument(
            "--out",
            type=Path,
            default=Path("trained"),
            help="Folder for the checkpoints, one subfolder per kind. Default: trained/.",
        )
        parser.add_argument(
            "--domains", type=Path, help="CSV subject,domain: thresholds for each domain."
        )
        parser.add_argument(
            "--leave-out",
            action="append",
            default=[],
            metavar="GROUP",
            help="Exclude this subject or group. Can be repeated.",
        )
        parser.add_argument(
            "--open-prior",
            action="store_true",
            help="Without --outcomes: expect open prompts that are unlike the outcomes, as the "
            "shipped router does.",
        )
        parser.add_argument("--strong-model", default=STRONG_MODEL, help="Column in the folder.")
        parser.add_argument("--weak-model", default=WEAK_MODEL, help="Column in the folder.")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--repeats", type=int, default=3, help="Five-fold splits over prompts.")
        parser.add_argument(
            "--group-seeds", type=int, default=5, help="Five-fold splits over whole groups."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["outcomes"]:
                self._train_named(options)
            else:
                self._train(_outcomes(options), options)
        except (
            OutcomesError,
            TooFewPromptsError,
            NoOutcomeSetError,
            RouterConfigurationError,
        ) as error:
            raise CommandError(str(error)) from error

    def _train_named(self, options: dict[str, Any]) -> None:
        kind = local.KIND if options["kind"] == "all" else options["kind"]
        order = TrainingRequest(
            options["target"], kind, options["outcomes"], options["domain"], options["seed"]
        )
        with tqdm(desc=kind, file=sys.stderr, unit="step") as bar:

            def advance(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            found = train(
                order, "train_router", data=_file(options), advance=advance, log=self.stdout.write
            )
        self.stdout.write(f"Wrote {found.folder}.")

    def _train(self, outcomes: Outcomes, options: dict[str, Any]) -> None:
        kinds = KINDS if options["kind"] == "all" else (options["kind"],)
        if unmeasured := sorted(set(kinds) - set(KINDS)):
            raise OutcomesError(
                f"A router of kind {unmeasured[0]} is trained under a name: "
                f"train_router NAME --kind {unmeasured[0]} --outcomes {options['target']}."
            )
        self.stdout.write(f"{len(outcomes)} prompts. Preparing them …")
        data = prepare_data(outcomes)
        for kind in kinds:
            with tqdm(desc=kind, file=sys.stderr, unit="fit") as bar:
                plan = TrainingPlan(
                    outcomes=outcomes,
                    seed=options["seed"],
                    repeats=options["repeats"],
                    group_seeds=options["group_seeds"],
                    left_out=sorted(options["leave_out"]),
                    open_prior=options["open_prior"],
                    advance=bar.update,
                )
                bar.reset(total=plan.steps())
                folder = options["out"] / kind
                manifest = TRAINERS[kind](plan, data, folder)
            self._report(kind, folder, manifest)

    def _report(self, kind: str, folder: Path, manifest: Manifest) -> None:
        measured: Any = manifest.measured
        for name, figure in measured.items():
            self.stdout.write(f"{kind}: APGR {figure['apgr']:.3f} ({name}, held out)")
        if poor := SHORTCOMINGS.get(manifest.shortcoming):
            self.stdout.write(f"Wrote {folder}. Do not use it: this router {poor}.")
            return
        self.stdout.write(
            f"Wrote {folder}. To use it, set checkpoint_path of a router of kind {kind} to it."
        )


def _outcomes(options: dict[str, Any]) -> Outcomes:
    domains = read_domains(options["domains"]) if options["domains"] else None
    outcomes = read_outcomes(
        Path(options["target"]),
        strong_model=options["strong_model"],
        weak_model=options["weak_model"],
        domains=domains,
    )
    unknown = sorted(set(options["leave_out"]) - set(outcomes.groups))
    if unknown:
        raise OutcomesError(f"Unknown group {', '.join(unknown)} in {options['target']}.")
    return outcomes.where(lambda row: row.group not in options["leave_out"])


def _file(options: dict[str, Any]) -> TrainingSet | None:
    """Outcomes from a file; None if they are a set of the lab."""
    path = Path(options["outcomes"])
    if not path.exists() and not path.suffix and len(path.parts) == 1:
        return None
    pair = options["strong_model"], options["weak_model"]
    domains = read_domains(options["domains"]) if options["domains"] else None
    outcomes = read_outcomes(path, strong_model=pair[0], weak_model=pair[1], domains=domains)
    wanted, unwanted = options["domain"], options["leave_out"]
    kept = outcomes.where(
        lambda row: row.group not in unwanted and (not wanted or row.domain == wanted)
    )
    return of_outcomes(kept, pair)
