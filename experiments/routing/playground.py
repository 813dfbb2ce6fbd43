"""Routes a prompt under two policies or in two domains, without storing the decisions."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from experiments.configuration.policy_store import NoPolicyError
from experiments.core.policy import Holdout, Method, Policy, PolicyDomain, RoutingPolicy
from experiments.core.selection import NoEligibleModelsError
from experiments.decisions import explanation
from experiments.decisions.text import ExplanationStep
from experiments.models import Decision
from experiments.routing.route import (
    RouteRequest,
    StorageUnavailableError,
    UnknownNameError,
    configuration,
    decide_one,
)

EVERYBODY = 10_000
OUTCOME = "outcome"  # a prompt in the playground has none


class Variant(StrEnum):
    """The policy of one side. All but the first have every flag on."""

    CONFIGURED = "configured"
    ROUTED = "routed"
    THRESHOLD = "threshold"
    STRONG = Method.ALWAYS_STRONG
    WEAK = Method.ALWAYS_WEAK
    SELECTOR = Method.DOMAIN_SELECTOR


LABELS = {
    Variant.CONFIGURED: "as configured now",
    Variant.ROUTED: "the domain's policy, for everybody",
    Variant.THRESHOLD: "its router at a threshold of my own",
    Variant.STRONG: "always the strong model",
    Variant.WEAK: "always the weak model",
    Variant.SELECTOR: "the domain selector",
}


class Side(NamedTuple):
    """The settings of one side. With `domain` "", the domain is detected."""

    variant: Variant = Variant.CONFIGURED
    domain: str = ""
    threshold: float = 0.5

    @property
    def title(self) -> str:
        label = LABELS[self.variant]
        if self.variant is Variant.THRESHOLD:
            label = f"its router at {self.threshold:g}"
        return f"As {self.domain}, {label}" if self.domain else f"{label[:1].upper()}{label[1:]}"


class Tried(NamedTuple):
    """One side's result. If it could not be routed, `sentence` has the reason."""

    title: str
    sentence: str
    steps: tuple[ExplanationStep, ...] = ()
    decision: Decision | None = None


def try_prompt(text: str, unit_id: str, sides: Sequence[Side]) -> list[Tried]:
    """Each side under the newest revision with its settings. Nothing is stored."""
    return [_try(text, unit_id, side) for side in sides]


def _try(text: str, unit_id: str, side: Side) -> Tried:
    request = RouteRequest(text, unit_id=unit_id or None, domain=side.domain or None, dry_run=True)
    try:
        policy, expected = configuration()
        row = decide_one(altered(policy, side), expected, request)
    except (
        NoEligibleModelsError,
        NoPolicyError,
        StorageUnavailableError,
        UnknownNameError,
    ) as error:
        return Tried(side.title, str(error))
    steps = tuple(one for one in explanation.steps(row) if one.name != OUTCOME)
    return Tried(side.title, explanation.summary(row), steps, row)


def altered(policy: Policy, side: Side) -> Policy:
    """The policy of one side: without experiments, rollouts and holdout."""
    if side.variant is Variant.CONFIGURED:
        return policy
    change = _CHANGES[side.variant]
    return replace(
        policy,
        master=replace(policy.master, share=EVERYBODY, deny=frozenset()),
        domains={
            name: _with(domain, change(domain.policy, side))
            for name, domain in policy.domains.items()
        },
        experiments=(),
        rollouts=(),
        holdout=Holdout(),
    )


def _with(domain: PolicyDomain, policy: RoutingPolicy) -> PolicyDomain:
    flag = replace(domain.flag, share=EVERYBODY, deny=frozenset())
    return replace(domain, flag=flag, policy=policy)


def _same(policy: RoutingPolicy, side: Side) -> RoutingPolicy:
    return policy


def _method(policy: RoutingPolicy, side: Side) -> RoutingPolicy:
    return replace(policy, method=Method(side.variant), epsilon=0.0)


def _threshold(policy: RoutingPolicy, side: Side) -> RoutingPolicy:
    fixed = replace(policy, threshold=side.threshold, target_share=None)
    return replace(fixed, method=Method.ROUTELLM, epsilon=0.0)


_CHANGES: dict[Variant, Callable[[RoutingPolicy, Side], RoutingPolicy]] = {
    Variant.ROUTED: _same,
    Variant.THRESHOLD: _threshold,
    Variant.STRONG: _method,
    Variant.WEAK: _method,
    Variant.SELECTOR: _method,
}
