"""The percentage of each domain's flag, and the state of its guarded rollout."""

from decimal import Decimal
from typing import NamedTuple

from django.db.models import Prefetch

from experiments.formatting import percentage
from experiments.models import Flag, Rollout

OPEN = ("pending", "ready", "running", "held", "paused")
STATES = {
    "pending": "draft",
    "ready": "paused",
    "running": "running",
    "held": "paused",
    "paused": "paused",
}
WORDS = {"ready": "waits for you", "held": "held", "paused": "paused", "running": "rising"}


class RolloutState(NamedTuple):
    """`state` is one of the design system's states; `words` say it: "25 %, held"."""

    domain: str
    flag: str
    percentage: Decimal
    state: str
    words: str
    reason: str


def rollout_states() -> dict[str, RolloutState]:
    """By domain. Two queries."""
    underway = Rollout.objects.filter(state__in=OPEN)
    flags = Flag.objects.filter(kind=Flag.Kind.DOMAIN).select_related("domain")
    rows = flags.prefetch_related(Prefetch("rollouts", queryset=underway, to_attr="underway"))
    return {flag.domain.name: _state(flag) for flag in rows if flag.domain}


def _state(flag: Flag) -> RolloutState:
    rollouts: list[Rollout] = getattr(flag, "underway", [])
    rollout = rollouts[0] if rollouts else None
    share = "off" if not flag.percentage else percentage(float(flag.percentage))
    state = "running" if flag.percentage else "stopped"
    words = share
    if rollout:
        state = STATES[rollout.state]
        words = ", ".join(part for part in (share, WORDS.get(rollout.state, "")) if part)
    return RolloutState(
        flag.domain.name if flag.domain else "",
        flag.key,
        flag.percentage,
        state,
        words,
        rollout.reason if rollout else "",
    )
