"""`manage.py benchmark_routers SET…`: does routing pay on these outcomes, and with what?"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from experiments.analysis.ratings import Estimate
from experiments.formatting import exact_share, in_dollars
from experiments.lab.columns import OutcomeColumns
from experiments.lab.datasets import NoOutcomeSetError, find_set
from experiments.lab.datasets import columns as columns_of
from experiments.lab.evaluation_inputs import as_columns, file_costs, of_set
from experiments.lab.evaluations import NothingToMeasureError, RouterScores
from experiments.lab.router_benchmark import (
    Benchmark,
    RouterLine,
    SingleModel,
    benchmark,
    pair_as_singles,
    singles_of_set,
)
from experiments.management.base import BaseCommand
from experiments.models import Router
from experiments.routers.errors import RouterConfigurationError
from experiments.routers.kinds import kind_of
from experiments.routers.outcomes import STRONG_MODEL, WEAK_MODEL, OutcomesError, read_outcomes

_STEPS = 11


class _Inputs(NamedTuple):
    columns: OutcomeColumns
    singles: tuple[SingleModel, ...]
    registered: tuple[RouterScores, ...]


class Command(BaseCommand):
    help = (
        "Compare every router that needs no network with each single model, the best mixtures of "
        "single models, random routing and the oracle, on recorded outcomes. The first sentence "
        "answers whether routing pays. Trained routers score prompts that they were not trained on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "sets",
            nargs="+",
            metavar="set",
            help="The name of an outcome set, RouteLLM's evaluation folder, or a CSV "
            "prompt,strong_score,weak_score[,strong_cost,weak_cost,…].",
        )
        parser.add_argument("--json", action="store_true", help="Print JSON.")
        parser.add_argument("--share", type=float, default=0.5, help="Operating point (0.5).")
        parser.add_argument("--seed", type=int, default=0, help="Of folds and bootstrap.")
        parser.add_argument("--strong-model", default=STRONG_MODEL, help="Column of the folder.")
        parser.add_argument("--weak-model", default=WEAK_MODEL, help="Column of the folder.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 < options["share"] < 1:
            raise CommandError(f"The share must be between 0 and 1; got {options['share']}.")
        found = [self._benchmark(name, options) for name in options["sets"]]
        if options["json"]:
            self.stdout.write(json.dumps([payload(one) for one in found], indent=2))
        else:
            self.stdout.write("\n\n".join("\n".join(lines_of(one)) for one in found))

    def _benchmark(self, name: str, options: dict[str, Any]) -> Benchmark:
        try:
            with tqdm(desc=name, total=_STEPS, file=sys.stderr, unit="step") as bar:
                inputs = _inputs(name, options)
                return benchmark(
                    *inputs,
                    share=options["share"],
                    seed=options["seed"],
                    step=lambda _: bar.update(),
                )
        except (
            OutcomesError,
            NoOutcomeSetError,
            NothingToMeasureError,
            RouterConfigurationError,
        ) as error:
            raise CommandError(str(error)) from error


def _inputs(name: str, options: dict[str, Any]) -> _Inputs:
    """A path is one where it exists, or could only be one; anything else names a set."""
    path = Path(name)
    strong, weak = options["strong_model"], options["weak_model"]
    if path.exists() or path.suffix or len(path.parts) > 1:
        outcomes = read_outcomes(path, strong_model=strong, weak_model=weak)
        columns = as_columns(outcomes, path.stem, file_costs(path))
        return _Inputs(columns, pair_as_singles(columns, "strong", "weak"), ())
    found = find_set(name)
    local = [one.name for one in Router.objects.order_by("name") if kind_of(one.kind).local]
    entrants = of_set(name, local, options["seed"]).entrants if local else ()
    columns = columns_of(found, with_inputs=True)
    return _Inputs(columns, singles_of_set(found, columns), entrants)


def payload(found: Benchmark) -> dict[str, Any]:
    return {
        "set": found.name,
        "answer": found.sentence,
        "pays": found.pays,
        "n": found.n,
        "share": found.share,
        "single_models": [one._asdict() for one in found.singles],
        "random": found.random,
        "oracle": found.oracle,
        "routers": [
            {
                name: value._asdict() if isinstance(value, Estimate) else value
                for name, value in line._asdict().items()
            }
            for line in found.lines
        ],
        "learning_curves": {
            name: [{"pairs": size, "apgr": apgr} for size, apgr in curve.items()]
            for name, curve in found.learning.items()
        },
    }


def lines_of(found: Benchmark) -> Iterator[str]:
    yield found.sentence
    share = exact_share(found.share, 0)
    yield f"{found.n:,} prompts, strong share {share}; 95 % intervals, paired."
    for single in found.singles:
        yield f"always {single.name}: quality {single.quality:.4f}{_dollars(single.cost)}"
    yield f"random: quality {found.random:.4f}"
    yield f"oracle: quality {found.oracle:.4f}"
    for line in found.lines:
        yield _line(line)
    for name, curve in found.learning.items():
        steps = ", ".join(
            f"{size} pairs {'undefined' if apgr is None else f'{apgr:.3f}'}"
            for size, apgr in curve.items()
        )
        yield f"{name}, APGR by training pairs: {steps}"


def _line(line: RouterLine) -> str:
    apgr = "APGR undefined" if line.apgr is None else f"APGR {_within(line.apgr)}"
    hull = "" if line.over_hull is None else f", over mixtures of equal cost {line.over_hull:+.4f}"
    return (
        f"{line.name}: {apgr}, quality {line.quality.value:.4f}{_dollars(line.cost)}, over random "
        f"{_within(line.over_random)}, over the best single model "
        f"{_within(line.over_best_single)}{hull}"
    )


def _within(found: Estimate) -> str:
    return f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})"


def _dollars(cost: float | None) -> str:
    return "" if cost is None else f", {in_dollars(cost, 4)} per 1,000"
