"""Deterministic buckets: which rollout, arm or namespace a unit belongs to.

The hash is GrowthBook's public one (version 2 for buckets, version 1 for namespaces), so
another system that has the seed and the unit id reproduces every assignment:
https://docs.growthbook.io/lib/build-your-own#hashing
"""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, isfinite

BUCKETS = 10_000
NAMESPACE_SLOTS = 1_000
WEIGHT_TOLERANCE = 0.0001

_OFFSET_BASIS = 0x811C9DC5
_PRIME = 0x01000193
_MASK = 0xFFFFFFFF


def _continue_hash(state: int, data: bytes) -> int:
    for byte in data:
        state = ((state ^ byte) * _PRIME) & _MASK
    return state


@lru_cache(maxsize=1024)
def _seed_state(seed: str) -> int:
    # FNV-1a is sequential, so the state after the seed is the same for every unit.
    return _continue_hash(_OFFSET_BASIS, seed.encode(errors="surrogatepass"))


def fnv1a32(text: str) -> int:
    """The 32-bit FNV-1a hash of `text` as UTF-8."""
    return _continue_hash(_OFFSET_BASIS, text.encode(errors="surrogatepass"))


def bucket_index(seed: str, unit_id: str) -> int:
    """The bucket of a unit as an integer from 0 to 9999. All comparisons use it."""
    first = _continue_hash(_seed_state(seed), unit_id.encode(errors="surrogatepass"))
    return _continue_hash(_OFFSET_BASIS, b"%d" % first) % BUCKETS


def bucket(seed: str, unit_id: str) -> float:
    """The bucket of a unit in [0, 1), in steps of 0.0001."""
    return bucket_index(seed, unit_id) / BUCKETS


def percentage_limit(percentage: float) -> int:
    """How many bucket indexes, counted from 0, a rollout of `percentage` (0 to 100) includes."""
    return round(100 * min(max(percentage, 0.0), 100.0))


def in_percentage(index: int, percentage: float) -> bool:
    """Whether the bucket index is inside a rollout of `percentage` (0 to 100)."""
    return index < percentage_limit(percentage)


def arm_ranges(
    n_arms: int, coverage: float, weights: Sequence[float] | None = None
) -> list[tuple[float, float]]:
    """The half-open range of [0, 1) of each arm.

    Arm i starts at the sum of the weights before it and is `coverage * weight` long, so a
    higher coverage extends every range and moves no unit to another arm. Weights are replaced by
    equal ones if they are missing, differ in number from the arms, are not shares, or do not sum
    to 1 (within .01).
    """
    coverage = min(max(coverage, 0.0), 1.0)
    shares = _usable_weights(n_arms, weights)
    ranges = []
    start = 0.0
    for share in shares:
        ranges.append((start, start + coverage * share))
        start += share
    return ranges


def sum_to_one(weights: Sequence[float]) -> bool:
    """Whether weights may be entered. `arm_ranges` also accepts stored ones further off.

    Rounded to float precision, so that three times 0.3333 is within the tolerance.
    """
    return abs(round(sum(weights), 9) - 1) <= WEIGHT_TOLERANCE


def weights_problem(weights: Sequence[float]) -> str | None:
    """What is wrong with the weights of all arms and how to fix it; None if they are valid."""
    if sum_to_one(weights):
        return None
    return f"The weights sum to {sum(weights):.6g}: make them sum to 1 (within {WEIGHT_TOLERANCE})."


def choose(bucket: float, ranges: Sequence[tuple[float, float]]) -> int:
    """The index of the first range that holds `bucket`, or -1 when none does."""
    index = round(bucket * BUCKETS)
    for i, (start, end) in enumerate(ranges):
        if _boundary(start) <= index < _boundary(end):
            return i
    return -1


def share_between(start: float, end: float, slots: int = BUCKETS) -> float:
    """The exact share of bucket indexes in [start, end)."""
    first, last = (min(_boundary(share, slots), slots) for share in (start, end))
    return (last - first) / slots


def namespace_index(unit_id: str, namespace: str) -> int:
    """The unit's slot of a namespace, 0 to 999."""
    return fnv1a32(f"{unit_id}__{namespace}") % NAMESPACE_SLOTS


def in_slot(index: int, start: float, end: float) -> bool:
    """Whether a namespace index lies in [start, end)."""
    return _boundary(start, NAMESPACE_SLOTS) <= index < _boundary(end, NAMESPACE_SLOTS)


def in_namespace(unit_id: str, namespace: str, start: float, end: float) -> bool:
    """Whether the unit's slot of the namespace is in [start, end)."""
    return in_slot(namespace_index(unit_id, namespace), start, end)


def _usable_weights(n_arms: int, weights: Sequence[float] | None) -> list[float]:
    if weights is not None and len(weights) == n_arms and _are_shares(weights):
        return list(weights)
    return [1 / n_arms] * n_arms if n_arms > 0 else []


def _are_shares(weights: Sequence[float]) -> bool:
    if not all(isfinite(weight) and weight >= 0 for weight in weights):
        return False
    # Rounded, or 0.33 + 0.33 + 0.33 would depend on the order of the additions.
    return 0.99 <= round(sum(weights), 9) <= 1.01


def _boundary(share: float, slots: int = BUCKETS) -> int:
    """The first index at or after `share`. Integers, because 0.1 + 0.2 is not 0.3."""
    return ceil(round(share * slots, 6))
