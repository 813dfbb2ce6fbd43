"""`manage.py replay_learning FILE`: what the learning loop would have done on recorded outcomes."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from experiments.analysis.learning.claims import Claim
from experiments.analysis.learning.replay import Rules
from experiments.formatting import exact_share
from experiments.lab.learning_replay import (
    UNDEFINED,
    LearningFigures,
    figures_payload,
    prepare_traffic,
    replay_learning,
)
from experiments.management.base import BaseCommand
from experiments.routers.checkpoints import CheckpointError
from experiments.routers.outcomes import Outcomes, OutcomesError, read_outcomes

FEWEST_ROWS = 2


class Command(BaseCommand):
    help = (
        "Play recorded outcomes through the learning loop and print how much of the quality gap "
        "the second half recovers: at random, with the shipped router, and with learning. Nothing "
        "is written to the database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="A CSV prompt,strong_score,weak_score[,domain,group].")
        parser.add_argument("--json", action="store_true", help="Print JSON.")
        parser.add_argument("--share", type=float, default=0.5, help="Target strong share; 0.5.")
        parser.add_argument(
            "--shadow", type=float, default=0.1, help="Share of requests that become pairs; 0.1."
        )
        parser.add_argument(
            "--feedback",
            choices=("chosen", "none"),
            default="chosen",
            help="chosen: the score of the model that answered is known after each request.",
        )
        parser.add_argument(
            "--orders",
            type=int,
            default=1,
            help="1 is the file's order; more are seeded shuffles, and figures are means.",
        )
        parser.add_argument("--seed", type=int, default=0, help="Of shuffles, pairs and ties.")

    def handle(self, *args: Any, **options: Any) -> None:
        rules, orders = _rules(options), options["orders"]
        if orders < 1:
            raise CommandError(f"--orders is {orders}; it must be at least 1.")
        try:
            outcomes = _outcomes(Path(options["file"]))
            with tqdm(total=len(outcomes), desc="scoring", file=sys.stderr, unit="prompt") as bar:
                traffic = prepare_traffic(outcomes, lambda done, _: _show(bar, done))
                _show(bar, len(outcomes))
        except (OutcomesError, CheckpointError) as error:
            raise CommandError(str(error)) from error
        blocks = -(-len(outcomes) // 50) * orders
        # More threads gain little on matrices of this size, and lose much on a busy machine.
        with (
            threadpool_limits(limits=1),
            tqdm(total=blocks, desc="playing", file=sys.stderr, unit="round") as bar,
        ):
            found = replay_learning(
                traffic,
                rules,
                orders=orders,
                seed=options["seed"],
                advance=lambda done, _: _show(bar, done),
            )
        if options["json"]:
            self.stdout.write(json.dumps(figures_payload(found), indent=2))
        else:
            self.stdout.write("\n".join(_text(found)))


def _rules(options: dict[str, Any]) -> Rules:
    for name in ("share", "shadow"):
        if not 0 <= options[name] <= 1:
            raise CommandError(f"--{name} is {options[name]}; it must lie between 0 and 1.")
    return Rules(options["share"], options["shadow"], options["feedback"] == "chosen")


def _outcomes(path: Path) -> Outcomes:
    outcomes = read_outcomes(path)
    if len(outcomes) < FEWEST_ROWS:
        raise OutcomesError(f"{path} has one row. A replay needs at least {FEWEST_ROWS}.")
    return outcomes


def _show(bar: Any, done: int) -> None:
    bar.update(done - bar.n)


def _text(found: LearningFigures) -> Iterator[str]:
    yield (
        f"{found.requests} requests, {found.orders} orders, {found.rounds} rounds, "
        f"{found.pairs:.0f} pairs. Second half:"
    )
    yield f"{'':10}{'PGR':>8}{'share':>8}{'quality':>10}{'se':>8}"
    for name, one in found.policies.items():
        pgr = "-" if one.pgr is None else f"{one.pgr:.3f}"
        yield f"{name:10}{pgr:>8}{one.share:>8.3f}{one.quality:>10.4f}{one.error:>8.4f}"
    if found.policies["learned"].pgr is None:
        yield f"PGR is undefined: {UNDEFINED}."
    if found.share_after_200 is not None:
        yield f"Strong share from the 200th request on: {found.share_after_200:.3f}"
    yield f"The learned router served {exact_share(found.served, 0)} of the second half's rounds."
    better, worse = found.claims[Claim.BETTER], found.claims[Claim.WORSE]
    yield f"Claims at the end: shown better in {better} of {found.orders} orders, worse in {worse}."
