"""`manage.py replay_cascade FILE`: what verifying the weak answer recovers on recorded answers."""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from experiments.formatting import exact_share
from experiments.lab.answer_pairs import read_answer_pairs
from experiments.lab.cascade_replay import (
    CannotPriceError,
    CascadeReplay,
    RouterPoint,
    replay_cascade,
)
from experiments.management.base import BaseCommand
from experiments.routers.outcomes import OutcomesError
from experiments.verifiers.features import GROUPS


class Command(BaseCommand):
    help = (
        "Replay a verified cascade on recorded answers: the weak model answers, a verifier scores "
        "that answer, and below a threshold the strong model answers instead. Every row is judged "
        "by a verifier that was trained on other groups (without groups: other prompts). Compares "
        "with the best prompt router at the same share and at the same cost. Writes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file",
            type=Path,
            help="CSV or JSON lines: prompt,weak_answer,strong_answer,weak_score,strong_score"
            "[,second_answer,weak_logprob,weak_cost,second_cost,strong_cost][,group].",
        )
        parser.add_argument("--json", action="store_true", help="Print JSON.")
        parser.add_argument(
            "--share", type=float, default=0.5, help="Escalate at most this share (0.5)."
        )
        parser.add_argument("--seed", type=int, default=0, help="Of the folds.")
        parser.add_argument(
            "--verifier",
            action="append",
            choices=list(GROUPS),
            help="Only this verifier; may be repeated. All of them unless given.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            pairs = read_answer_pairs(options["file"])
            with tqdm(desc="replay", file=sys.stderr, unit="step") as bar:

                def advance(done: int, total: int) -> None:
                    bar.total = total
                    bar.update(done - bar.n)

                found = replay_cascade(
                    pairs,
                    share=options["share"],
                    seed=options["seed"],
                    verifiers=options["verifier"] or tuple(GROUPS),
                    advance=advance,
                )
        except (OutcomesError, CannotPriceError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(payload(found), indent=2))
        else:
            self.stdout.write("\n".join(_lines(found)))


def payload(found: CascadeReplay) -> dict[str, Any]:
    answer = {
        "n": found.n,
        "escalated": round(found.escalated, 6),
        "pgr": _rounded(found.pgr),
        "se": _rounded(found.se),
        "cost_share": _rounded(found.cost_share),
        "router_at_same_share": _point(found.same_share),
        "router_at_same_cost": _point(found.same_cost),
        "quality": {
            "cascade": _rounded(found.quality),
            "weak": _rounded(found.weak),
            "strong": _rounded(found.strong),
        },
        "costs": "recorded" if found.costs_recorded else "estimated",
    }
    return answer | ({"reason": found.reason} if found.reason else {})


def _point(point: RouterPoint | None) -> dict[str, Any]:
    if point is None:
        return {"pgr": None}
    return {"pgr": _rounded(point.pgr), "router": point.name, "share": _rounded(point.share)}


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(value, 6)


def _lines(found: CascadeReplay) -> Iterator[str]:
    yield (
        f"{found.n:,} prompts: the cascade escalates {exact_share(found.escalated)} and costs "
        f"{exact_share(found.cost_share)} of always strong. Quality {found.quality:.4f} "
        f"(weak {found.weak:.4f}, strong {found.strong:.4f})."
    )
    if found.pgr is None or found.se is None:
        yield f"PGR is undefined: {found.reason}"
        return
    yield f"PGR {found.pgr:.3f} (standard error {found.se:.3f})."
    for name, point in (("share", found.same_share), ("cost", found.same_cost)):
        if point:
            yield (
                f"Best prompt router at the same {name}: {point.name}, PGR {point.pgr:.3f} at a "
                f"strong share of {exact_share(point.share)}."
            )
