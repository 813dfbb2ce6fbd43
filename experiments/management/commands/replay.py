"""`manage.py replay OUTCOMES --experiment KEY`: recorded prompts as an experiment's traffic."""

import logging
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from experiments.configuration.policy_store import store
from experiments.experimentation.lifecycle import LifecycleError
from experiments.experimentation.recorded_traffic import ReplayError
from experiments.experimentation.study import window_of
from experiments.experimentation.traffic_replay import (
    Replayed,
    ReplaySize,
    ReportedEffect,
    begin_of,
    compare,
    interrupted,
    prepare,
    replay,
)
from experiments.formatting import in_dollars
from experiments.management.base import BaseCommand
from experiments.models import Experiment
from experiments.routers.outcomes import (
    STRONG_MODEL,
    WEAK_MODEL,
    OutcomesError,
    PromptOutcome,
    read_outcomes,
)
from experiments.routing.runtime import engine


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError("must be a whole number of at least 1.")
    return int(text)


class Command(BaseCommand):
    help = (
        "Sends recorded prompts through a running experiment (or a draft, which it starts) on "
        "simulated past days, reports the known grades as outcomes and ratings, and compares the "
        "experiment's result with the truth. The decisions are stored like any others."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "outcomes",
            type=Path,
            help="RouteLLM's evaluation folder, or a CSV prompt,strong_score,weak_score[,…].",
        )
        parser.add_argument("--experiment", required=True, metavar="KEY")
        parser.add_argument("--units", type=_count, default=3000, help="Number of units; 3000.")
        parser.add_argument("--days", type=_count, default=14, help="Number of days; 14.")
        parser.add_argument("--seed", type=int, default=0, help="Seed of the simulated traffic.")
        parser.add_argument("--leave-out", action="append", default=[], help="Exclude this group.")
        parser.add_argument("--strong-model", default=STRONG_MODEL, help="Column in the folder.")
        parser.add_argument("--weak-model", default=WEAK_MODEL, help="Column in the folder.")

    def handle(self, *args: Any, **options: Any) -> None:
        logging.getLogger("switchyard").setLevel(logging.ERROR)  # no log line per decision
        experiment = Experiment.objects.filter(key=options["experiment"]).first()
        if experiment is None:
            raise CommandError(f"Unknown experiment '{options['experiment']}'.")
        try:
            questions = _questions(options)
            self._replay(
                experiment, questions, ReplaySize(*(options[n] for n in ReplaySize._fields))
            )
        except (OutcomesError, ReplayError) as error:
            raise CommandError(str(error)) from error
        except LifecycleError as error:
            problems = "\n- ".join(error.problems)
            raise CommandError(f"The experiment cannot start:\n- {problems}") from error

    def _replay(
        self, experiment: Experiment, questions: list[PromptOutcome], size: ReplaySize
    ) -> None:
        now = timezone.now()
        run = interrupted(experiment)
        begin = run.begin if run else begin_of(experiment, size, now)
        engine.warm_up(store.current())
        prepare(experiment, begin)
        self.stdout.write(
            f"{size.units:,} units use {len(questions):,} prompts, from {begin:%Y-%m-%d} on."
        )
        if run:
            self.stdout.write(f"Continuing an interrupted replay on day {run.day + 1}.")
        last = ""
        total = size.days + window_of(experiment) - (run.day if run else 0)
        try:
            for day in tqdm(replay(experiment, questions, size, begin), total=total, unit="day"):
                if day.verdict != last:
                    self.stdout.write(f"day {day.number}: {day.verdict}. {day.sentence}")
                    last = day.verdict
        except KeyboardInterrupt:
            raise CommandError("Interrupted. Run the same command again to continue.") from None
        self._report(compare(experiment, questions, now, lambda rows: tqdm(rows, unit="question")))

    def _report(self, replayed: Replayed) -> None:
        self.stdout.write(f"\n{replayed.decisions:,} decisions counted. Over all prompts:")
        for arm, truth in replayed.truths.items():
            self.stdout.write(
                f"  {arm}: {in_dollars(truth.cost, 6)} per request, quality {truth.quality:.4f}"
            )
        for one in replayed.compared:
            self.stdout.write(_line(one))
        self.stdout.write(f"\n{replayed.sentence}")


def _questions(options: dict[str, Any]) -> list[PromptOutcome]:
    outcomes = read_outcomes(
        options["outcomes"],
        strong_model=options["strong_model"],
        weak_model=options["weak_model"],
    )
    kept = [row for row in outcomes.rows() if row.group not in options["leave_out"]]
    if not kept:
        raise OutcomesError("All prompts are excluded. Exclude fewer groups.")
    return kept


def _line(one: ReportedEffect) -> str:
    digits = 6 if one.metric == "cost" else 4
    if one.reported is None or one.looked_once is None or one.looked_daily is None:
        return f"  {one.arm}, {one.metric}: true {one.true:+.{digits}f}, no result"
    low, high = one.looked_daily
    return (
        f"  {one.arm}, {one.metric}: true {one.true:+.{digits}f}, "
        f"reported {one.reported:+.{digits}f}, between {low:+.{digits}f} and {high:+.{digits}f} "
        f"({_covers(one.is_covered_daily)}; of one look: {_covers(one.is_covered_once)})"
    )


def _covers(is_covered: bool) -> str:
    return "covers" if is_covered else "misses"
