"""Flags, holdout and experiments from a unit's buckets."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from experiments.core.assignment import (
    HashedBuckets,
    Unit,
    arm_probabilities,
    assign,
    evaluate_flag,
    rollout_arm,
)
from experiments.core.policy import (
    FlagRule,
    Namespace,
    PolicyArm,
    PolicyExperiment,
    PolicyRollout,
    RoutingPolicy,
)
from tests.core.decision_values import policy


def unit(unit_id: str) -> Unit:
    return Unit(HashedBuckets(unit_id), f"hash-of-{unit_id}")


def experiment(
    key: str = "e", weights: tuple[float, ...] = (0.5, 0.5), **values: object
) -> PolicyExperiment:
    arms = tuple(PolicyArm(f"arm{i}", RoutingPolicy(), w, i == 0) for i, w in enumerate(weights))
    return PolicyExperiment(key=key, phase=1, seed=f"{key}:arm", arms=arms, **values)  # type: ignore[arg-type]


def test_a_flag_is_on_below_its_share() -> None:
    # bucket("rollout-x", "user-42") is 0.4583
    on = FlagRule("f", 4584, "rollout-x")
    off = FlagRule("f", 4583, "rollout-x")
    assert evaluate_flag(on, unit("user-42")).on
    assert not evaluate_flag(off, unit("user-42")).on


@given(st.text(min_size=1), st.integers(0, 10_000), st.integers(0, 10_000))
def test_raising_a_percentage_never_turns_a_unit_off(unit_id: str, one: int, two: int) -> None:
    low, high = sorted((one, two))
    before = evaluate_flag(FlagRule("f", low, "seed"), unit(unit_id))
    after = evaluate_flag(FlagRule("f", high, "seed"), unit(unit_id))
    assert after.on or not before.on


@given(st.text(min_size=1), st.floats(0, 1), st.floats(0, 1))
def test_raising_coverage_keeps_everybody_in_their_arm(
    unit_id: str, one: float, two: float
) -> None:
    low, high = sorted((one, two))
    # With all weight on the first arm its range only grows; the others begin after it.
    small = policy(experiments=(experiment(weights=(1.0, 0.0), coverage=low),))
    large = policy(experiments=(experiment(weights=(1.0, 0.0), coverage=high),))
    before = assign(small, "code", unit(unit_id), "d", counted=True)
    after = assign(large, "code", unit(unit_id), "d", counted=True)
    assert before is None or (after is not None and after.arm.name == before.arm.name)


def test_an_arm_is_where_the_bucket_falls() -> None:
    # bucket("exp-1:arm", "user-42") is 0.8895
    rules = policy(experiments=(experiment("exp-1"),))
    assignment = assign(rules, "code", unit("user-42"), "d", counted=True)
    assert assignment is not None
    assert assignment.arm.name == "arm1"


def test_outside_its_namespace_slot_no_unit_is_in() -> None:
    slots = [Namespace("n", 0.0, 0.5), Namespace("n", 0.5, 1.0)]
    rules = policy(experiments=tuple(experiment(f"e{i}", namespace=s) for i, s in enumerate(slots)))
    keys = {}
    for i in range(200):
        assignment = assign(rules, "code", unit(f"u{i}"), "d", counted=True)
        assert assignment is not None
        keys[f"u{i}"] = assignment.experiment.key
    assert 70 <= sum(key == "e0" for key in keys.values()) <= 130


def test_by_request_each_decision_is_a_unit() -> None:
    rules = policy(experiments=(replace(experiment(), by_request=True),))
    arms = {
        assignment.arm.name
        for i in range(30)
        if (assignment := assign(rules, "code", unit("user-42"), f"d{i}", counted=True))
    }
    assert arms == {"arm0", "arm1"}


def test_arm_probabilities_sum_to_one() -> None:
    half = experiment(coverage=0.5, namespace=Namespace("n", 0.0, 0.4))
    rules = policy(experiments=(half,))
    shares = {arm.name if arm else None: share for arm, share in arm_probabilities(rules, "code")}
    assert shares == {"arm0": 0.1, "arm1": 0.1, None: 0.8}


def test_a_rollout_compares_those_below_with_as_many_from_the_top() -> None:
    flag = FlagRule("f", 1000, "seed")
    rollout = PolicyRollout("r", "f", 1000, 1000)
    sides: dict[str | None, int] = {}
    for i in range(5000):
        side = rollout_arm(rollout, flag, unit(f"u{i}"))
        sides[side] = sides.get(side, 0) + 1
    assert sides.keys() == {"treated", "control", None}
    assert 400 <= sides["treated"] <= 600
    assert 400 <= sides["control"] <= 600
