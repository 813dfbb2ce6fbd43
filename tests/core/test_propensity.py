"""The stored propensity is the share with which units are really sent to a model."""

from collections import Counter
from dataclasses import replace

import pytest

from experiments.core.assignment import HashedBuckets, Unit
from experiments.core.policy import (
    FlagRule,
    Holdout,
    Method,
    Namespace,
    PolicyArm,
    PolicyExperiment,
    PolicyRouter,
    RoutingPolicy,
)
from tests.core.decision_values import (
    OTHER,
    ROUTED,
    STRONG,
    WEAK,
    decided,
    domain,
    policy,
    scoring,
)

UNITS = 20_000


def rules(**values: object):  # type: ignore[no-untyped-def]
    """Every randomised step at once: master, holdout, domain flag, arm, exploration."""
    arms = (
        PolicyArm(
            "control", RoutingPolicy(Method.ALWAYS_STRONG, strong=STRONG, weak=WEAK), 0.3, True
        ),
        PolicyArm(
            "weak", RoutingPolicy(Method.ALWAYS_WEAK, strong=STRONG, weak=WEAK, epsilon=0.1), 0.7
        ),
    )
    experiment = PolicyExperiment(
        key="e", phase=1, seed="e:1", arms=arms, coverage=0.8, namespace=Namespace("n", 0.25, 1.0)
    )
    return policy(
        domain("code", share=6000, policy=replace(ROUTED, epsilon=0.2)),
        **{
            "master": FlagRule("routellm_enabled", 9000, "seed-master"),
            "holdout": Holdout(500, "h"),
            "experiments": (experiment,),
            **values,
        },
    )


def test_exact_numbers() -> None:
    # routed = .9 * .95 * .6 = .513; in the experiment .75 * .8 = .6 of them, arms .18 and .42.
    by_model = decided(rules(), score=0.4).propensity.by_model
    assert by_model is not None
    strong = 0.513 * (0.18 * 1.0 + 0.42 * 0.1 + 0.4 * 0.2)
    weak = 0.513 * (0.18 * 0.0 + 0.42 * 0.9 + 0.4 * 0.8)
    assert by_model[STRONG] == pytest.approx(strong)
    assert by_model[WEAK] == pytest.approx(weak)
    assert by_model[OTHER] == pytest.approx(1 - 0.513)


def test_the_shares_over_many_units_are_the_propensities() -> None:
    everything = rules()
    counts: Counter[str] = Counter()
    predicted: dict[str, float] = {}
    for i in range(UNITS):
        unit = Unit(HashedBuckets(f"unit-{i}"), f"h{i}")
        decision = decided(everything, score=0.4, unit=unit, decision_id=f"decision-{i}")
        counts[decision.intended] += 1
        assert decision.propensity.by_model is not None
        predicted = dict(decision.propensity.by_model)
    for model, share in predicted.items():
        error = (share * (1 - share) / UNITS) ** 0.5
        assert counts[model] / UNITS == pytest.approx(share, abs=4 * error)


def test_propensities_sum_to_one() -> None:
    by_model = decided(rules(), score=0.9).propensity.by_model
    assert by_model is not None
    assert sum(by_model.values()) == pytest.approx(1.0)


def test_given_the_arm_only_exploration_is_left() -> None:
    explores = policy(domain("code", policy=replace(ROUTED, epsilon=0.25)))
    seen = {
        decision.explored: decision.propensity.given_arm
        for i in range(50)
        if (decision := decided(explores, decision_id=f"d{i}"))
    }
    assert seen == {False: 0.75, True: 0.25}


def test_exploration_counts_in_the_steps_it_is_drawn_in() -> None:
    # 0.00004 of 10,000 buckets is none: no decision explores, so the other model is never sent.
    decision = decided(policy(domain("code", policy=replace(ROUTED, epsilon=0.00004))))
    assert decision.propensity.by_model == {WEAK: 1.0, STRONG: 0.0}


def test_listed_units_have_fixed_paths() -> None:
    listed = replace(domain("code").flag, share=100, allow=frozenset({"hash-of-user-42"}))
    decision = decided(policy(replace(domain("code"), flag=listed)), score=0.4)
    assert decision.propensity.by_model == {WEAK: 1.0, STRONG: 0.0}


def test_a_fallback_is_an_outcome_and_not_a_choice() -> None:
    decision = decided(unavailable=frozenset({WEAK}), score=0.4)
    assert (decision.intended, decision.model) == (WEAK, OTHER)
    assert decision.propensity.intended == 1.0


def test_a_remote_router_that_was_not_asked_leaves_no_propensity() -> None:
    routers = {"local": PolicyRouter("local", "local", True), "mf": PolicyRouter("mf", "mf", False)}
    arms = (
        PolicyArm("control", ROUTED, 0.5, True),
        PolicyArm("mf", replace(ROUTED, router="mf"), 0.5),
    )
    experiment = PolicyExperiment(key="e", phase=1, seed="e:1", arms=arms)
    decisions = [
        decided(
            policy(routers=routers, experiments=(experiment,)),
            score=scoring(0.4),
            unit=Unit(HashedBuckets(f"u{i}"), f"h{i}"),
        )
        for i in range(20)
    ]
    reasons = {
        decision.assignment.arm.name: decision.propensity.reason
        for decision in decisions
        if decision.assignment
    }
    assert reasons == {"control": "remote_router_not_asked", "mf": None}
