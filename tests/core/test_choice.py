"""What a routing policy picks at the ends of its ranges, and when it falls back."""

from dataclasses import replace

import pytest

from experiments.core.choice import pair_of
from experiments.core.policy import Method, ModelStep, RoutingPolicy
from experiments.core.values import Pair, Score
from tests.core.decision_values import (
    OTHER,
    ROUTED,
    STRONG,
    WEAK,
    decided,
    domain,
    policy,
    unavailable,
)

EMPTY = RoutingPolicy(Method.DOMAIN_SELECTOR)


@pytest.mark.parametrize(("score", "model"), [(0.0, WEAK), (1.0, STRONG)])
def test_scores_of_zero_and_one_are_scores(score: float, model: str) -> None:
    decision = decided(score=score)
    assert (decision.model, decision.choice.score) == (model, Score(score, "sha-of-local"))


@pytest.mark.parametrize("score", [-0.001, 1.001])
def test_a_score_outside_zero_to_one_is_a_failure(score: float) -> None:
    assert decided(score=score).choice.reason == "invalid_score"


@pytest.mark.parametrize(("threshold", "model"), [(0.0, STRONG), (1.0, WEAK)])
def test_thresholds_of_zero_and_one_are_thresholds(threshold: float, model: str) -> None:
    rules = policy(domain("code", policy=replace(ROUTED, threshold=threshold)))
    decision = decided(rules)
    assert (decision.model, decision.method) == (model, Method.ROUTELLM)


@pytest.mark.parametrize(
    "wanted",
    [
        replace(ROUTED, threshold=-0.001),
        replace(ROUTED, threshold=1.001),
        replace(ROUTED, threshold=None),
        replace(ROUTED, router=None),
    ],
)
def test_a_policy_without_router_or_threshold_is_broken(wanted: RoutingPolicy) -> None:
    decision = decided(policy(domain("code", policy=wanted)))
    assert decision.choice.reason == "broken_configuration"
    assert "needs a router and a threshold" in decision.fallbacks[0].detail


def test_a_step_that_names_no_model_is_broken() -> None:
    wanted = replace(ROUTED, steps=(ModelStep("no/model", "local", 0.2),))
    decision = decided(policy(domain("code", policy=wanted)))
    assert decision.choice.reason == "broken_configuration"
    assert "not registered: no/model" in decision.fallbacks[0].detail


@pytest.mark.parametrize(
    "wanted", [replace(EMPTY, strong=STRONG), replace(EMPTY, weak=WEAK)], ids=["strong", "weak"]
)
def test_half_a_pair_is_none(wanted: RoutingPolicy) -> None:
    own = domain("code", policy=EMPTY)
    assert pair_of(policy(own, default_pair=EMPTY), own, wanted) is None
    assert pair_of(policy(own, default_pair=ROUTED), own, wanted) == Pair(STRONG, WEAK)


def test_the_policys_own_pair_comes_before_the_domains() -> None:
    wanted = replace(ROUTED, strong=OTHER)
    assert pair_of(policy(), domain("code"), wanted) == Pair(OTHER, WEAK)


def test_the_other_of_the_pair_stands_in_only_for_one_that_is_down_and_where_allowed() -> None:
    down = frozenset({WEAK})
    assert decided(unavailable=down, pair_stands_in=True).model == STRONG
    assert decided(unavailable=down, pair_stands_in=False).model == OTHER
    assert decided(unavailable(policy(), WEAK), pair_stands_in=True).model == OTHER
