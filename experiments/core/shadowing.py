"""Which calls the other model of the pair answers too. Pure."""

from experiments.core.bucketing import BUCKETS, bucket_index
from experiments.core.policy import Policy
from experiments.core.values import Pair


def is_shadowed(policy: Policy, domain: str, decision_id: str) -> bool:
    """By a hash of the decision's id: the unit, arm and router have no part in it."""
    found = policy.domains.get(domain)
    if found is None or not found.shadow_share:
        return False
    index = bucket_index(policy.shadowing.seed, decision_id)
    return index < round(found.shadow_share * BUCKETS)


def other_of(pair: Pair, model: str) -> str | None:
    """The model of the pair that did not answer; None where neither did, or both are one."""
    others = {pair.strong: pair.weak, pair.weak: pair.strong}
    other = others.get(model)
    return other if other != model else None
