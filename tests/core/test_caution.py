"""Prompts in an unknown language are decided by the most cautious domain they may belong to."""

from dataclasses import replace

import pytest

from experiments.core.detection import Candidate
from experiments.core.policy import Method, Policy, PolicyArm, PolicyExperiment, RoutingPolicy
from experiments.core.values import RequestedTarget
from tests.core.decision_values import (
    ALL,
    OTHER,
    ROUTED,
    STRONG,
    WEAK,
    decided,
    domain,
    policy,
)

UNSURE = [Candidate("general", 0.5), Candidate("code", 0.3), Candidate("medical", 0.2)]


def rules(share: int = 0, routed: RoutingPolicy = ROUTED) -> Policy:
    return policy(domain("medical", share, routed))


def test_flag_of_a_domain_it_may_be_is_off() -> None:
    decision = decided(rules(), candidates=UNSURE, unknown_language=True)
    assert (decision.domain.name, decision.model) == ("general", OTHER)
    assert decision.choice.reason == "unknown_language"
    assert decision.cautious is not None
    assert [(flag.key, flag.on) for flag in decision.flags] == [
        ("routellm_enabled", True),
        ("routellm_general_domain", True),
        ("routellm_medical_domain", False),
    ]
    assert decision.propensity.by_model == {OTHER: 1.0}


@pytest.mark.parametrize(
    "values",
    [
        {"unknown_language": False},
        {"candidates": [Candidate("general", 0.8), Candidate("medical", 0.2)]},
        {"candidates": [Candidate("general", 0.5), Candidate("code", 0.5)]},
        {"domain_override": "general"},
        {"asked": RequestedTarget(router="local", threshold=0.5)},
    ],
)
def test_without_a_reason_for_caution_it_is_routed(values: dict[str, object]) -> None:
    known = {"candidates": UNSURE, "unknown_language": True, **values}
    decision = decided(rules(), **known)
    assert (decision.model, decision.cautious) == (WEAK, None)


def test_without_candidates_it_may_be_any_domain() -> None:
    decision = decided(rules(), candidates=[], unknown_language=True)
    assert decision.choice.reason == "unknown_language"


def test_own_flag_off_is_the_reason() -> None:
    candidates = [Candidate("medical", 0.5), Candidate("general", 0.4)]
    decision = decided(rules(), candidates=candidates, unknown_language=True)
    assert decision.choice.reason == "domain_flag_off"
    assert decision.cautious is None


def test_policy_of_the_more_cautious_domain_decides() -> None:
    strict = replace(ROUTED, threshold=0.3)
    decision = decided(rules(ALL, strict), candidates=UNSURE, unknown_language=True)
    assert (decision.model, decision.choice.threshold) == (STRONG, 0.3)
    assert decision.domain.name == "general"


def test_bolder_domains_change_nothing() -> None:
    loose = RoutingPolicy(Method.ALWAYS_WEAK, strong=STRONG, weak=WEAK)
    decision = decided(rules(ALL, loose), score=0.6, candidates=UNSURE, unknown_language=True)
    assert (decision.model, decision.cautious) == (STRONG, None)


def test_propensity_is_the_probability_that_both_flags_are_on() -> None:
    half = policy(domain("general", 5000), domain("medical", 2500))
    decisions = [
        decided(half, unit_id=f"user-{n}", candidates=UNSURE, unknown_language=True)
        for n in range(400)
    ]
    for decision in decisions:
        assert decision.propensity.by_model == pytest.approx(
            {WEAK: 0.125, STRONG: 0.0, OTHER: 0.875}
        )
    share = sum(decision.model == WEAK for decision in decisions) / len(decisions)
    assert share == pytest.approx(0.125, abs=0.05)


def test_experiments_leave_it_out() -> None:
    arm = PolicyArm("all", RoutingPolicy(Method.ALWAYS_WEAK, strong=STRONG, weak=WEAK), 1.0, True)
    strict = replace(ROUTED, threshold=0.3)
    running = replace(rules(ALL, strict), experiments=(PolicyExperiment("e", 1, "seed", (arm,)),))
    decision = decided(running, candidates=UNSURE, unknown_language=True)
    assert (decision.assignment, decision.model) == (None, STRONG)
    assert decision.propensity.by_model == {STRONG: 1.0, WEAK: 0.0}
