"""`manage.py what_if`: estimates the cost and quality of another policy from the log."""

from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from django.core.management.base import CommandError
from django.utils import timezone

from experiments import formatting
from experiments.configuration.policy_store import NoPolicyError, store
from experiments.core.money import NANO
from experiments.core.policy import Method
from experiments.decisions.rollup_queries import Span
from experiments.lab.candidates import ASKABLE, CandidatePolicy, CannotAskError, filled
from experiments.lab.off_policy import PolicyEstimate, what_if
from experiments.lab.off_policy_payload import what_if_payload
from experiments.lab.text.off_policy import (
    advice_words,
    bounds_words,
    condition_words,
    sentence,
    tails,
    weights_words,
)
from experiments.management.base import BaseCommand

MOST_DAYS = 36_500
ESTIMATORS = {
    "doubly_robust": "doubly robust",
    "self_normalised": "self-normalised",
    "inverse_propensity": "inverse propensity",
    "logged": "as logged",
    "change": "change, doubly robust",
}


class Command(BaseCommand):
    help = (
        "Estimates the cost and quality of another policy from the log. The precision depends on "
        "the "
        "exploration in the log."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--domain", default="", help="Only this domain. Default: all.")
        parser.add_argument("--days", type=float, default=28, help="Days to read; 28.")
        parser.add_argument("--since", type=_instant, help="First day, instead of --days.")
        parser.add_argument("--until", type=_instant, help="End of the range. Default: now.")
        parser.add_argument(
            "--method", choices=[str(one) for one in ASKABLE], default=str(Method.ROUTELLM)
        )
        parser.add_argument(
            "--router",
            default="",
            help="A router, or a folder written by train_router. Scores that were not logged are "
            "computed now if prompts or features are stored.",
        )
        parser.add_argument("--threshold", type=float, help="Default: the current threshold.")
        parser.add_argument("--strong", default="", help="Another strong model; with --weak.")
        parser.add_argument("--weak", default="", help="Another weak model; with --strong.")
        parser.add_argument(
            "--limit", type=int, help="Read only this many of the newest decisions."
        )
        parser.add_argument("--json", action="store_true", help="Print JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            candidate = filled(_candidate(options), store.current())
            answer = what_if(_span(options), candidate, limit=options["limit"])
        except (CannotAskError, NoPolicyError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            payload = orjson.dumps(what_if_payload(answer), option=orjson.OPT_INDENT_2)
            self.stdout.write(payload.decode())
        else:
            self.stdout.write("\n".join(_text(answer)))


def _candidate(options: dict[str, Any]) -> CandidatePolicy:
    return CandidatePolicy(
        Method(options["method"]),
        options["router"],
        options["threshold"],
        options["strong"],
        options["weak"],
        options["domain"],
    )


def _span(options: dict[str, Any]) -> Span:
    if not 0 < options["days"] <= MOST_DAYS:
        raise CommandError(f"--days must be above 0 and at most {MOST_DAYS:,}.")
    until = options["until"] or timezone.now()
    return Span(options["since"] or until - timedelta(days=options["days"]), until)


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _text(answer: PolicyEstimate) -> list[str]:
    found = answer.found
    lines = [sentence(answer)]
    if answer.advice:
        lines.append(advice_words(answer.advice, answer.candidate.domain))
    if not found.decisions:
        return lines
    lines += ["", f"{'':<24}{'quality':<30}{'$ per 1,000 requests':<30}"]
    for name, label in ESTIMATORS.items():
        quality = bounds_words(getattr(found.quality, name))
        cost = bounds_words(getattr(found.cost, name), 1000 / NANO)
        lines.append(f"{label:<24}{quality:<30}{cost:<30}".rstrip())
    logged = found.logged_strong_share or 0.0
    lines += [
        "",
        f"To the strong model: {formatting.share(found.strong_share.value or 0.0)}, "
        f"{formatting.share(logged)} as logged.",
        f"{found.decisions:,} decisions of {found.units:,} units; without overlap: "
        f"{formatting.share(found.without_overlap)}.",
        weights_words(answer),
        condition_words(found.ratings),
    ]
    if answer.domains:
        lines += [
            "",
            f"{'domain':<16}{'decisions':>10}  {'overlap':>8}  change in quality, in cost",
        ]
        for one in answer.domains:
            of_quality, of_cost = one.found.quality.change, one.found.cost.change
            lines.append(
                f"{one.name:<16}{one.found.decisions:>10,}  "
                f"{formatting.share(1 - one.found.without_overlap):>8}  "
                f"{bounds_words(of_quality)}, "
                f"{bounds_words(of_cost, 1000 / NANO)}"
            )
    if tails(answer):
        lines += ["", tails(answer)]
    return lines
