"""`manage.py calibrate`: finds a threshold for a strong share, a budget, or a quality."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

import orjson
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.utils import timezone

from experiments.analysis.off_policy.estimates import Bounds
from experiments.configuration.experiment_locks import LockedError
from experiments.configuration.policy_store import NoPolicyError, store
from experiments.core.policy import Policy
from experiments.decisions.rollup_queries import Span
from experiments.lab.actions import LabError, apply_threshold
from experiments.lab.candidates import CannotAskError
from experiments.lab.text.calibration import basis, condition, promise, rows, sentence, tail
from experiments.lab.threshold_proposals import Proposal, ThresholdGoal, propose
from experiments.management.base import BaseCommand
from experiments.models import Calibration
from experiments.routing.runtime import engine

Aim = Calibration.Aim
AUTHOR = "calibrate"
MOST_DAYS = 36_500


class Command(BaseCommand):
    help = (
        "Proposes thresholds of domains for a strong share, for a budget, or, with a guarantee, "
        "for a "
        "share of the strong model's quality. Changes nothing without --apply."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("domain", nargs="*", help="Default: all domains with a router.")
        aim = parser.add_mutually_exclusive_group(required=True)
        aim.add_argument("--share", type=float, help="Strong share, such as 0.3.")
        aim.add_argument("--budget", type=float, help="US dollars per 1,000 requests.")
        aim.add_argument(
            "--quality",
            type=float,
            help="Share of the strong model's mean quality per request, below 1, such as 0.95.",
        )
        parser.add_argument(
            "--delta", type=float, default=0.1, help="Risk that any guarantee is broken; 0.1."
        )
        parser.add_argument(
            "--source", default="", help="An outcome set with both answers. Default: ratings."
        )
        parser.add_argument("--days", type=float, default=28, help="Days of scores to use; 28.")
        parser.add_argument("--apply", action="store_true", help="Publish the thresholds.")
        parser.add_argument("--json", action="store_true", help="Print JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = _proposals(options)
            if options["apply"]:
                for one in found:
                    _apply(one)
        except (CannotAskError, NoPolicyError, LabError, LockedError) as error:
            raise CommandError(str(error)) from error
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        if options["json"]:
            payload = orjson.dumps([_payload(one) for one in found], option=orjson.OPT_INDENT_2)
            self.stdout.write(payload.decode())
        else:
            self.stdout.write("\n\n".join(_text(one) for one in found))


def _proposals(options: dict[str, Any]) -> list[Proposal]:
    policy = store.current()
    engine.warm_up(policy)
    names = options["domain"] or _routed(policy)
    now = timezone.now()
    if not 0 < options["days"] <= MOST_DAYS:
        raise CommandError(f"--days must be above 0 and at most {MOST_DAYS:,}.")
    span = Span(now - timedelta(days=options["days"]), now)
    wanted = _wanted(options)
    return [propose(policy, name, span, wanted, domains=len(names)) for name in names]


def _routed(policy: Policy) -> list[str]:
    return sorted(name for name, domain in policy.domains.items() if domain.policy.router)


def _wanted(options: dict[str, Any]) -> ThresholdGoal:
    for aim in Aim:
        if options[aim.value] is not None:
            return ThresholdGoal(aim, options[aim.value], options["delta"], options["source"])
    raise CommandError("Give --share, --budget or --quality.")


def _apply(found: Proposal) -> None:
    if found.threshold is not None:
        apply_threshold(found.as_calibration(AUTHOR, timezone.now()), AUTHOR)


def _text(found: Proposal) -> str:
    lines = [sentence(found)]
    if found.expected:
        lines += [
            *(text for text in (basis(found), promise(found)) if text),
            f"{'':<15}{'threshold':<11}{'strong %':<24}{'$ per 1,000':<26}quality",
        ]
        lines += [
            f"{name:<15}{threshold:<11}{share:<24}{cost:<26}{quality}"
            for name, threshold, share, cost, quality in rows(found)
        ]
    shown = (tail(found) if found.expected else "", condition(found))
    lines += [text for text in shown if text]
    return "\n".join(lines)


def _payload(found: Proposal) -> dict[str, Any]:
    walk = found.walk
    return {
        "domain": found.domain,
        "router": found.router,
        "aim": str(found.wanted.aim),
        "wanted": found.wanted.wanted,
        "threshold": found.threshold,
        "problem": found.problem or None,
        "sentence": sentence(found),
        "scores": found.scores,
        "graded": found.graded,
        "units": walk and walk.units,
        "groups_too_few": found.split or None,
        "expected": found.expected and _expected(found.expected),
        "today": found.today and _expected(found.today),
        "strong": found.strong and _expected(found.strong),
        "promise": _promise(found),
        "condition": condition(found) or None,
        "tails": tail(found) or None,
        "walk": walk and [step._asdict() for step in walk.steps],
        "level": walk and walk.promise.level,
    }


def _promise(found: Proposal) -> dict[str, Any] | None:
    """The guarantee, its basis and its limits."""
    if found.wanted.aim is not Aim.QUALITY:
        return None
    ratings = found.ratings
    return {
        "at_least": found.wanted.wanted,
        "of": "the strong model's mean quality on the same requests",
        "per": "request",
        "risk": found.walk.promise.level if found.walk else found.wanted.delta,
        "kept": _kept(found),
        "left_out": found.left_out,
        "busy_units": found.walk.busy if found.walk else 0,
        "no_threshold_tested_above": found.covered_to,
        "ratings": ratings and ratings._asdict(),
        "sentence": promise(found) or None,
    }


def _kept(found: Proposal) -> float | None:
    quality = found.expected and found.expected.quality.value
    strong = found.strong and found.strong.quality.value
    return quality / strong if quality is not None and strong else None


def _expected(one: Any) -> dict[str, Any]:
    """Cost in nano-dollars per request."""
    return {
        "threshold": one.threshold,
        **{name: _bounds(getattr(one, name)) for name in ("strong_share", "cost", "quality")},
        "ten_largest": one.largest,
        "heavy_tail": one.cost.is_lopsided,
    }


def _bounds(one: Bounds) -> dict[str, float | None]:
    return {"value": one.value, "low": one.low, "high": one.high}
