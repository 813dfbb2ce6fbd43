"""The unit of a decision: its buckets, and what is stored of them so that it can be replayed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from experiments.core.bucketing import bucket_index, namespace_index


class Buckets(Protocol):
    """Where a unit falls under each seed, as integers."""

    def index(self, seed: str) -> int:
        """0 to 9,999."""
        ...

    def namespace(self, name: str) -> int:
        """0 to 999."""
        ...


@dataclass(slots=True)
class HashedBuckets:
    """Buckets of a unit id as sent. `seen` keeps every answer, for the decision's record."""

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
    """Buckets read back from a stored decision: the unit id itself was never kept."""

    seen: Mapping[str, int]

    def index(self, seed: str) -> int:
        return self.seen[seed]

    def namespace(self, name: str) -> int:
        return self.seen[f"namespace:{name}"]


@dataclass(frozen=True, slots=True)
class Unit:
    """What is randomised. `hashed` is the keyed hash that lists and storage use.

    `sticky` is false where the caller named no unit and the decision itself is the unit.
    """

    buckets: Buckets
    hashed: str
    sticky: bool = True
