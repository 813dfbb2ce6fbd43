"""`manage.py evaluate_router ROUTER OUTCOMES`: a router's savings on recorded outcomes."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import CommandError, CommandParser

from experiments.analysis.ratings import Estimate
from experiments.analysis.routing.measures import Evaluation
from experiments.core.money import NANO
from experiments.formatting import exact_share, interval, number, plural, share_between
from experiments.lab.columns import OutcomeColumns
from experiments.lab.datasets import NoOutcomeSetError
from experiments.lab.evaluation_inputs import EvaluationInputs, of_file, of_set
from experiments.lab.evaluation_payloads import comparison_payload
from experiments.lab.evaluations import (
    Comparison,
    MeasuredRouter,
    MultiModelResult,
    NothingToMeasureError,
    Slice,
    compare,
)
from experiments.lab.text.multi_model import multi_model_lines, multi_model_summary
from experiments.management.base import BaseCommand
from experiments.routers.checkpoints import CheckpointError
from experiments.routers.errors import RouterConfigurationError
from experiments.routers.outcomes import STRONG_MODEL, WEAK_MODEL, OutcomesError
from experiments.routing.router_lookup import NoRouterError

_HEADINGS = {
    "apgr": "APGR",
    "cpt20": "CPT(20 %)",
    "cpt50": "CPT(50 %)",
    "cpt80": "CPT(80 %)",
    "strong_share_at_95": "share at 95 %",
}
_SAVINGS = {
    "saving_against_strong": "saved at the strong model's quality, against always strong",
    "saving_at_95": "saved at 95 % of its quality, against always strong",
    "saving_against_random": "saved at 95 % of its quality, against a random router of equal "
    "quality",
    "calls_against_random": "strong calls saved at 95 % of its quality, against that random router",
}


class Command(BaseCommand):
    help = (
        "Measures routers on recorded outcomes, compared with a random router and an oracle. APGR "
        "and CPT are defined as in RouteLLM; shares are shares of prompts sent to the strong "
        "model. "
        "OUTCOMES is a set of the lab, for configured routers, or a file."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "router",
            help="local, local_mf, complexity, random, or the folder of a checkpoint; with a set "
            "of the lab also any configured router, or policy:DOMAIN.",
        )
        parser.add_argument(
            "file",
            metavar="outcomes",
            help="The name of an outcome set, RouteLLM's evaluation folder, or a CSV "
            "prompt,strong_score,weak_score[,strong_cost,weak_cost,…] with dollars a request.",
        )
        parser.add_argument(
            "--also",
            action="append",
            default=[],
            metavar="ROUTER",
            help="Compare with this router.",
        )
        parser.add_argument("--json", action="store_true", help="Print JSON.")
        parser.add_argument("--domain", default="", help="Only this domain.")
        parser.add_argument("--group", action="append", help="Only this subject or group.")
        parser.add_argument(
            "--leave-out", action="append", default=[], help="Exclude this subject or group."
        )
        parser.add_argument("--strong-model", default=STRONG_MODEL, help="Column in the folder.")
        parser.add_argument("--weak-model", default=WEAK_MODEL, help="Column in the folder.")
        parser.add_argument("--seed", type=int, default=0, help="Seed of the bootstrap.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            ready = _chosen(_ready(options), options)
            found = compare(
                ready.columns,
                ready.entrants,
                domain=options["domain"],
                seed=options["seed"],
                multi_model=ready.multi_model,
            )
        except (
            OutcomesError,
            CheckpointError,
            NoOutcomeSetError,
            NoRouterError,
            NothingToMeasureError,
            RouterConfigurationError,
        ) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            payload = comparison_payload(found) | {"costs_computed": ready.computed}
            self.stdout.write(json.dumps(payload, indent=2))
        else:
            self.stdout.write("\n".join(_text(found)))
            if unpriced := _unpriced(ready.columns):
                self.stdout.write(
                    f"{plural(unpriced, 'prompt')} of {len(ready.columns)} lack a cost, so no "
                    "saving in money is shown. Fill in strong_cost and weak_cost."
                )
            if ready.computed:
                self.stdout.write(
                    f"Costs of {plural(ready.computed, 'prompt')} are computed from tokens and "
                    "the prices on the day of the import."
                )


def _ready(options: dict[str, Any]) -> EvaluationInputs:
    """An existing path, or a name with a suffix or a folder, is a file; other names are sets."""
    routers = list(dict.fromkeys((options["router"], *options["also"])))
    path, seed = Path(options["file"]), options["seed"]
    if path.exists() or path.suffix or len(path.parts) > 1:
        pair = options["strong_model"], options["weak_model"]
        return of_file(path, routers, seed, *pair)
    return of_set(options["file"], routers, seed)


def _chosen(ready: EvaluationInputs, options: dict[str, Any]) -> EvaluationInputs:
    """Only the chosen groups."""
    wanted, unwanted = options["group"], options["leave_out"]
    if not wanted and not unwanted:
        return ready
    columns = ready.columns
    kept = [(not wanted or group in wanted) and group not in unwanted for group in columns.groups]
    if not any(kept):
        raise NothingToMeasureError(f"No prompt of {options['file']} is in the chosen groups.")
    return ready.where(kept)


def _unpriced(columns: OutcomeColumns) -> int:
    """How many prompts lack a cost, 0 where no prompt has one."""
    missing = np.isnan(columns.strong_cost + columns.weak_cost)
    return 0 if missing.all() else int(np.count_nonzero(missing))


def _text(found: Comparison) -> Iterator[str]:
    yield from _table(found.whole)
    if found.weighed:
        weighed = found.weighed
        yield (
            f"One answer is known per prompt: ratings are weighted by inverse propensity, "
            f"{exact_share(weighed.clipped)} of the weights were cut. The effective size is "
            f"{weighed.effective_strong:.0f} ratings of the strong model and "
            f"{weighed.effective_weak:.0f} of the weak one. For "
            f"{exact_share(weighed.without_overlap)} of prompts the other model could not be "
            "chosen; these are left out."
        )
    for one in found.multi_model:
        yield ""
        yield from _multi_model(one)
    for part in found.domains:
        yield ""
        if part.enough:
            yield from _table(part)
        else:
            yield f"{part.domain}: too few prompts ({part.n})."


def _table(part: Slice) -> Iterator[str]:
    several = len(part.routers) > 1
    rows = [["", *_HEADINGS.values()]]
    for one in part.routers:
        name = one.name if several else "router"
        rows.append([name, *_cells(one.assessment.evaluation)])
    if part.baselines:
        rows.append(["random", *_cells(part.baselines.random.evaluation)])
        rows.append(["oracle", *_cells(part.baselines.oracle.evaluation)])
    where = f"{part.domain}: " if part.domain else ""
    yield f"{where}{part.n} prompts, 95 % intervals by bootstrap"
    yield from _aligned(rows)
    for one in part.routers:
        yield from (f"{one.name}: {line}" if several else line for line in _lines(one))


def _multi_model(one: MultiModelResult) -> Iterator[str]:
    yield multi_model_summary(one)
    if one.figures is None:
        return
    rows = [["", "share", "quality", "$ per 1,000"]]
    for line in multi_model_lines(one):
        quality, cost = line.figures
        share = "" if line.share is None else exact_share(line.share.value)
        dollars = _within(cost, 1000 / NANO) if cost else "not known"
        rows.append([line.name, share, _within(quality), dollars])
    yield from _aligned(rows)


def _within(found: Estimate, factor: float = 1.0) -> str:
    return interval(*(figure * factor for figure in found), digits=4)


def _lines(measured: MeasuredRouter) -> Iterator[str]:
    found = measured.assessment
    if not found.gap_known:
        yield "Undefined: the strong model is not clearly better on these prompts."
    for name, words in _SAVINGS.items():
        estimate: Estimate | None = getattr(found, name)
        if estimate is not None:
            yield f"{share_between(*estimate)} {words}"
    if found.reliability:
        yield f"mean error of the scores: {found.reliability.error:.3f}"
    if measured.operating:
        at = measured.operating
        yield (
            f"at the threshold {at.threshold:.4f}: strong share {exact_share(at.strong_share)}, "
            f"quality {at.quality:.4f}"
        )
    if measured.unscored:
        yield f"{measured.unscored} prompts are not stored in a form that all routers can score"
    if measured.microseconds:
        yield f"{measured.microseconds / 1000:.2f} ms per prompt"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _cells(evaluation: Evaluation) -> list[str]:
    cells = []
    for name, value in evaluation.measures._asdict().items():
        found = evaluation.intervals.get(name)
        if value is None:
            cells.append("undefined")
        elif found is None:
            cells.append(number(value, 3))
        else:
            cells.append(interval(value, found.low, found.high, digits=3))
    return cells
