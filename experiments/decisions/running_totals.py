"""Running totals: all sums that count a decision, its outcome and its ratings.

The contribution of a decision is a pure function of its row, its outcome and its ratings. When one
of them changes, the difference to the previous contribution is added in the same transaction. So
late, repeated and reordered events give exactly the sums of a recount.
"""

from collections.abc import Sequence
from typing import NamedTuple

from experiments.decisions import rollups, unit_totals
from experiments.decisions.counter_buffer import CounterBuffer
from experiments.models import Decision, MetricSum, Outcome, Rollup, RollupBin, UnitSum
from experiments.storage import bulk_sql
from experiments.storage.bulk_sql import Insertion


class Known(NamedTuple):
    """A decision's outcome, and its combined quality in millionths."""

    outcome: Outcome | None = None
    quality: int | None = None


class RunningTotals:
    """Entries of one transaction. Nothing is written before `flush`."""

    def __init__(self) -> None:
        self._buffer = CounterBuffer()

    def add_decision(self, decision: Decision) -> None:
        """A new decision."""
        self._buffer.add(Rollup, rollups.key_of(decision), rollups.contribution(decision))
        for key in rollups.bins_of(decision):
            self._buffer.add(RollupBin, key, {"count": 1})
        if unit_totals.is_counted(decision):
            self._buffer.add(
                UnitSum, unit_totals.key_of(decision), unit_totals.contribution(decision)
            )

    def update_outcome(self, decision: Decision, before: Known, after: Known) -> None:
        """An outcome or a rating of quality arrived or changed."""
        self._buffer.add(
            Rollup,
            rollups.key_of(decision),
            _difference(
                rollups.contribution(decision, *before), rollups.contribution(decision, *after)
            ),
        )
        if unit_totals.is_counted(decision):
            change = _difference(
                unit_totals.contribution(decision, *before),
                unit_totals.contribution(decision, *after),
            )
            self._buffer.add(UnitSum, unit_totals.key_of(decision), change)

    def update_rating(
        self, decision: Decision, metric: str, before: int | None, after: int | None
    ) -> None:
        """A custom metric's combined rating changed."""
        if unit_totals.is_counted(decision):
            key = {**unit_totals.key_of(decision), "metric": metric}
            change = {
                "total": (after or 0) - (before or 0),
                "rated": int(after is not None) - int(before is not None),
            }
            self._buffer.add(MetricSum, key, change)

    def insertions(self) -> list[Insertion]:
        """The changes of all sums, for the transaction of the rows they count."""
        return self._buffer.insertions()

    def flush(self) -> None:
        """Writes the changes of all sums."""
        bulk_sql.run(self.insertions())


def sums_of_new(decisions: Sequence[Decision]) -> list[Insertion]:
    """The changes of sums by new decisions. Only computes, so call it before the transaction."""
    totals = RunningTotals()
    for decision in decisions:
        totals.add_decision(decision)
    return totals.insertions()


def _difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    names = before.keys() | after.keys()
    return {name: after.get(name, 0) - before.get(name, 0) for name in names}
