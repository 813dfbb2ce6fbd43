"""Caution with prompts in a language or script that the detector does not know.

Below the confidence that means "right", such a prompt may be of any candidate domain. It is decided
by the most cautious of them: that whose flag routes the least, then that whose policy does.
"""

from experiments.core.assignment import Unit, flag_probability
from experiments.core.policy import Method, Policy, PolicyDomain
from experiments.core.values import DecisionInputs

# Of detections at or above it, 95 in 100 are right (docs/domains-detector.md).
CONFIDENT = 0.8


def cautious_domain(
    policy: Policy, situation: DecisionInputs, detected: PolicyDomain, confidence: float
) -> PolicyDomain | None:
    """The candidate domain that is more cautious than the detected one, or None.

    None, too, where the language is known, the detection is confident, or the caller named the
    domain or what answers.
    """
    named = situation.domain_override is not None or situation.asked is not None
    if named or not situation.unknown_language or confidence >= CONFIDENT:
        return None
    names = {candidate.name for candidate in situation.candidates} or set(policy.domains)
    candidates = [policy.domains[name] for name in sorted(names & set(policy.domains))]
    most = min(candidates, key=lambda one: _order(policy, situation.unit, one), default=detected)
    bolder = _boldness(policy, situation.unit, detected) > _boldness(policy, situation.unit, most)
    return most if bolder else None


def _order(policy: Policy, unit: Unit, domain: PolicyDomain) -> tuple[float, float, int, float]:
    """Among equally bold domains, the one that asks most of a model."""
    config = domain.config
    certifications = len(config.required_certifications)
    return (*_boldness(policy, unit, domain), -certifications, -config.min_accuracy_score)


def _boldness(policy: Policy, unit: Unit, domain: PolicyDomain) -> tuple[float, float]:
    """P(the flag lets this unit be routed), and how far the policy lets the weak model answer."""
    routed = flag_probability(domain.flag, unit)
    return routed, _weak_reach(domain) if routed else 0.0


def _weak_reach(domain: PolicyDomain) -> float:
    """0 where the weak model never answers, 2 for always. Where a router decides, the threshold or,
    where that follows a target, the weak model's share."""
    wanted, method = domain.policy, domain.policy.method
    if method is Method.ALWAYS_WEAK:
        return 2.0
    if method is not Method.ROUTELLM:
        return 0.0
    if wanted.target_share is not None:
        return 1.0 - wanted.target_share
    return wanted.threshold or 0.0
