"""Targets in dollars and in quality: what they mean for the threshold, once an hour.

They depend on costs and ratings, so they are looked up with the machinery of calibration, each
change is a revision, and nothing changes while an experiment runs in the domain. Dollars become a
strong share, which the threshold then follows; quality becomes a threshold with its guarantee.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Q

from experiments.configuration.policy_store import NoPolicyError, store
from experiments.core.policy import Method, Policy
from experiments.decisions.rollup_queries import Span
from experiments.formatting import in_dollars, share
from experiments.lab.actions import apply_threshold
from experiments.lab.candidates import CannotAskError
from experiments.lab.decision_log import AT_ONCE
from experiments.lab.threshold_proposals import PRODUCTION, Aim, Proposal, ThresholdGoal, propose
from experiments.models import Calibration, Domain, Experiment
from experiments.models.domains import TargetKind

AUTHOR = "target"
LOOKED_AT = timedelta(days=28)
DELTA = 0.1
AIMS = {TargetKind.DOLLARS: Aim.BUDGET, TargetKind.QUALITY: Aim.QUALITY}
ACTIVE = (Experiment.Status.RUNNING, Experiment.Status.PAUSED)
# Smaller changes are within the uncertainty of a month of costs and ratings.
SMALLEST_CHANGE = 0.01


class Resolved(NamedTuple):
    """What became of one domain's target."""

    domain: str
    changed: bool
    sentence: str


def resolve_targets(now: datetime) -> list[Resolved]:
    """Looks up every followed target in dollars or quality, and applies what changed."""
    try:
        policy = store.current()
    except NoPolicyError:
        return []
    rows = Domain.objects.filter(
        follows_target=True, target_kind__in=AIMS, target_value__gt=0, method=Method.ROUTELLM
    )
    domains = list(rows.select_related("router"))
    return [_resolve(policy, domain, domains, now) for domain in domains]


def frozen_by(domain: str) -> str | None:
    """The experiment that keeps the domain's target as it is."""
    here = Q(domain__name=domain) | Q(domain=None)
    return Experiment.objects.filter(here, status__in=ACTIVE).values_list("key", flat=True).first()


def _resolve(policy: Policy, domain: Domain, domains: Iterable[Domain], now: datetime) -> Resolved:
    if experiment := frozen_by(domain.name):
        return Resolved(domain.name, False, f"unchanged while experiment {experiment} runs")
    together = sum(one.target_kind == TargetKind.QUALITY for one in domains)
    span = Span(now - LOOKED_AT, now)
    try:
        found = propose(
            policy, domain.name, span, _wanted(domain), domains=max(1, together), most=AT_ONCE
        )
    except CannotAskError as error:
        return Resolved(domain.name, False, str(error))
    if found.threshold is None or found.expected is None:
        return Resolved(domain.name, False, found.problem)
    if not _differs(domain, found):
        return Resolved(domain.name, False, "unchanged")
    row = found.as_calibration(AUTHOR, now)
    apply_threshold(row, AUTHOR)
    return Resolved(domain.name, True, " ".join(_described(domain, row)))


def _wanted(domain: Domain) -> ThresholdGoal:
    """The target as a question. A promise of quality keeps the graded prompts and the risk of the
    last one that was applied; without one it is about production's ratings."""
    aim = AIMS[TargetKind(domain.target_kind)]
    wanted = ThresholdGoal(aim, domain.target_value or 0.0, DELTA)
    last = Calibration.objects.filter(domain=domain.name, aim=aim).order_by("-at").first()
    if aim is not Aim.QUALITY or last is None:
        return wanted
    source = "" if last.source == PRODUCTION else last.source
    return wanted._replace(source=source, delta=last.delta or DELTA)


def _differs(domain: Domain, found: Proposal) -> bool:
    if found.wanted.aim is Aim.BUDGET:
        before, after = domain.resolved_share, found.expected and found.expected.strong_share.value
    else:
        before, after = domain.threshold, found.threshold
    return before is None or after is None or abs(before - after) >= SMALLEST_CHANGE


def _described(domain: Domain, row: Calibration) -> Iterator[str]:
    if domain.target_kind == TargetKind.DOLLARS:
        wanted = in_dollars(row.wanted or 0.0, significant=6)
        yield f"{wanted} per 1,000 requests is a strong share of {share(row.strong_share)}"
    else:
        yield f"{share(row.wanted)} of the strong model's quality needs a threshold of"
        yield f"{row.threshold:.3f}, at a risk of {share(row.delta or 0.0)}"
