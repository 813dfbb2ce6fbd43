"""Which calls are repeated with the other model of the pair. Pure."""

from experiments.core.bucketing import BUCKETS, bucket_index
from experiments.core.policy import Policy
from experiments.core.values import Pair


def is_shadowed(policy: Policy, domain: str, decision_id: str) -> bool:
    """Chosen by a hash of the decision's id, independent of unit, arm and router."""
    found = policy.domains.get(domain)
    if found is None or not found.shadow_share:
        return False
    index = bucket_index(policy.shadowing.seed, decision_id)
    return index < round(found.shadow_share * BUCKETS)


def other_of(pair: Pair, model: str) -> str | None:
    """The model of the pair that did not answer; None if neither did, or both are the same."""
    others = {pair.strong: pair.weak, pair.weak: pair.strong}
    other = others.get(model)
    return other if other != model else None
