"""Rows of running sums as columns, so that a hundred thousand of them are added quickly."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple, TypeVar

import numpy as np
from django.db.models import CharField, QuerySet
from django.db.models.functions import Cast
from numpy.typing import NDArray

Column = NDArray[np.int64]
Name = TypeVar("Name")


class SumColumns(NamedTuple):
    """Rows of sums as columns: keys (unit, arm or metric, domain), days as ordinals, counters."""

    keys: Mapping[str, Sequence[str]]
    days: Column
    counters: Mapping[str, Column]

    def key(self, name: str) -> Sequence[str]:
        return self.keys[name]

    def take(self, rows: NDArray[np.bool_]) -> "SumColumns":
        return SumColumns(
            {name: list(np.array(key, np.str_)[rows]) for name, key in self.keys.items()},
            self.days[rows],
            {name: column[rows] for name, column in self.counters.items()},
        )

    def sums(self, group_of: Column, groups: int, rows: NDArray[np.bool_]) -> dict[str, Column]:
        return {
            name: added(column[rows], group_of[rows], groups)
            for name, column in self.counters.items()
        }


def read_table(rows: QuerySet[Any], second_key: str, counters: Sequence[str]) -> SumColumns:
    """One query. Days are read as text: parsing each as a date would take most of the time."""
    names = ("unit_hash", second_key, "domain", "on", *counters)
    dated = rows.order_by().annotate(on=Cast("day", CharField()))
    read = list(dated.values_list(*names).iterator(10_000))
    columns = list(zip(*read, strict=True)) or [()] * len(names)
    ordinals = {text: date.fromisoformat(text).toordinal() for text in set(columns[3])}
    days = np.fromiter((ordinals[text] for text in columns[3]), np.int64, len(read))
    return SumColumns(
        dict(zip(names[:3], columns[:3], strict=True)),
        days,
        {name: np.array(c, np.int64) for name, c in zip(counters, columns[4:], strict=True)},
    )


def codes(names: Iterable[Name]) -> tuple[Column, dict[Name, int]]:
    """Each name as a number, in order of first appearance, and the number of each name."""
    known: dict[Name, int] = {}
    return np.fromiter(_numbered(names, known), np.int64), known


def _numbered(names: Iterable[Name], known: dict[Name, int]) -> Iterator[int]:
    for name in names:
        yield known.setdefault(name, len(known))


def least(values: Column, group_of: Column, groups: int) -> Column:
    least = np.full(groups, np.iinfo(np.int64).max)
    np.minimum.at(least, group_of, values)
    return least


def added(values: Column, group_of: Column, groups: int) -> Column:
    """Exact: `np.bincount` would add in floating point."""
    sums = zeros(groups)
    np.add.at(sums, group_of, values)
    return sums


def zeros(n: int) -> Column:
    return np.zeros(n, np.int64)
