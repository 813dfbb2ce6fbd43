"""What needs an operator: verdicts, waiting rollouts, failing or unpriced models, routers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from django.utils import timezone

from experiments.analytics.circuit_breakers import open_breakers
from experiments.analytics.drift import drifts
from experiments.core.money import price_on
from experiments.core.policy import Policy
from experiments.decisions.rollup_queries import DAY, Span, rolled_up
from experiments.formatting import plural, share
from experiments.models import DailyResult, Experiment, Rollout, ThresholdTable

ACTIVE = (Experiment.Status.RUNNING, Experiment.Status.PAUSED)
WATCHED = (Rollout.State.HELD, Rollout.State.READY)
GOES_ON = {"", "continue", "too_early", "not_enough_data"}


class Subject(StrEnum):
    EXPERIMENT = "experiment"
    ROLLOUT = "rollout"
    MODEL = "model"
    ROUTER = "router"
    CIRCUIT = "circuit"
    DOMAIN = "domain"
    LEARNING = "learning"


class Attention(NamedTuple):
    """One thing to do. `state` is one of the design system's states, `key` the object to open,
    `when` the time of the finding if that is not now."""

    subject: Subject
    state: str
    key: str
    title: str
    why: str
    when: str = ""


class NotReady(NamedTuple):
    """A router that cannot score, and why."""

    name: str
    detail: str


STATES = {"ship": "ship", "roll_back": "rollback", "unhealthy": "unhealthy"}
TITLES = {
    "ship": "{} can ship",
    "roll_back": "{} should roll back",
    "unhealthy": "{} is unhealthy",
}


def attention(span: Span, policy: Policy, routers: Sequence[NotReady]) -> tuple[Attention, ...]:
    """The most urgent first. Six queries at most, and two for drift every ten minutes."""
    found = [*_circuits(), *_experiments(), *_rollouts(), *_unpriced(span, policy)]
    found += [*_routers(routers), *_drifted(policy), *_jumped(policy)]
    order = ["unhealthy", "rollback", "ship", "paused"]
    return tuple(sorted(found, key=lambda one: order.index(one.state)))


def _circuits() -> Iterator[Attention]:
    for model, one in open_breakers(timezone.now()).items():
        why = f"Other models answer since {one.since:%Y-%m-%d %H:%M} UTC. {one.next_try}"
        said = f" Last error: {one.reason}" if one.reason else ""
        title = f"{model} keeps failing"
        yield Attention(Subject.CIRCUIT, "unhealthy", model, title, f"{why}{said}")


def _experiments() -> Iterator[Attention]:
    """From the newest stored result; the experiment's own page computes a new one."""
    active = {row.pk: row for row in Experiment.objects.filter(status__in=ACTIVE)}
    kept = DailyResult.objects.filter(experiment__in=active).order_by("experiment", "day", "phase")
    newest = {row.experiment_id: row for row in kept}
    for pk, experiment in active.items():
        row = newest.get(pk)
        if row is None or row.phase != experiment.phase or row.verdict not in STATES:
            continue
        yield Attention(
            Subject.EXPERIMENT,
            STATES[row.verdict],
            experiment.key,
            TITLES[row.verdict].format(experiment.key),
            str(row.result.get("sentence", "")),
            f"At the end of {row.day} (UTC):",
        )


def _rollouts() -> Iterator[Attention]:
    for row in Rollout.objects.filter(state__in=WATCHED).select_related("flag__domain"):
        where = row.flag.domain.name if row.flag.domain else row.flag.key
        held = row.state == Rollout.State.HELD
        title = f"Rollout of {where} is held" if held else f"Rollout of {where} waits for you"
        yield Attention(Subject.ROLLOUT, "paused", row.key, title, row.reason)


def _unpriced(span: Span, policy: Policy) -> Iterator[Attention]:
    """Models without a price that answered in the span, or that a domain's pair names."""
    today = span.until.date()
    used = {line.key[0]: line.sums for line in rolled_up(span, "model", only=["decisions"])}
    for name in sorted({*used, *_named(policy)}):
        if _price_holds(policy, name, today):
            continue
        count = used[name].decisions if name in used else 0
        yield Attention(
            Subject.MODEL,
            "unhealthy",
            name,
            f"{name} has no price",
            f"The saving of {plural(count, 'decision')} that it answered is unknown."
            if count
            else "The saving of its answers will be unknown.",
        )


def _price_holds(policy: Policy, name: str, day: date) -> bool:
    return price_on(tuple(policy.prices.get(name, ())), day) is not None


def _named(policy: Policy) -> Iterator[str]:
    for domain in policy.domains.values():
        for model in (domain.policy.strong, domain.policy.weak):
            if model:
                yield model


def _routers(routers: Iterable[NotReady]) -> Iterator[Attention]:
    for router in routers:
        yield Attention(
            Subject.ROUTER,
            "unhealthy",
            router.name,
            f"Router {router.name} is not ready",
            f"{router.detail} Its decisions fall back to the domain selector.".strip(),
        )


def _drifted(policy: Policy) -> Iterator[Attention]:
    """Domains whose traffic differs from that of their calibration."""
    for drift in drifts(policy, timezone.now()):
        title = f"{drift.domain} drifted"
        yield Attention(Subject.DOMAIN, "unhealthy", drift.domain, title, drift.sentence)


def _jumped(policy: Policy) -> Iterator[Attention]:
    """Domains whose scores changed at once in the last day, with the largest change."""
    since = timezone.now() - DAY
    rows = ThresholdTable.objects.filter(at__gte=since, jump__isnull=False).order_by("jump")
    largest = {row.domain: row for row in rows}
    for name, row in sorted(largest.items()):
        if name in policy.domains:
            why = (
                f"At {row.at:%H:%M} UTC the newest scores of router {row.router} differed from "
                f"those before by {share(row.jump or 0.0)} of the prompts. The threshold follows: "
                "look at what changed in the traffic."
            )
            title = f"Scores of {name} jumped"
            yield Attention(Subject.DOMAIN, "unhealthy", name, title, why)


def by_subject(found: Iterable[Attention]) -> Mapping[Subject, int]:
    counts: dict[Subject, int] = {}
    for one in found:
        counts[one.subject] = counts.get(one.subject, 0) + 1
    return counts
