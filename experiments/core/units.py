"""The unit of a decision, and its buckets, which are stored for replay."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from experiments.core.bucketing import bucket_index, namespace_index


class Buckets(Protocol):
    """A unit's bucket for each seed, as integers."""

    def index(self, seed: str) -> int:
        """0 to 9,999."""
        ...

    def namespace(self, name: str) -> int:
        """0 to 999."""
        ...


@dataclass(slots=True)
class HashedBuckets:
    """Buckets of a unit id as sent. `seen` collects the results to store with the decision."""

    unit_id: str
    seen: dict[str, int] = field(default_factory=dict)

    def index(self, seed: str) -> int:
        if seed not in self.seen:
            self.seen[seed] = bucket_index(seed, self.unit_id)
        return self.seen[seed]

    def namespace(self, name: str) -> int:
        key = f"namespace:{name}"
        if key not in self.seen:
            self.seen[key] = namespace_index(self.unit_id, name)
        return self.seen[key]


@dataclass(frozen=True, slots=True)
class RecordedBuckets:
    """Buckets of a stored decision, which does not contain the unit id."""

    seen: Mapping[str, int]

    def index(self, seed: str) -> int:
        return self.seen[seed]

    def namespace(self, name: str) -> int:
        return self.seen[f"namespace:{name}"]


@dataclass(frozen=True, slots=True)
class Unit:
    """What is randomized. `hashed` is the keyed hash that lists and storage use.

    `sticky` is false if the caller sent no unit, so the decision is its own unit.
    """

    buckets: Buckets
    hashed: str
    sticky: bool = True
