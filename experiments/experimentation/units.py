"""An experiment's units and their sums, read once.

Columns, not objects: an experiment may have a hundred thousand units. Only the first days of a unit
count (the experiment's window), once they have passed. Units seen in two arms are left out, and
their number is reported.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.experimentation.columns import Column, SumColumns, codes, least, read_table, zeros
from experiments.models import MetricSum, UnitSum
from experiments.models.sums import counters_of

COUNTERS = counters_of(UnitSum)
# Counters that every result needs; metrics name further ones.
ALWAYS = ("decisions", "priced", "cost", "baseline", "strong", "quality", "rated")
HISTORY_DAYS = 28
Weights = NDArray[np.float64]
RATINGS = ("total", "rated")


@dataclass(frozen=True, eq=False, slots=True)
class UnitSums:
    """Units as columns. `now` and `before` have one number per unit for each counter.

    `weights` is the share of a unit's requests that counts, now and before; None: all count.
    """

    n: int
    now: Mapping[str, Column]
    before: Mapping[str, Column]
    weights: tuple[Weights, Weights] | None = None

    def column(self, name: str) -> Column:
        return self.now.get(name, zeros(self.n))

    def earlier(self, name: str) -> Column:
        return self.before.get(name, zeros(self.n))

    def total(self, name: str) -> int:
        return int(self.column(name).sum())

    def take(self, which: NDArray[Any]) -> "UnitSums":
        """The units selected by a mask or an index."""
        now = {name: column[which] for name, column in self.now.items()}
        before = {name: column[which] for name, column in self.before.items()}
        weights = self.weights and (self.weights[0][which], self.weights[1][which])
        return UnitSums(len(zeros(self.n)[which]), now, before, weights)

    def capped(self, cap: int | None) -> "UnitSums":
        """Winsorized: a unit counts for at most `cap` nano-dollars, at its own or the baseline's
        cost, whichever is higher. All counters of a unit above the cap are scaled down by the same
        factor, so ratios keep their meaning."""
        if cap is None:
            return self
        weights = _weights(self.now, self.n, cap), _weights(self.before, self.n, cap)
        return replace(self, weights=weights if (np.minimum(*weights) < 1).any() else None)

    @property
    def cut(self) -> int:
        """How many units have reached the cap."""
        return int((self.weights[0] < 1).sum()) if self.weights else 0


def _weights(counters: Mapping[str, Column], n: int, cap: int) -> Weights:
    nothing = zeros(n)
    spent = np.maximum(counters.get("cost", nothing), counters.get("baseline", nothing))
    return np.minimum(1.0, cap / np.maximum(spent, 1))


class DomainSums(NamedTuple):
    """One domain: the positions of its units, and their sums in it."""

    positions: Column
    sums: UnitSums


@dataclass(frozen=True, eq=False, slots=True)
class Units:
    """The units of one phase. Days are ordinals.

    `has_history`: whether any unit made requests before its first exposure. `days` are those on
    which counted units of an arm made requests, `last_day` is the day of the newest request.
    """

    arms: NDArray[np.str_]
    first_days: Column
    closed: NDArray[np.bool_]
    sums: UnitSums
    domains: Mapping[str, DomainSums]
    excluded: int
    has_history: bool = False
    days: Mapping[str, int] = field(default_factory=dict)
    last_day: date | None = None

    def of(self, arm: str) -> UnitSums:
        """Units of the arm whose window has closed."""
        return self.sums.take(self.is_counted(arm))

    def is_counted(self, arm: str) -> NDArray[np.bool_]:
        mine: NDArray[np.bool_] = self.closed & (self.arms == arm)
        return mine

    def in_domain(self, arm: str, domain: str) -> UnitSums:
        """The sums of the arm's counted units in one domain."""
        positions, sums = self.domains[domain]
        return sums.take(self.is_counted(arm)[positions])

    def seen(self, arm: str, domain: str | None = None) -> int:
        """Units exposed to the arm, including those whose window is still open."""
        arms = self.arms if domain is None else self.arms[self.domains[domain].positions]
        return int((arms == arm).sum())

    @property
    def counted(self) -> int:
        return int(self.closed.sum())

    @property
    def exposed(self) -> int:
        return len(self.arms)

    def capped(self, cap: int | None) -> "Units":
        """The same units, each counting for at most `cap` nano-dollars over all its domains."""
        sums = self.sums.capped(cap)
        if sums.weights is None:
            return self
        now, before = sums.weights
        domains = {
            name: DomainSums(at, replace(own, weights=(now[at], before[at])))
            for name, (at, own) in self.domains.items()
        }
        return replace(self, sums=sums, domains=domains)


def read_units(
    key: str,
    phase: int,
    *,
    window_days: int,
    as_of: date,
    counters: Iterable[str] = (),
    cap: int | None = None,
) -> Units:
    """The units of one phase on `as_of`, with `counters` in addition to the usual ones.

    Three queries. With `window_days` 0, a unit counts immediately and without end. `cap` is the
    most that a unit counts for, in nano-dollars (`Sums.capped`).
    """
    where = {"experiment": key, "phase": phase, "day__lte": as_of}
    wanted = _wanted(counters)
    seen = _read_seen(where, window_days, wanted)
    units = len(seen.units)
    if not units:
        return _no_units()
    arm_of, arms = codes(seen.table.key("arm"))
    first_arm = least(arm_of, seen.unit_of, units)
    last_arm = -least(-arm_of, seen.unit_of, units)
    kept = first_arm == last_arm
    before = _history(key, seen, wanted)
    closed = seen.first_days + window_days <= as_of.toordinal()
    found = Units(
        arms=np.array(list(arms))[first_arm][kept],
        first_days=seen.first_days[kept],
        closed=closed[kept],
        sums=UnitSums(units, seen.sums(seen.is_in), before).take(kept),
        domains=_domains(seen, kept),
        excluded=int((~kept).sum()),
        has_history=bool(before),
        days=_days(seen, kept & closed, arm_of, arms),
        last_day=date.fromordinal(int(seen.table.days.max())),
    )
    return found.capped(cap)


def _days(
    seen: "_Seen", counted: NDArray[np.bool_], arm_of: Column, arms: Mapping[str, int]
) -> dict[str, int]:
    """The number of days on which counted units of each arm made requests that count."""
    rows = seen.is_in & counted[seen.unit_of]
    days, arm_of = seen.table.days[rows], arm_of[rows]
    return {arm: len(np.unique(days[arm_of == code])) for arm, code in arms.items()}


def read_recent(
    domain: str | None, *, window_days: int, since: date, until: date, counters: Iterable[str] = ()
) -> UnitSums:
    """The sums of each unit in its first `window_days` after `since`, in or outside experiments.

    Two queries. For planning: the units that an experiment on this domain would get.
    """
    where: dict[str, Any] = {"day__gt": since, "day__lte": until}
    if domain is not None:
        where["domain"] = domain
    seen = _read_seen(where, window_days, _wanted(counters))
    return UnitSums(len(seen.units), seen.sums(seen.is_in), {})


class _Ratings(NamedTuple):
    """One custom metric's rows within their units' windows, and the unit of each."""

    table: SumColumns
    unit_of: Column


class _Seen(NamedTuple):
    """The rows of some units, the unit of each row, and whether it lies in its unit's window."""

    table: SumColumns
    unit_of: Column
    units: Mapping[str, int]
    first_days: Column
    is_in: NDArray[np.bool_]
    ratings: Mapping[str, _Ratings]

    def sums(self, rows: NDArray[np.bool_], domain: str | None = None) -> dict[str, Column]:
        """The units' sums over some rows, and over their ratings in one domain or all."""
        units = len(self.units)
        sums = _with_saving(self.table.sums(self.unit_of, units, rows))
        for metric, (table, unit_of) in self.ratings.items():
            own = np.array([domain in (None, name) for name in table.key("domain")], np.bool_)
            for name, column in table.sums(unit_of, units, own).items():
                sums[f"metric:{metric}:{name}"] = column
        return sums


def _wanted(counters: Iterable[str]) -> tuple[str, ...]:
    asked = {*ALWAYS, *counters}
    return tuple(name for name in COUNTERS if name in asked)


def _read_seen(where: Mapping[str, Any], window_days: int, counters: Sequence[str]) -> _Seen:
    table = read_table(UnitSum.objects.filter(**where), "arm", counters)
    unit_of, units = codes(table.key("unit_hash"))
    first_days = least(table.days, unit_of, len(units))
    ends = first_days + (window_days or np.iinfo(np.int32).max)
    ratings = _ratings(
        read_table(MetricSum.objects.filter(**where), "metric", RATINGS), units, ends
    )
    return _Seen(table, unit_of, units, first_days, table.days < ends[unit_of], ratings)


def _ratings(table: SumColumns, units: Mapping[str, int], ends: Column) -> dict[str, _Ratings]:
    unit_of = np.array([units.get(unit, -1) for unit in table.key("unit_hash")], np.int64)
    metric_of = np.array(table.key("metric"), np.str_)
    is_in = unit_of >= 0
    is_in[is_in] = table.days[is_in] < ends[unit_of[is_in]]
    found = {}
    for metric in sorted(set(table.key("metric"))):
        rows = is_in & (metric_of == metric)
        found[metric] = _Ratings(table.take(rows), unit_of[rows])
    return found


def _domains(seen: _Seen, kept: NDArray[np.bool_]) -> dict[str, DomainSums]:
    """Each domain's part of the units kept."""
    positions = np.cumsum(kept) - 1
    domain_of = np.array(seen.table.key("domain"), np.str_)
    found = {}
    for domain in sorted(set(seen.table.key("domain"))):
        rows = seen.is_in & (domain_of == domain) & kept[seen.unit_of]
        members = np.unique(seen.unit_of[rows])
        sums = UnitSums(len(seen.units), seen.sums(rows, domain), {}).take(members)
        found[domain] = DomainSums(positions[members], sums)
    return found


def _history(key: str, seen: _Seen, counters: Sequence[str]) -> dict[str, Column]:
    """The sums of the same units before their first exposure."""
    units, first_days = seen.units, seen.first_days
    earliest = date.fromordinal(int(first_days.min())) - timedelta(days=HISTORY_DAYS)
    latest = date.fromordinal(int(first_days.max()))
    own = UnitSum.objects.filter(experiment=key).values("unit_hash")
    rows = UnitSum.objects.exclude(experiment=key).filter(
        unit_hash__in=own, day__gte=earliest, day__lt=latest
    )
    table = read_table(rows, "arm", counters)
    unit_of = np.array([units.get(unit, -1) for unit in table.key("unit_hash")], np.int64)
    first = first_days[unit_of]
    is_before = (unit_of >= 0) & (first - HISTORY_DAYS <= table.days) & (table.days < first)
    if not is_before.any():
        return {}
    return _with_saving(table.sums(unit_of, len(units), is_before))


def _with_saving(counters: dict[str, Column]) -> dict[str, Column]:
    return {**counters, "saving": counters["baseline"] - counters["cost"]}


def _no_units() -> Units:
    none = zeros(0)
    sums = UnitSums(0, {}, {})
    return Units(np.array([], np.str_), none, np.array([], np.bool_), sums, {}, 0)
