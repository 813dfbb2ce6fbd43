"""Buckets: literal values, boundaries, and that no unit moves when a percentage goes up."""

from hypothesis import given
from hypothesis import strategies as st

from experiments.core.bucketing import (
    arm_ranges,
    bucket,
    bucket_index,
    choose,
    fnv1a32,
    in_namespace,
    in_percentage,
    namespace_index,
    percentage_limit,
)


def test_published_hash_values() -> None:
    assert fnv1a32("") == 0x811C9DC5
    assert fnv1a32("a") == 0xE40C292C
    assert fnv1a32("foobar") == 0xBF9CF968


def test_literal_buckets() -> None:
    assert bucket("a", "1") == 0.8633
    assert bucket("rollout-x", "user-42") == 0.4583
    assert bucket("exp-1:arm", "user-42") == 0.8895


def test_index_is_the_bucket_as_an_integer() -> None:
    assert bucket_index("a", "1") == 8633


def test_non_ascii_units_are_hashed_as_utf8() -> None:
    assert bucket_index("a", "é") == int(fnv1a32(str(fnv1a32("aé")))) % 10_000


def test_a_lone_surrogate_still_gets_a_bucket() -> None:
    assert 0 <= bucket_index("a", "\ud800") < 10_000


def test_percentage_holds_the_indexes_below_its_limit() -> None:
    assert percentage_limit(25.0) == 2500
    assert percentage_limit(0.29) == 29
    assert in_percentage(2499, 25.0)
    assert not in_percentage(2500, 25.0)
    assert not in_percentage(0, 0.0)
    assert in_percentage(9999, 100.0)


def test_percentage_outside_its_scale_is_clamped() -> None:
    assert percentage_limit(-3.0) == 0
    assert percentage_limit(170.0) == 10_000


def test_a_hundredth_of_a_percent_is_one_bucket() -> None:
    assert in_percentage(0, 0.01)
    assert not in_percentage(1, 0.01)


@given(
    unit=st.text(max_size=40),
    low=st.integers(0, 10_000),
    high=st.integers(0, 10_000),
)
def test_raising_a_percentage_never_removes_a_unit(unit: str, low: int, high: int) -> None:
    low, high = sorted((low, high))
    index = bucket_index("seed", unit)
    assert in_percentage(index, high / 100) or not in_percentage(index, low / 100)


@given(
    unit=st.text(max_size=40),
    low=st.floats(0, 1),
    high=st.floats(0, 1),
    arms=st.integers(1, 6),
)
def test_raising_coverage_keeps_everybody_in_their_arm(
    unit: str, low: float, high: float, arms: int
) -> None:
    low, high = sorted((low, high))
    value = bucket("seed", unit)
    before = choose(value, arm_ranges(arms, low))
    assert before in (-1, choose(value, arm_ranges(arms, high)))


def test_equal_arms() -> None:
    assert arm_ranges(2, 1.0) == [(0.0, 0.5), (0.5, 1.0)]


def test_coverage_shortens_every_arm_from_its_end() -> None:
    assert arm_ranges(2, 0.5, [0.5, 0.5]) == [(0.0, 0.25), (0.5, 0.75)]
    assert arm_ranges(2, 0.2, [0.4, 0.6]) == [(0.0, 0.08000000000000002), (0.4, 0.52)]


def test_coverage_is_clamped() -> None:
    assert arm_ranges(2, -1.0) == [(0.0, 0.0), (0.5, 0.5)]
    assert arm_ranges(2, 7.0) == [(0.0, 0.5), (0.5, 1.0)]


def test_unusable_weights_become_equal() -> None:
    equal = [(0.0, 0.5), (0.5, 1.0)]
    assert arm_ranges(2, 1.0, [0.4, 0.1]) == equal
    assert arm_ranges(2, 1.0, [0.7, 0.6]) == equal
    assert arm_ranges(2, 1.0, [0.2, 0.3, 0.5]) == equal
    assert arm_ranges(2, 1.0, [1.5, -0.5]) == equal
    assert arm_ranges(2, 1.0, [float("nan"), 0.5]) == equal


def test_weights_within_a_hundredth_are_kept() -> None:
    assert arm_ranges(3, 1.0, [0.33, 0.33, 0.33])[1] == (0.33, 0.66)


def test_no_arms() -> None:
    assert arm_ranges(0, 1.0) == []


def test_choose_is_half_open() -> None:
    ranges = [(0.0, 0.5), (0.5, 1.0)]
    assert choose(0.0, ranges) == 0
    assert choose(0.4999, ranges) == 0
    assert choose(0.5, ranges) == 1
    assert choose(0.9999, ranges) == 1


def test_choose_outside_every_range() -> None:
    assert choose(0.3, [(0.0, 0.25), (0.5, 0.75)]) == -1
    assert choose(0.3, []) == -1


def test_boundaries_do_not_depend_on_float_noise() -> None:
    # 0.1 + 0.2 is 0.30000000000000004: the bucket 0.3 belongs to the third arm.
    assert choose(0.3, arm_ranges(3, 1.0, [0.1, 0.2, 0.7])) == 2


def test_three_equal_arms_hold_every_bucket() -> None:
    ranges = arm_ranges(3, 1.0)
    counts = [0, 0, 0]
    for index in range(10_000):
        counts[choose(index / 10_000, ranges)] += 1
    assert counts == [3334, 3333, 3333]


def test_namespace_slot() -> None:
    assert namespace_index("user-42", "checkout") == 877
    assert in_namespace("user-42", "checkout", 0.877, 0.878)
    assert not in_namespace("user-42", "checkout", 0.0, 0.877)
    assert not in_namespace("user-42", "checkout", 0.878, 1.0)


def test_disjoint_namespace_stretches_share_no_unit() -> None:
    for n in range(300):
        unit = f"user-{n}"
        assert in_namespace(unit, "ns", 0.0, 0.4) != in_namespace(unit, "ns", 0.4, 1.0)
