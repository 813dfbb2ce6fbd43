"""Units and their buckets, and which flags, holdout and experiments they are assigned to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from experiments.core.bucketing import (
    BUCKETS,
    NAMESPACE_SLOTS,
    bucket_index,
    choose,
    in_slot,
    namespace_index,
    share_between,
)
from experiments.core.policy import (
    FlagRule,
    Holdout,
    Policy,
    PolicyArm,
    PolicyExperiment,
    PolicyRollout,
)


class Buckets(Protocol):
    """A unit's bucket for each seed, as integers."""

    def index(self, seed: str) -> int:
        """0 to 9,999."""
        ...

    def namespace(self, name: str) -> int:
        """0 to 999."""
        ...


@dataclass(slots=True)
class HashedBuckets:
    """Buckets of a unit id as sent. `seen` collects the results to store with the decision."""

    unit_id: str
    seen: dict[str, int] = field(default_factory=dict)

    def index(self, seed: str) -> int:
        if seed not in self.seen:
            self.seen[seed] = bucket_index(seed, self.unit_id)
        return self.seen[seed]

    def namespace(self, name: str) -> int:
        key = f"namespace:{name}"
        if key not in self.seen:
            self.seen[key] = namespace_index(self.unit_id, name)
        return self.seen[key]


@dataclass(frozen=True, slots=True)
class RecordedBuckets:
    """Buckets of a stored decision, which does not contain the unit id."""

    seen: Mapping[str, int]

    def index(self, seed: str) -> int:
        return self.seen[seed]

    def namespace(self, name: str) -> int:
        return self.seen[f"namespace:{name}"]


@dataclass(frozen=True, slots=True)
class Unit:
    """What is randomized. `hashed` is the keyed hash that lists and storage use.

    `sticky` is false if the caller sent no unit, so the decision is its own unit.
    """

    buckets: Buckets
    hashed: str
    sticky: bool = True


class FlagState(NamedTuple):
    """One evaluated flag. `bucket` lies in [0, 1), `percentage` in [0, 100]."""

    key: str
    on: bool
    reason: str
    bucket: float
    percentage: float


class Assignment(NamedTuple):
    """The arm that decides. `counted` is false if the unit was listed or forced."""

    experiment: PolicyExperiment
    arm: PolicyArm
    counted: bool


class Cohort(NamedTuple):
    """Where a guarded rollout counts a decision: `treated` or `control`, in which phase."""

    rollout: str
    arm: str
    phase: int | None = None
    slow_ms: float | None = None


def evaluate_flag(flag: FlagRule, unit: Unit) -> FlagState:
    """Checks the deny list, the allow list and the percentage; the first match decides."""
    index = unit.buckets.index(flag.seed)
    if unit.hashed in flag.deny:
        on, reason = False, "deny_list"
    elif unit.hashed in flag.allow:
        on, reason = True, "allow_list"
    else:
        on, reason = index < flag.share, "rollout"
    return FlagState(flag.key, on, reason, index / BUCKETS, flag.share / 100)


def flag_probability(flag: FlagRule, unit: Unit) -> float:
    """P(flag on) over the randomisation, given whether the unit is listed."""
    if unit.hashed in flag.deny:
        return 0.0
    if unit.hashed in flag.allow:
        return 1.0
    return flag.share / BUCKETS


def is_listed(flag: FlagRule, unit: Unit) -> bool:
    return unit.hashed in flag.deny or unit.hashed in flag.allow


def in_holdout(holdout: Holdout, unit: Unit) -> bool:
    return holdout.share > 0 and unit.buckets.index(holdout.seed) < holdout.share


def experiments_of(policy: Policy, domain: str) -> list[PolicyExperiment]:
    """The experiments that may include a decision of this domain, the domain's own first."""
    if not policy.switches.ab_testing:
        return []
    own = [e for e in policy.experiments if e.domain == domain]
    return own + [e for e in policy.experiments if e.domain is None]


def assign(
    policy: Policy, domain: str, unit: Unit, decision_id: str, *, counted: bool
) -> Assignment | None:
    """The first experiment whose namespace slot and coverage include this unit, and its arm."""
    for experiment in experiments_of(policy, domain):
        buckets = HashedBuckets(decision_id) if experiment.by_request else unit.buckets
        if not _in_slot(experiment, buckets):
            continue
        position = buckets.index(experiment.seed) / BUCKETS
        index = choose(position, experiment.ranges())
        if index >= 0:
            return Assignment(experiment, experiment.arms[index], counted)
    return None


def force(policy: Policy, domain: str, arm_name: str) -> Assignment | None:
    """The arm of that name in the domain's running experiment, or None if there is none."""
    for experiment in experiments_of(policy, domain):
        for arm in experiment.arms:
            if arm.name == arm_name:
                return Assignment(experiment, arm, counted=False)
    return None


def rollout_arm(rollout: PolicyRollout, flag: FlagRule, unit: Unit) -> str | None:
    """`treated`, `control` or None for units between the two.

    A rollout without phases compares all its steps together, so at most the lower half may be
    treated: above 50 % former controls would get the flag. With phases, each phase is compared
    separately.
    """
    index = unit.buckets.index(flag.seed)
    half = BUCKETS // 2 if rollout.phase is None else BUCKETS
    if index < min(rollout.share, half):
        return "treated"
    return "control" if index >= BUCKETS - rollout.control_share else None


def arm_probabilities(policy: Policy, domain: str) -> list[tuple[PolicyArm | None, float]]:
    """P(arm) for each arm of this domain's experiments, and last P(no experiment).

    Experiments that may include the same decision have disjoint slots (checked when one starts), so
    their probabilities add up.
    """
    shares: list[tuple[PolicyArm | None, float]] = []
    for experiment in experiments_of(policy, domain):
        slot = experiment.namespace
        width = share_between(slot.start, slot.end, NAMESPACE_SLOTS) if slot else 1.0
        for arm, (start, end) in zip(experiment.arms, experiment.ranges(), strict=True):
            shares.append((arm, width * share_between(start, end)))
    outside = 1.0 - sum(share for _, share in shares)
    return [*shares, (None, max(0.0, outside))]


def _in_slot(experiment: PolicyExperiment, buckets: Buckets) -> bool:
    slot = experiment.namespace
    return slot is None or in_slot(buckets.namespace(slot.name), slot.start, slot.end)
