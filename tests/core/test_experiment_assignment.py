"""Who is in an experiment and in which arm, and how likely that was."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from math import sqrt
from uuid import UUID

import pytest

from experiments.core.assignment import HashedBuckets, Unit
from experiments.core.bucketing import bucket_index, in_namespace
from experiments.core.catalog import Model, ModelCapabilities, ModelCost
from experiments.core.decision import decide
from experiments.core.detection import DomainConfig
from experiments.core.money import Price
from experiments.core.policy import (
    FlagRule,
    Holdout,
    Method,
    Namespace,
    Policy,
    PolicyArm,
    PolicyDomain,
    PolicyExperiment,
    PolicyRollout,
    PolicyRouter,
    RoutingPolicy,
    Switches,
)
from experiments.core.values import DecisionInputs, PromptDecision, Score

STRONG, WEAK = "acme/strong", "acme/weak"
PAIR = RoutingPolicy(strong=STRONG, weak=WEAK)
ALWAYS_STRONG = replace(PAIR, method=Method.ALWAYS_STRONG)
ALWAYS_WEAK = replace(PAIR, method=Method.ALWAYS_WEAK)
UNITS = [f"user-{number}" for number in range(2000)]


def model(name: str, cost: float) -> Model:
    return Model(name, "acme", ModelCapabilities(["chat"]), ModelCost(cost, cost))


def domain(name: str, share: int = 10_000, **lists: frozenset[str]) -> PolicyDomain:
    flag = FlagRule(f"routellm_{name}_domain", share, f"seed-{name}", **lists)
    return PolicyDomain(DomainConfig(name), flag, ALWAYS_WEAK)


def experiment(key: str = "cheaper", **values: object) -> PolicyExperiment:
    arms = (
        PolicyArm("control", ALWAYS_STRONG, 0.5, is_control=True),
        PolicyArm("weak", ALWAYS_WEAK, 0.5),
    )
    given = {"phase": 1, "seed": f"{key}-seed", "arms": arms, "domain": "technical"}
    return PolicyExperiment(key, **{**given, **values})  # type: ignore[arg-type]


def policy(*experiments: PolicyExperiment, **values: object) -> Policy:
    given: dict[str, object] = {
        "revision": 1,
        "master": FlagRule("routellm_enabled", 10_000, "master"),
        "domains": {name: domain(name) for name in ("technical", "medical", "general")},
        "models": {STRONG: model(STRONG, 0.01), WEAK: model(WEAK, 0.001)},
        "prices": {STRONG: (Price(10**9, 10**9, 0),), WEAK: (Price(10**8, 10**8, 0),)},
        "experiments": experiments,
        "default_pair": PAIR,
    }
    return Policy(**{**given, **values})  # type: ignore[arg-type]


def decided(
    current: Policy,
    unit: str,
    *,
    name: str = "technical",
    number: int = 0,
    force_arm: str | None = None,
    score: float = 0.5,
) -> PromptDecision:
    decision_id = str(UUID(int=number * 7919 + 1))
    situation = DecisionInputs(
        decision_id=decision_id,
        unit=Unit(HashedBuckets(unit), f"hash of {unit}"),
        candidates=(),
        input_tokens=100,
        day=date(2026, 11, 1),
        domain_override=name,
        force_arm=force_arm,
    )
    return decide(current, situation, lambda _: Score(score))


def arms(current: Policy, name: str = "technical") -> dict[str, str]:
    """The arm of every unit that is in one."""
    found = {unit: decided(current, unit, name=name).assignment for unit in UNITS}
    return {unit: assignment.arm.name for unit, assignment in found.items() if assignment}


def test_everybody_is_in_an_arm_at_full_coverage() -> None:
    found = Counter(arms(policy(experiment())).values())
    assert found == {"control": 1015, "weak": 985}


def test_an_arm_is_the_hash_of_its_seed_and_the_unit() -> None:
    found = arms(policy(experiment(seed="exp-1:arm")))
    for unit in UNITS[:50]:
        expected = "control" if bucket_index("exp-1:arm", unit) < 5000 else "weak"
        assert found[unit] == expected


def test_the_arms_policy_replaces_the_domains() -> None:
    found = [decided(policy(experiment()), unit) for unit in UNITS[:200]]
    assert {(d.assignment.arm.name, d.model) for d in found if d.assignment} == {
        ("control", STRONG),
        ("weak", WEAK),
    }


def test_more_coverage_keeps_everybody_who_was_in() -> None:
    before: dict[str, str] = {}
    for coverage in (0.1, 0.35, 0.8, 1.0):
        now = arms(policy(experiment(coverage=coverage)))
        assert before.items() <= now.items()
        before = now
    assert len(before) == len(UNITS)


def test_a_new_phase_draws_again() -> None:
    first = arms(policy(experiment()))
    second = arms(policy(experiment(phase=2, seed="another")))
    moved = sum(first[unit] != second[unit] for unit in UNITS)
    assert 900 < moved < 1100


def test_an_experiment_takes_decisions_of_its_domain_only() -> None:
    assert arms(policy(experiment()), "medical") == {}


def test_the_domains_own_experiment_comes_before_one_of_all_domains() -> None:
    own = experiment(namespace=Namespace("n", 0.0, 0.5))
    everywhere = experiment("everywhere", domain=None, namespace=Namespace("n", 0.5, 1.0))
    current = policy(everywhere, own)
    found = {decided(current, unit).assignment for unit in UNITS[:400]}
    keys = Counter(a.experiment.key for a in found if a)
    assert set(keys) == {"cheaper", "everywhere"}
    assert {decided(current, u, name="medical").assignment for u in UNITS[:400]} == {
        a for a in found if a and a.experiment.key == "everywhere"
    } | {None}


def test_a_unit_outside_the_slot_is_in_no_experiment() -> None:
    found = arms(policy(experiment(namespace=Namespace("pricing", 0.2, 0.5))))
    assert set(found) == {unit for unit in UNITS if in_namespace(unit, "pricing", 0.2, 0.5)}


def test_slots_that_do_not_touch_share_no_unit() -> None:
    slots = [Namespace("n", 0.0, 0.3), Namespace("n", 0.3, 1.0)]
    first, second = (set(arms(policy(experiment(namespace=slot)))) for slot in slots)
    assert first & second == set()
    assert first | second == set(UNITS)


def test_a_unit_whose_flag_is_off_is_in_no_experiment() -> None:
    current = policy(experiment(), domains={"technical": domain("technical", 3000)})
    found = arms(current)
    assert set(found) == {u for u in UNITS if bucket_index("seed-technical", u) < 3000}


def test_held_out_units_are_in_no_experiment() -> None:
    current = policy(experiment(), holdout=Holdout(1000, "holdout"))
    assert set(arms(current)) == {u for u in UNITS if bucket_index("holdout", u) >= 1000}


def test_without_the_switch_no_unit_is_in_one() -> None:
    assert arms(policy(experiment(), switches=Switches(ab_testing=False))) == {}


def test_listed_units_get_the_arm_but_are_not_counted() -> None:
    listed = domain("technical", 0, allow=frozenset({"hash of user-1"}))
    decision = decided(policy(experiment(), domains={"technical": listed}), "user-1")
    assert decision.assignment is not None
    assert not decision.assignment.counted
    assert decision.listed


def test_a_forced_arm_is_never_counted_and_has_no_propensity() -> None:
    decision = decided(policy(experiment()), "user-1", force_arm="weak")
    assert decision.assignment is not None
    assert (decision.assignment.arm.name, decision.assignment.counted) == ("weak", False)
    assert (decision.propensity.intended, decision.propensity.reason) == (None, "forced")


def test_by_request_each_decision_draws_for_itself() -> None:
    current = policy(experiment(by_request=True))
    found = Counter(
        d.assignment.arm.name
        for d in (decided(current, "user-1", number=n) for n in range(1000))
        if d.assignment
    )
    assert 440 < found["control"] < 560


def test_an_audit_marks_the_same_share_of_both_arms() -> None:
    current = policy(experiment(audit_share=0.3))
    found = [decided(current, unit, number=n) for n, unit in enumerate(UNITS)]
    marked = Counter(d.assignment.arm.name for d in found if d.audited and d.assignment)
    assert all(0.25 < count / 1000 < 0.35 for count in marked.values())
    assert set(marked) == {"control", "weak"}


ROUTED = replace(PAIR, method=Method.ROUTELLM, router="local", threshold=0.6, epsilon=0.1)


def situations() -> Iterator[tuple[str, Policy]]:
    thirds = tuple(
        PolicyArm(name, wanted, 1 / 3, is_control=name == "control")
        for name, wanted in (
            ("control", replace(ALWAYS_STRONG, epsilon=0.25)),
            ("weak", ALWAYS_WEAK),
            ("local", ROUTED),
        )
    )
    routers = {"local": PolicyRouter("local", "local", local=True)}
    flags = {"master": FlagRule("routellm_enabled", 9000, "master")}
    domains = {"technical": domain("technical", 8000)}
    holdout = Holdout(500, "holdout")
    yield "an experiment", policy(experiment())
    yield "coverage and holdout", policy(experiment(coverage=0.6), holdout=holdout)
    yield "flags", policy(experiment(), domains=domains, **flags)
    yield (
        "everything",
        policy(
            experiment(arms=thirds, coverage=0.7, namespace=Namespace("n", 0.0, 0.4)),
            experiment("other", domain=None, namespace=Namespace("n", 0.4, 0.95)),
            domains=domains,
            routers=routers,
            holdout=holdout,
            **flags,
        ),
    )
    yield "by request", policy(experiment(arms=thirds, by_request=True), routers=routers)


@pytest.mark.parametrize("current", [p for _, p in situations()], ids=[n for n, _ in situations()])
def test_propensities_sum_to_one_and_are_what_happens(current: Policy) -> None:
    """Over units that are all alike the share of each model is its propensity."""
    n = 3000
    found = [decided(current, f"unit-{i}", number=i) for i in range(n)]
    expected = found[0].propensity.by_model
    assert expected is not None
    assert sum(expected.values()) == pytest.approx(1.0, abs=1e-12)
    assert all(d.propensity.by_model == expected for d in found)
    taken = Counter(d.intended for d in found)
    for name, share in expected.items():
        tolerance = 4.5 * sqrt(share * (1 - share) / n)
        assert abs(taken[name] / n - share) <= tolerance, name
        assert all(d.propensity.intended == share for d in found if d.intended == name)


def test_the_probability_given_the_arm_leaves_only_the_exploration() -> None:
    current = policy(experiment(arms=(PolicyArm("one", replace(ALWAYS_WEAK, epsilon=0.2), 1.0),)))
    found = [decided(current, unit, number=n) for n, unit in enumerate(UNITS[:300])]
    assert {(d.model, d.propensity.given_arm) for d in found} == {(WEAK, 0.8), (STRONG, 0.2)}


def test_a_guarded_rollout_counts_the_treated_and_as_many_controls() -> None:
    current = policy(
        domains={"technical": domain("technical", 2000)},
        rollouts=(PolicyRollout("r", "routellm_technical_domain", 2000, 2000),),
    )
    for unit in UNITS[:300]:
        index = bucket_index("seed-technical", unit)
        cohort = decided(current, unit).cohort
        expected = "treated" if index < 2000 else "control" if index >= 8000 else None
        assert (cohort.arm if cohort else None) == expected


def test_held_out_units_are_in_no_rollout() -> None:
    current = policy(
        domains={"technical": domain("technical", 5000)},
        rollouts=(PolicyRollout("r", "routellm_technical_domain", 5000, 5000),),
        holdout=Holdout(5000, "holdout"),
    )
    cohorts = {u: decided(current, u).cohort for u in UNITS[:300]}
    assert {u for u, cohort in cohorts.items() if cohort} == {
        u for u in cohorts if bucket_index("holdout", u) >= 5000
    }
