"""Does "what if?" keep its word? Policies that never ran, estimated from logs, against the truth.

    python -m benchmarks.off_policy PATH                # RouteLLM's evaluation folder, or a CSV
    python -m benchmarks.off_policy PATH --runs 100 --only "explores 10 %"

Both answers of every question are known, so what a policy would have done is known too: that is the
truth, over the whole table. Traffic is logged by a policy that explores (or not), through the real
decision; units are drawn with replacement; ten other policies are estimated from it. Prints the
tables of docs/what-if-proof.md. The same seed prints the same tables.
"""

import argparse
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.logged_traffic import (
    DOMAIN,
    ROUTERS,
    LoggingPolicy,
    Questions,
    Rated,
    Traffic,
    draw_questions,
    read_questions,
)
from benchmarks.tables import heading, line
from experiments.analysis.off_policy.estimates import STRONG, WEAK, Bounds, Rows, WhatIf
from experiments.analysis.off_policy.nuisance import Floats
from experiments.analysis.routing.measures import threshold_for_share
from experiments.core.policy import Method, RoutingPolicy
from experiments.lab.candidates import CandidatePolicy as Asked
from experiments.lab.decision_log import Logged
from experiments.lab.off_policy import PreparedLog, answer, question
from experiments.routers.outcomes import Outcomes, read_outcomes

SEED = 20261125
ESTIMATORS = ("doubly_robust", "self_normalised", "inverse_propensity")
METRICS = ("quality", "cost")
EXPERIMENTS_SIMULATED = 20
SHARES = (0.1, 0.3, 0.4, 0.7, 0.9)
OTHER_SHARES = (0.3, 0.5, 0.7)


class Setting(NamedTuple):
    """One log: the policy that ran, how many units, who rates, and how many runs say enough."""

    logging: LoggingPolicy
    units: int
    rated: Rated
    enough: int = 1_000_000


class Candidate(NamedTuple):
    """A policy that did not log: what is asked, and which questions it sends to the strong side."""

    name: str
    asked: Asked
    to_strong: Rows


class Line(NamedTuple):
    """One candidate estimated from one log, over all runs. Widths are halves of intervals.

    `bias` is that of the doubly robust estimate; coverages and widths are of runs with an interval.
    """

    setting: str
    candidate: str
    metric: str
    truth: float
    bias: float
    error: float
    coverage: dict[str, float]
    width: float
    change_width: float
    experiment_width: float
    overlap: float
    answered: int
    runs: int


def main() -> None:
    arguments = _arguments()
    outcomes = read_outcomes(arguments.path)
    questions = read_questions(outcomes, _output_tokens(outcomes))
    jobs = [
        (questions, setting, arguments.runs, (arguments.seed, number))
        for number, setting in enumerate(settings(questions))
        if not arguments.only or arguments.only in setting.logging.name
    ]
    with ProcessPoolExecutor(arguments.processes) as processes:
        lines = [one for found in processes.map(_measured, jobs) for one in found]
    print(f"{len(questions):,} questions, {arguments.runs:,} runs a row, seed {arguments.seed}")
    for row in (*summary(lines), *details(lines)):
        print(row)


def _measured(job: tuple[Questions, Setting, int, tuple[int, int]]) -> list[Line]:
    """Each log has its own stream: measuring one alone gives the same numbers."""
    questions, setting, wanted, seed = job
    runs = min(wanted, setting.enough)
    started = time.monotonic()
    found = measure(questions, setting, runs, np.random.default_rng(seed))
    print(f"{setting.logging.name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    return found


def settings(questions: Questions) -> list[Setting]:
    half = threshold_for_share(questions.scores[ROUTERS[0]], 0.5).threshold
    routed = RoutingPolicy(Method.ROUTELLM, ROUTERS[0], half)
    strong, weak = RoutingPolicy(Method.ALWAYS_STRONG), RoutingPolicy(Method.ALWAYS_WEAK)

    def of(policy: RoutingPolicy, epsilon: float = 0.0) -> RoutingPolicy:
        return replace(policy, strong="strong/model", weak="weak/model", epsilon=epsilon)

    ten = LoggingPolicy("router, explores 10 %", of(routed, 0.1))
    return [
        Setting(LoggingPolicy("router, explores 2 %", of(routed, 0.02)), 6_000, Rated(0.9)),
        Setting(ten, 3_000, Rated(0.5)),
        Setting(LoggingPolicy("always weak, explores 5 %", of(weak, 0.05)), 4_000, Rated(0.6)),
        Setting(
            LoggingPolicy("flag on for 30 % of units, explores 10 %", of(routed, 0.1), 0.3),
            3_000,
            Rated(0.5),
        ),
        Setting(
            LoggingPolicy(
                "experiment, strong against weak", of(routed), 1.0, (of(strong), of(weak))
            ),
            2_000,
            Rated(0.3),
        ),
        Setting(LoggingPolicy("router, never explores", of(routed)), 3_000, Rated(0.5), enough=50),
        Setting(
            ten._replace(name="router, explores 10 %, bad answers rated twice as often"),
            3_000,
            Rated(0.4, by_answer=1.0),
        ),
    ]


def candidates(questions: Questions) -> list[Candidate]:
    """Ten policies, none of them one that logs."""
    every = np.ones(len(questions), bool)
    found = [
        Candidate("always strong", Asked(Method.ALWAYS_STRONG, domain=DOMAIN), every),
        Candidate("always weak", Asked(Method.ALWAYS_WEAK, domain=DOMAIN), ~every),
    ]
    for router, shares in zip(ROUTERS, (SHARES, OTHER_SHARES), strict=True):
        scores = questions.scores[router]
        for share in shares:
            threshold = threshold_for_share(scores, share).threshold or 1.0
            name = f"{router}, {100 * share:.0f} % strong"
            asked = Asked(router=router, threshold=threshold, domain=DOMAIN)
            found.append(Candidate(name, asked, scores >= threshold))
    return found


class _Tally:
    """One candidate and metric while the runs go by."""

    def __init__(self, truth: float) -> None:
        self.truth = truth
        self.values: list[float] = []
        self.hits = dict.fromkeys(ESTIMATORS, 0)
        self.answered = 0
        self.widths: list[float] = []
        self.change_widths: list[float] = []
        self.overlaps: list[float] = []

    def add(self, found: WhatIf, metric: str) -> None:
        self.overlaps.append(1 - found.without_overlap)
        metric_estimate = getattr(found, metric)
        if metric_estimate.doubly_robust.low is None or found.without_overlap > 0:
            return
        self.answered += 1
        self.values.append(metric_estimate.doubly_robust.value)
        self.widths.append(_half(metric_estimate.doubly_robust))
        self.change_widths.append(_half(metric_estimate.change))
        for name in ESTIMATORS:
            bounds = getattr(metric_estimate, name)
            self.hits[name] += bounds.low <= self.truth <= bounds.high


def measure(
    questions: Questions, setting: Setting, runs: int, rng: np.random.Generator
) -> list[Line]:
    """Every candidate, over `runs` logs."""
    traffic, asked = Traffic(questions, setting.logging), candidates(questions)
    tallies = [
        {
            "quality": _Tally(_truth(questions.quality, one)),
            "cost": _Tally(_truth(questions.actual, one)),
        }
        for one in asked
    ]
    trials: list[dict[str, list[float]]] = [{metric: [] for metric in METRICS} for _ in asked]
    for run in range(runs):
        drawn = traffic.draw(rng, setting.units, setting.rated)
        about = _questions(drawn.as_read(questions), asked)
        for one, tally, trial in zip(asked, tallies, trials, strict=True):
            found = answer(about[one.asked.router], one.asked, with_curve=False).found
            for metric in METRICS:
                tally[metric].add(found, metric)
            if run < EXPERIMENTS_SIMULATED:
                _try(questions, traffic, setting, one, rng, trial)
    return [
        _line(setting, one, metric, tally[metric], trial[metric], runs)
        for metric in METRICS
        for one, tally, trial in zip(asked, tallies, trials, strict=True)
    ]


def _questions(logged: Logged, candidates: Sequence[Candidate]) -> dict[str, PreparedLog]:
    """As a page asks: what does not depend on the threshold is made once for each router."""
    first = {one.asked.router: one.asked for one in reversed(candidates)}
    return {router: question(logged, one) for router, one in first.items()}


def _try(
    questions: Questions,
    traffic: Traffic,
    setting: Setting,
    candidate: Candidate,
    rng: np.random.Generator,
    trial: dict[str, list[float]],
) -> None:
    """As many units, half of them really under the candidate: the interval of the difference."""
    control = traffic.draw(rng, setting.units // 2, setting.rated)
    question, unit = draw_questions(rng, questions, setting.units // 2)
    side = np.where(candidate.to_strong[question], STRONG, WEAK)
    rows = np.arange(len(question))
    quality = questions.quality[question][rows, side]
    chance = setting.rated(questions.scores[ROUTERS[0]][question], side, quality)
    rating = np.where(rng.random(len(question)) < chance, quality, np.nan)
    cost = questions.actual[question][rows, side]
    for metric, ours, theirs in (
        ("quality", rating, control.log.rating),
        ("cost", cost, control.log.cost),
    ):
        error = sqrt(_square(ours, unit) + _square(theirs, control.log.units))
        trial[metric].append(1.96 * error)


def _square(values: Floats, units: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> float:
    """Squared standard error of a mean over what is known, by the delta method over units."""
    known = np.isfinite(values)
    sums, counts = np.bincount(units[known], values[known]), np.bincount(units[known])
    mean = sums.sum() / counts.sum()
    return float(((sums - mean * counts) ** 2).sum() / counts.sum() ** 2)


def _line(
    setting: Setting,
    candidate: Candidate,
    metric: str,
    tally: _Tally,
    trial: Sequence[float],
    runs: int,
) -> Line:
    values = np.array(tally.values) if tally.values else np.array([np.nan])
    answered = tally.answered
    return Line(
        setting=setting.logging.name,
        candidate=candidate.name,
        metric=metric,
        truth=tally.truth,
        bias=float(values.mean() - tally.truth),
        error=float(values.std() / sqrt(max(len(values), 1))),
        coverage={
            name: hits / answered if answered else np.nan for name, hits in tally.hits.items()
        },
        width=float(np.mean(tally.widths)) if tally.widths else np.nan,
        change_width=float(np.mean(tally.change_widths)) if tally.widths else np.nan,
        experiment_width=float(np.mean(trial)),
        overlap=float(np.mean(tally.overlaps)),
        answered=answered,
        runs=runs,
    )


def summary(lines: Sequence[Line]) -> Iterator[str]:
    """One row a log and metric: the range over the ten candidates."""
    yield "\n### Ten policies estimated from each log\n"
    yield heading(
        "log",
        "metric",
        "answered",
        "runs with an interval",
        "coverage, doubly robust",
        "self-normalised",
        "inverse propensity",
        "largest bias, in standard errors of an estimate",
        "width against an experiment's",
        "",
    )
    for setting in dict.fromkeys(one.setting for one in lines):
        for metric in METRICS:
            rows = [one for one in lines if one.setting == setting and one.metric == metric]
            yield _summary_line(setting, metric, rows)


def _summary_line(setting: str, metric: str, rows: Sequence[Line]) -> str:
    enough = [one for one in rows if one.answered >= one.runs / 2]
    answered = f"{len(enough)} of {len(rows)}"
    given = _range([one.answered / one.runs for one in rows])
    if not enough:
        return line(setting, metric, answered, given, *["no answer"] * 5, "says so")
    worst = max(enough, key=lambda one: abs(one.bias) / one.width)
    ratios = [one.change_width / one.experiment_width for one in enough]
    covers = [one.coverage["doubly_robust"] for one in enough]
    fine = 0.93 <= min(covers) <= max(covers) <= 0.97
    return line(
        setting,
        metric,
        answered,
        given,
        *(_range([one.coverage[name] for one in enough]) for name in ESTIMATORS),
        f"{abs(worst.bias) / (worst.width / 1.96):.2f} ({worst.candidate})",
        f"{min(ratios):.2f} to {max(ratios):.2f}",
        "" if fine else "**fails**",
    )


def details(lines: Sequence[Line]) -> Iterator[str]:
    yield "\n### Each policy\n"
    yield heading(
        "log",
        "policy",
        "metric",
        "truth",
        "bias",
        "covers",
        "half width",
        "of the change",
        "an experiment's",
        "runs answered",
        "overlap",
    )
    for one in lines:
        scale, digits = (1.0, 4) if one.metric == "quality" else (1e-6, 3)
        numbers = [one.bias, one.width, one.change_width, one.experiment_width]
        bias, width, change, trial = (_number(value * scale, digits) for value in numbers)
        yield line(
            one.setting,
            one.candidate,
            one.metric if one.metric == "quality" else "$ per 1,000",
            _number(one.truth * scale, digits),
            bias,
            _percent(one.coverage["doubly_robust"]),
            width,
            change,
            trial,
            f"{one.answered:,} of {one.runs:,}",
            _percent(one.overlap),
        )


def _truth(table: Floats, candidate: Candidate) -> float:
    return float(np.where(candidate.to_strong, table[:, STRONG], table[:, WEAK]).mean())


def _half(bounds: Bounds) -> float:
    return ((bounds.high or 0.0) - (bounds.low or 0.0)) / 2


def _range(shares: Sequence[float]) -> str:
    return f"{100 * min(shares):.1f} to {100 * max(shares):.1f} %"


def _percent(share: float) -> str:
    return "" if np.isnan(share) else f"{100 * share:.1f} %"


def _number(value: float, digits: int) -> str:
    return "" if np.isnan(value) else f"{value:.{digits}f}"


def _output_tokens(outcomes: Outcomes) -> list[int]:
    """Recordings have no token counts: the same made-up one for both models, 50 to 450."""
    return [50 + zlib.crc32(prompt.encode()) % 401 for prompt in outcomes.prompts]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="RouteLLM's evaluation folder, or a CSV")
    parser.add_argument("--runs", type=int, default=2000, help="logs drawn for each policy")
    parser.add_argument("--only", help="only logs whose name contains this")
    parser.add_argument("--processes", type=int, default=1, help="logs measured at once")
    parser.add_argument("--seed", type=int, default=SEED)
    return parser.parse_args()


if __name__ == "__main__":
    main()
