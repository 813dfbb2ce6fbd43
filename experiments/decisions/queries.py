"""Stored decisions, filtered and read page by page, fast with millions of rows.

A page is found in the index `decision_list`, which has every column of the filters, and then read:
no count, no offset, no row that is not shown.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet

from experiments.core.policy import MASTER_FLAG
from experiments.models import Decision

PAGE = 50
EXPORTED = 2_000
OFF = {"master_flag_off": "master", "holdout": "holdout", "domain_flag_off": "domain"}
LISTED = (
    "id",
    "created_at",
    "domain",
    "model",
    "method",
    "tier",
    "reason",
    "fallback",
    "score",
    "threshold",
    "experiment",
    "arm",
    "revision",
    "cost",
    "cost_baseline",
)


class Mark(NamedTuple):
    """Where a page begins: after this decision, in the direction of older ones."""

    created_at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class DecisionFilter:
    """Which decisions; empty is any. `cost_*` are nano-dollars, `flag_on` goes with `flag`."""

    since: datetime
    until: datetime
    domain: str = ""
    model: str = ""
    method: str = ""
    reason: str = ""
    fallback: str = ""
    experiment: str = ""
    arm: str = ""
    flag: str = ""
    flag_on: bool = True
    revision: int | None = None
    cost_from: int | None = None
    cost_to: int | None = None


class DecisionRows(NamedTuple):
    """Newest first. `older` and `newer` are the starts of the neighboring pages, if any."""

    rows: tuple[Decision, ...]
    older: Mark | None
    newer: Mark | None


def decision_page(
    wanted: DecisionFilter, before: Mark | None = None, after: Mark | None = None, size: int = PAGE
) -> DecisionRows:
    """The page older than `before`, or newer than `after`, or the newest. Two queries."""
    marks = _marks(wanted, before, after, size + 1)
    more, marks = len(marks) > size, marks[:size]
    if after:
        marks.reverse()
    older = more if not after else True
    newer = more if after else before is not None
    return DecisionRows(
        rows=_rows(marks),
        older=marks[-1] if marks and older else None,
        newer=marks[0] if marks and newer else None,
    )


def _marks(
    wanted: DecisionFilter, before: Mark | None, after: Mark | None, size: int
) -> list[Mark]:
    rows = _matching(wanted)
    if after:
        rows = rows.filter(
            Q(created_at__gt=after.created_at) | Q(created_at=after.created_at, id__gt=after.id),
            created_at__gte=after.created_at,
        )
        rows = rows.order_by("created_at", "id")
    else:
        rows = _older(rows, before)
    return [Mark(*row) for row in rows.values_list("created_at", "id")[:size]]


def _older(rows: "QuerySet[Decision]", before: Mark | None) -> "QuerySet[Decision]":
    if before:
        rows = rows.filter(
            Q(created_at__lt=before.created_at) | Q(created_at=before.created_at, id__lt=before.id),
            created_at__lte=before.created_at,
        )
    return rows.order_by("-created_at", "-id")


def _rows(marks: list[Mark]) -> tuple[Decision, ...]:
    found = Decision.objects.only(*LISTED).in_bulk([mark.id for mark in marks])
    return tuple(found[mark.id] for mark in marks if mark.id in found)


def _matching(wanted: DecisionFilter) -> "QuerySet[Decision]":
    rows = Decision.objects.filter(created_at__gte=wanted.since, created_at__lt=wanted.until)
    equal = ("domain", "model", "method", "reason", "fallback", "experiment", "arm")
    named = {name: getattr(wanted, name) for name in equal if getattr(wanted, name)}
    limits: dict[str, Any] = {
        "revision": wanted.revision,
        "cost__gte": wanted.cost_from,
        "cost__lte": wanted.cost_to,
    }
    rows = rows.filter(**named, **{k: v for k, v in limits.items() if v is not None})
    return rows.filter(_flag(wanted)) if wanted.flag else rows


def _flag(wanted: DecisionFilter) -> Q:
    """A flag's state follows from the reason: flags after the first that is off are not read."""
    if wanted.flag == MASTER_FLAG:
        off = Q(reason="master_flag_off")
        return ~off if wanted.flag_on else off
    here = Q(domain=wanted.flag.removeprefix("routellm_").removesuffix("_domain"))
    if wanted.flag_on:
        return here & ~Q(reason__in=list(OFF))
    return here & Q(reason="domain_flag_off")


def every_decision(
    wanted: DecisionFilter, columns: tuple[str, ...]
) -> Iterator[list[tuple[Any, ...]]]:
    """All matching decisions, newest first. Each chunk is one query, so no cursor stays open."""
    mark: Mark | None = None
    while True:
        rows = _older(_matching(wanted), mark)
        chunk = list(rows.values_list("created_at", "id", *columns)[:EXPORTED])
        if chunk:
            yield [row[2:] for row in chunk]
        if len(chunk) < EXPORTED:
            return
        mark = Mark(*chunk[-1][:2])
