"""Which units a changed percentage would affect, from the buckets in stored decisions."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Any, NamedTuple

from experiments.core.assignment import RecordedBuckets, Unit, evaluate_flag
from experiments.core.bucketing import BUCKETS
from experiments.core.policy import FlagRule
from experiments.models import Decision, Flag

UNITS = 1_000
MOST_DECISIONS = 10_000


class UnitBand(NamedTuple):
    """A share of the units, and where it starts in [0, 1]."""

    name: str
    label: str
    start: int
    width: int


class RolloutPreview(NamedTuple):
    """Of the last `units` units: how many the change affects, and how many it does not."""

    units: int
    turn_on: int
    turn_off: int
    stay_on: int
    stay_off: int

    @property
    def bands(self) -> tuple[UnitBand, ...]:
        """The units side by side, in the order of the percentage."""
        widths = (self.stay_on, self.turn_on, self.turn_off, self.stay_off)
        starts = (0, *accumulate(widths))
        names = ("stay_on", "turn_on", "turn_off", "stay_off")
        return tuple(
            UnitBand(name, name.replace("_", " ").capitalize(), start, width)
            for name, start, width in zip(names, starts, widths, strict=False)
        )


def preview(flag: Flag, before: int, after: int) -> RolloutPreview:
    """The effect of a new share (0 to 10,000) on the last 1,000 units that the flag was evaluated
    for.

    Listed units do not change. Reads the newest decisions of the flag's domain, in two queries.
    """
    rule = flag.as_value()
    moves = [(_is_on(rule, before, unit), _is_on(rule, after, unit)) for unit in _last_units(flag)]
    return RolloutPreview(
        units=len(moves),
        turn_on=moves.count((False, True)),
        turn_off=moves.count((True, False)),
        stay_on=moves.count((True, True)),
        stay_off=moves.count((False, False)),
    )


def _is_on(rule: FlagRule, share: int, unit: Unit) -> bool:
    at_share = FlagRule(rule.key, share, rule.seed, rule.allow, rule.deny)
    return evaluate_flag(at_share, unit).on


def _last_units(flag: Flag) -> Iterator[Unit]:
    """Each unit once, by its newest decision."""
    decisions = Decision.objects.order_by("-created_at")
    if flag.domain is not None:
        decisions = decisions.filter(domain=flag.domain.name)
    seen: set[str] = set()
    rows = decisions.values_list("unit_hash", "detail__flags")[:MOST_DECISIONS]
    for unit_hash, flags in rows.iterator(chunk_size=UNITS):
        bucket = _bucket(flags, flag.key)
        if bucket is None or unit_hash in seen:
            continue
        seen.add(unit_hash)
        yield Unit(RecordedBuckets({flag.seed: round(bucket * BUCKETS)}), unit_hash)
        if len(seen) == UNITS:
            return


def _bucket(flags: list[dict[str, Any]], key: str) -> float | None:
    return next((state["bucket"] for state in flags if state["key"] == key), None)
