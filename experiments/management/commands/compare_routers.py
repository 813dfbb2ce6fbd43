"""`manage.py compare_routers OUTCOMES`: routers in the same folds, as a Markdown table."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from experiments.management.base import BaseCommand
from experiments.routers.outcomes import GSM8K, Outcomes, OutcomesError, read_outcomes
from experiments.routers.training.candidates import (
    BaselineCandidate,
    LocalCandidate,
    MFCandidate,
)
from experiments.routers.training.crossval import (
    GROUPS,
    QUESTIONS,
    CandidateFit,
    Figure,
    cross_validate,
    splits,
)
from experiments.routers.training.fit import TooFewPromptsError
from experiments.routers.training.folds import N_FOLDS
from experiments.routers.training.run import prepare_data


class Command(BaseCommand):
    help = (
        "Cross-validates the baseline, local_mf, the local router and its parts in the same folds, "
        "and prints APGR as a Markdown table. Takes minutes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("outcomes", type=Path, help="As for train_router.")
        parser.add_argument("--leave-out", action="append", default=[], metavar="GROUP")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--repeats", type=int, default=3)
        parser.add_argument("--group-seeds", type=int, default=5)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            recorded = read_outcomes(options["outcomes"])
            outcomes = recorded.where(lambda row: row.group not in options["leave_out"])
            found = _compare(outcomes, options)
        except (OutcomesError, TooFewPromptsError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(_table(found))


def _compare(outcomes: Outcomes, options: dict[str, Any]) -> dict[str, Mapping[str, Figure]]:
    data = prepare_data(outcomes)
    candidates: list[CandidateFit] = [
        BaselineCandidate(outcomes),
        MFCandidate(data, options["seed"]),
        LocalCandidate(data, options["seed"]),
    ]
    to_run = list(splits(outcomes, options["repeats"], options["group_seeds"]))
    found: dict[str, Mapping[str, Figure]] = {}
    fits = N_FOLDS * len(to_run) * len(candidates)
    with tqdm(total=fits, file=sys.stderr, unit="fit") as bar:
        for candidate in candidates:
            found |= cross_validate(candidate, outcomes, to_run, bar.update)
    return found


def _table(found: Mapping[str, Mapping[str, Figure]]) -> str:
    columns = [QUESTIONS, GROUPS, GSM8K]
    lines = [f"| router | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for name, by_figure in found.items():
        cells = [_cell(by_figure.get(column)) for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "undefined"
    if len(figure.by_seed) == 1:
        return f"{figure.mean:.3f}"
    return f"{figure.mean:.3f} ({min(figure.by_seed):.3f} to {max(figure.by_seed):.3f})"
