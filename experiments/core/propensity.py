"""The probability, under the logging policy, of each model that a unit could have been sent to.

The randomized steps are independent (each has its own seed): master flag, holdout, domain flag,
arm, exploration. A path ends in a choice; its model gets P(path) (1 - epsilon), the other model of
its pair P(path) epsilon. Lists are not random: the flags of a listed unit are certain.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from experiments.core.assignment import arm_probabilities, flag_probability
from experiments.core.bucketing import BUCKETS
from experiments.core.choice import Chooser
from experiments.core.policy import Method, RoutingPolicy
from experiments.core.selection import NoEligibleModelsError
from experiments.core.values import Choice, Propensity

DOMAIN_SELECTOR = RoutingPolicy(Method.DOMAIN_SELECTOR)


class Path(NamedTuple):
    policy: RoutingPolicy
    probability: float


def paths(chooser: Chooser) -> Iterator[Path]:
    """Every policy that this unit could have got, with its probability. They sum to 1."""
    policy, domain, unit = chooser.policy, chooser.domain, chooser.situation.unit
    routed = (
        flag_probability(policy.master, unit)
        * (1 - policy.holdout.share / BUCKETS)
        * flag_probability(domain.flag, unit)
    )
    if routed < 1:
        yield Path(DOMAIN_SELECTOR, 1 - routed)
    if routed > 0:
        for arm, share in arm_probabilities(policy, domain.name):
            if share > 0:
                yield Path(arm.policy if arm else domain.policy, routed * share)


def propensity(chooser: Chooser, taken: Choice, epsilon: float, intended: str) -> Propensity:
    """The vector over models, its entry for `intended`, and that entry given the unit's arm."""
    given_arm = _share_of(intended, taken, epsilon)
    by_model: defaultdict[str, float] = defaultdict(float)
    for path in paths(chooser):
        if _needs_unasked_router(chooser, path.policy):
            return Propensity(None, None, given_arm, "remote_router_not_asked")
        try:
            choice = chooser.choose(path.policy)
        except NoEligibleModelsError:
            return Propensity(None, None, given_arm, "no_eligible_model_on_another_path")
        for model in {choice.model, choice.other or choice.model}:
            by_model[model] += path.probability * _share_of(model, choice, path.policy.epsilon)
    return Propensity(dict(by_model), by_model[intended], given_arm)


def explored_buckets(epsilon: float) -> int:
    """How many bucket indexes explore, counted from 0."""
    return round(epsilon * BUCKETS)


def _share_of(model: str, choice: Choice, epsilon: float) -> float:
    """P(model | this choice): the other model of the pair gets the exploration rate."""
    if choice.other is None:
        return float(model == choice.model)
    explored = explored_buckets(epsilon) / BUCKETS
    return (1 - explored) * (model == choice.model) + explored * (model == choice.other)


def _needs_unasked_router(chooser: Chooser, policy: RoutingPolicy) -> bool:
    if policy.method is not Method.ROUTELLM or policy.router is None:
        return False
    asked = (policy.router, *(step.router for step in policy.steps))
    routers = (chooser.policy.routers.get(name) for name in asked)
    return any(
        router is not None and not router.local and router.name not in chooser.scorer.seen
        for router in routers
    )
