"""Decides which model answers one prompt. Pure: all inputs are arguments.

The order is domain, master flag, holdout, domain flag, experiment, policy, score, fallbacks, cost.
If a part is misconfigured or fails, `decide` falls back and records why. It raises
`NoEligibleModelsError` only if no model at all can answer.
"""

from experiments.core.assignment import (
    Assignment,
    Cohort,
    FlagState,
    assign,
    evaluate_flag,
    flag_probability,
    force,
    in_holdout,
    is_listed,
    rollout_arm,
)
from experiments.core.bucketing import BUCKETS, bucket_index
from experiments.core.caution import cautious_domain
from experiments.core.choice import (
    DOMAIN_SELECTOR,
    Chooser,
    RouterCalls,
    ScoreRouter,
    explored_buckets,
    pair_of,
    propensity,
)
from experiments.core.costs import estimate
from experiments.core.policy import Method, Policy, PolicyDomain, RoutingPolicy
from experiments.core.selection import GENERAL
from experiments.core.values import (
    Choice,
    DecisionInputs,
    Failure,
    Fallback,
    Pair,
    PromptDecision,
    Propensity,
    RequestedTarget,
    Score,
)

__all__ = [
    "Choice",
    "DecisionInputs",
    "Failure",
    "Fallback",
    "Pair",
    "PromptDecision",
    "Score",
    "decide",
]


def decide(policy: Policy, situation: DecisionInputs, score: ScoreRouter) -> PromptDecision:
    """Which model answers, and why. Calls `score` at most once per router.

    Raises NoEligibleModelsError if no model can answer.
    """
    unit = situation.unit
    domain, confidence = detected_domain(policy, situation)
    scorer = RouterCalls(policy, score)
    if flag_probability(policy.master, unit) > 0:  # the kill switch is not active
        scorer.score_local_routers(domain.name)
    cautious = cautious_domain(policy, situation, domain, confidence)
    deciding = cautious or domain
    chooser = Chooser(policy, deciding, situation, scorer, domain if cautious else None)

    rules = (policy.master, domain.flag, *((cautious.flag,) if cautious else ()))
    flags = tuple(evaluate_flag(rule, unit) for rule in rules)
    refusal = _refusal(policy, situation, flags)
    assignment = None if refusal else _assignment(policy, domain, situation, cautious)
    wanted = _wanted(policy, deciding, situation, refusal, assignment)
    choice = _choice(chooser, wanted, refusal)
    explored = _explores(policy, wanted, choice, situation.decision_id)
    intended = choice.other if explored and choice.other else choice.model
    direct = choice.method is Method.DIRECT
    model, unavailable = (
        (intended, ()) if direct else chooser.replace_unavailable(intended, choice.pair)
    )
    pair = choice.pair or (None if direct else pair_of(policy, deciding, wanted))
    chances = _propensity(chooser, wanted, intended)

    return PromptDecision(
        id=situation.decision_id,
        revision=policy.revision,
        domain=domain,
        confidence=confidence,
        candidates=tuple(situation.candidates),
        overridden=situation.domain_override is not None,
        flags=flags,
        assignment=assignment,
        cohort=None if cautious else _cohort(policy, domain, situation, flags),
        audited=_is_audited(assignment, situation.decision_id),
        policy=wanted,
        choice=choice,
        intended=intended,
        model=model,
        explored=explored,
        propensity=chances,
        scores=scorer.seen,
        fallbacks=(*choice.fallbacks, *unavailable),
        costs=estimate(policy, domain.name, pair, model, situation),
        pair=pair,
        sticky=unit.sticky,
        listed=_is_listed(policy, domain, situation),
        forced=_is_forced(situation),
        cautious=cautious,
        tables=dict(chooser.tables),
    )


def detected_domain(policy: Policy, situation: DecisionInputs) -> tuple[PolicyDomain, float]:
    """The override, else the best candidate that reaches its domain's minimum, else general."""
    if situation.domain_override is not None:
        return policy.domains[situation.domain_override], 1.0
    confidences = {c.name: c.confidence for c in situation.candidates if c.name in policy.domains}
    best = max(confidences, key=lambda name: confidences[name], default=GENERAL)
    if best != GENERAL and confidences[best] >= policy.domains[best].min_confidence:
        return policy.domains[best], confidences[best]
    return policy.domains[GENERAL], confidences.get(GENERAL, 0.0)


def _refusal(policy: Policy, situation: DecisionInputs, flags: tuple[FlagState, ...]) -> str | None:
    """Why this unit is not routed, or None. If the caller names a router, only the kill switch
    prevents routing. If the caller names a model, nothing is routed."""
    master, own, *cautious = flags
    if situation.asked and situation.asked.model:
        return None
    if not master.on:
        return "master_flag_off"
    if situation.asked:
        return None
    if in_holdout(policy.holdout, situation.unit):
        return "holdout"
    if not own.on:
        return "domain_flag_off"
    return None if all(flag.on for flag in cautious) else "unknown_language"


def _assignment(
    policy: Policy, domain: PolicyDomain, situation: DecisionInputs, cautious: PolicyDomain | None
) -> Assignment | None:
    """Experiments leave out prompts that a more cautious domain than their own decides."""
    if situation.asked:
        return None
    if situation.force_arm is not None:
        return force(policy, domain.name, situation.force_arm)
    if cautious:
        return None
    counted = not _is_listed(policy, domain, situation)
    unit, decision_id = situation.unit, situation.decision_id
    return assign(policy, domain.name, unit, decision_id, counted=counted)


def _cohort(
    policy: Policy, domain: PolicyDomain, situation: DecisionInputs, flags: tuple[FlagState, ...]
) -> Cohort | None:
    """The group of a guarded rollout. None for units that are listed, forced or held out, and for
    units that the other flag excludes from routing regardless of this one."""
    if _is_forced(situation) or _is_listed(policy, domain, situation):
        return None
    if not policy.rollouts or in_holdout(policy.holdout, situation.unit):
        return None
    master, own = flags
    for flag, other in ((domain.flag, master), (policy.master, own)):
        rollout = next((r for r in policy.rollouts if r.flag == flag.key), None)
        if rollout is not None and other.on:
            arm = rollout_arm(rollout, flag, situation.unit)
            return Cohort(rollout.key, arm, rollout.phase, rollout.slow_ms) if arm else None
    return None


def _is_audited(assignment: Assignment | None, decision_id: str) -> bool:
    """Chosen by a hash of the decision, independent of the arm."""
    if assignment is None or assignment.experiment.audit_share <= 0:
        return False
    experiment = assignment.experiment
    index = bucket_index(f"{experiment.seed}:audit", decision_id)
    return index < round(experiment.audit_share * BUCKETS)


def _wanted(
    policy: Policy,
    domain: PolicyDomain,
    situation: DecisionInputs,
    refusal: str | None,
    assignment: Assignment | None,
) -> RoutingPolicy:
    if refusal:
        return DOMAIN_SELECTOR
    if situation.asked:
        return _asked_policy(policy, domain, situation.asked)
    return assignment.arm.policy if assignment else domain.policy


def _asked_policy(policy: Policy, domain: PolicyDomain, asked: RequestedTarget) -> RoutingPolicy:
    """The policy that the caller named, with the domain's pair."""
    if asked.model:
        return RoutingPolicy(Method.DIRECT, strong=asked.model)
    pair = pair_of(policy, domain, domain.policy)
    return RoutingPolicy(
        Method.ROUTELLM,
        asked.router,
        asked.threshold,
        pair.strong if pair else None,
        pair.weak if pair else None,
    )


def _choice(chooser: Chooser, wanted: RoutingPolicy, refusal: str | None) -> Choice:
    if refusal:
        return chooser.select(refusal)
    if wanted.method is Method.DIRECT and wanted.strong:
        return Choice(wanted.strong, Method.DIRECT, "model_named")
    return chooser.choose(wanted)


def _is_forced(situation: DecisionInputs) -> bool:
    return situation.force_arm is not None or situation.asked is not None


def _explores(policy: Policy, wanted: RoutingPolicy, choice: Choice, decision_id: str) -> bool:
    if choice.other is None or wanted.epsilon <= 0:
        return False
    return bucket_index(policy.exploration_seed, decision_id) < explored_buckets(wanted.epsilon)


def _propensity(chooser: Chooser, wanted: RoutingPolicy, intended: str) -> Propensity:
    if _is_forced(chooser.situation):
        return Propensity(None, None, None, "forced")
    return propensity(chooser, wanted, wanted.epsilon, intended)


def _is_listed(policy: Policy, domain: PolicyDomain, situation: DecisionInputs) -> bool:
    unit = situation.unit
    return is_listed(policy.master, unit) or is_listed(domain.flag, unit)
