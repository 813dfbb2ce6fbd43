"""Which calls are repeated with the other model of the pair. Pure."""

from experiments.core.bucketing import BUCKETS, bucket_index
from experiments.core.policy import Policy
from experiments.core.values import Pair

PAIR_SHARE = 0.10
PAIR_SHARE_LATER = 0.05
"""The share of a learning domain's calls that become pairs, and that share from 400 pairs on."""


def learns(policy: Policy, domain: str) -> bool:
    """Whether this domain learns from its traffic: an operator agreed to both switches."""
    found = policy.domains.get(domain)
    return found is not None and found.learning and policy.switches.learning


def shadow_odds(policy: Policy, domain: str, *, enough_pairs: bool = False) -> float:
    """The probability that a call of the domain is repeated. Learning draws no pairs without a
    judge, because no answers would be compared."""
    found = policy.domains.get(domain)
    if found is None:
        return 0.0
    if not learns(policy, domain) or policy.shadowing.judge is None:
        return found.shadow_share
    return max(found.shadow_share, PAIR_SHARE_LATER if enough_pairs else PAIR_SHARE)


def is_shadowed(
    policy: Policy, domain: str, decision_id: str, *, enough_pairs: bool = False
) -> bool:
    """Chosen by a hash of the decision's id, independent of unit, arm and router."""
    odds = shadow_odds(policy, domain, enough_pairs=enough_pairs)
    if not odds:
        return False
    return bucket_index(policy.shadowing.seed, decision_id) < round(odds * BUCKETS)


def other_of(pair: Pair, model: str) -> str | None:
    """The model of the pair that did not answer; None if neither did, or both are the same."""
    others = {pair.strong: pair.weak, pair.weak: pair.strong}
    other = others.get(model)
    return other if other != model else None
