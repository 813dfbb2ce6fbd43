"""The log as columns: what was decided, how likely it was, what it cost and how it was rated.

Three queries whatever the number of decisions, each read straight into arrays: rows as objects
would take minutes and gigabytes for a million. The decisions come from an index alone.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import orjson
from django.db import connection
from django.db.models import QuerySet

from experiments.analysis.nuisance import Floats, Ints
from experiments.models import Decision, Feedback, Outcome
from experiments.reports.rollups import Span

CHUNK = 50_000
QUALITY = "quality"
JUDGE = "judge"
COLUMNS = (
    "id",
    "domain",
    "unit_hash",
    "revision",
    "intended_model",
    "strong_model",
    "weak_model",
    "odds",
    "scores",
    "cost",
    "cost_strong",
    "cost_weak",
    "input_tokens",
)

Row = tuple[Any, ...]


class Names:
    """Names as numbers, in the order they first come."""

    def __init__(self) -> None:
        self._known: defaultdict[str, int] = defaultdict()
        self._known.default_factory = self._known.__len__

    def codes(self, names: Sequence[str]) -> Ints:
        return np.fromiter(map(self._known.__getitem__, names), np.int64, len(names))

    def code(self, name: str) -> int:
        """A name that never came is a number of its own."""
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


@dataclass(frozen=True, eq=False, slots=True)
class Logged:
    """Decisions of a span, the newest first. Money in nano-dollars, NaN is unknown.

    `intended`, `strong` and `weak` number `models`; `odds` numbers `vectors`, each the probability
    of every model it names; `scores` are of every router that scored.
    """

    span: Span
    domains: Ints
    domain_names: tuple[str, ...]
    units: Ints
    revisions: Ints
    intended: Ints
    strong: Ints
    weak: Ints
    models: Names
    odds: Ints
    vectors: tuple[Mapping[str, float], ...]
    scores: Mapping[str, Floats]
    cost: Floats
    cost_strong: Floats
    cost_weak: Floats
    rating: Floats
    tokens: Floats
    is_whole: bool = True

    def __len__(self) -> int:
        return len(self.domains)

    def of_domain(self, name: str) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Which rows are of that domain; all of them for ""."""
        if not name:
            return np.ones(len(self), bool)
        known = self.domain_names.index(name) if name in self.domain_names else -1
        return np.asarray(self.domains == known)

    def odds_of(self, models: Ints) -> Floats:
        """Each row's probability of having gone to that row's model of `models`."""
        names = list(self.models)
        table = np.zeros((max(len(self.vectors), 1), max(len(names), 1)))
        place = {name: number for number, name in enumerate(names)}
        for row, vector in enumerate(self.vectors):
            for name, chance in vector.items():
                if name in place:
                    table[row, place[name]] = chance
        return np.asarray(table[self.odds, models])


def read_log(span: Span, domain: str = "", *, limit: int | None = None) -> Logged:
    """Every decision of the span that has a propensity, or the newest `limit` of them."""
    rows = Decision.objects.filter(created_at__gte=span.since, created_at__lt=span.until)
    rows = rows.exclude(odds="")
    if domain:
        rows = rows.filter(domain=domain)
    ordered = rows.order_by("-created_at")
    found = ordered if limit is None else ordered[:limit]
    reader = _Reader()
    for chunk in _chunks(found.values_list(*COLUMNS)):
        reader.add(chunk)
    is_whole = limit is None or len(reader.ids) < limit
    return reader.finish(span, is_whole=is_whole)


class _Reader:
    """Collects chunks of rows as columns."""

    def __init__(self) -> None:
        self.ids: list[Any] = []
        self._names = {name: Names() for name in ("domain", "unit_hash", "odds")}
        self._models = Names()
        self._parts: defaultdict[str, list[Any]] = defaultdict(list)
        self._scores: list[list[dict[str, float]]] = []
        self._routers: dict[str, list[Floats]] = {}
        self._rows = 0

    def add(self, rows: Sequence[Row]) -> None:
        columns = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
        self.ids.extend(columns["id"])
        for name, known in self._names.items():
            self._parts[name].append(known.codes(columns[name]))
        for name in ("intended_model", "strong_model", "weak_model"):
            self._parts[name].append(self._models.codes(columns[name]))
        for name in ("cost", "cost_strong", "cost_weak", "input_tokens", "revision"):
            self._parts[name].append(np.array(columns[name], np.float64))
        self._add_scores(columns["scores"])
        self._rows += len(rows)

    def _add_scores(self, texts: Sequence[str]) -> None:
        """All of a chunk in one parse."""
        parsed = orjson.loads(f"[{','.join(text or '{}' for text in texts)}]")
        for router in {name for one in parsed for name in one} | self._routers.keys():
            known = self._routers.setdefault(router, [np.full(self._rows, np.nan)])
            values = [one.get(router, np.nan) for one in parsed]
            known.append(np.array(values, np.float64))

    def finish(self, span: Span, *, is_whole: bool) -> Logged:
        place = dict(zip(self.ids, range(len(self.ids)), strict=True))
        cost = self._column("cost")
        _overwrite_with_actual(cost, place, span)
        return Logged(
            span=span,
            domains=self._codes("domain"),
            domain_names=tuple(self._names["domain"]),
            units=self._codes("unit_hash"),
            revisions=self._column("revision").astype(np.int64),
            intended=self._codes("intended_model"),
            strong=self._codes("strong_model"),
            weak=self._codes("weak_model"),
            models=self._models,
            odds=self._codes("odds"),
            vectors=tuple(orjson.loads(text) for text in self._names["odds"]),
            scores={name: np.concatenate(parts) for name, parts in self._routers.items()},
            cost=cost,
            cost_strong=self._column("cost_strong"),
            cost_weak=self._column("cost_weak"),
            rating=_ratings(place, span),
            tokens=self._column("input_tokens"),
            is_whole=is_whole,
        )

    def _column(self, name: str) -> Floats:
        return np.concatenate([np.zeros(0), *self._parts[name]])

    def _codes(self, name: str) -> Ints:
        return np.concatenate([np.zeros(0, np.int64), *self._parts[name]])


def _overwrite_with_actual(cost: Floats, place: Mapping[Any, int], span: Span) -> None:
    """What an outcome said it cost comes before what was expected."""
    rows = Outcome.objects.filter(received_at__gte=span.since, cost__isnull=False).order_by()
    for chunk in _chunks(rows.values_list("decision_id", "cost")):
        ids, actual = zip(*chunk, strict=True)
        at = _places(place, ids)
        known = at >= 0
        cost[at[known]] = np.array(actual, np.float64)[known]


def _ratings(place: Mapping[Any, int], span: Span) -> Floats:
    """One rating each, NaN for none: people beat judges, equals are averaged."""
    n = len(place)
    total, count = np.zeros((2, n)), np.zeros((2, n))
    rows = Feedback.objects.filter(metric=QUALITY, received_at__gte=span.since).order_by()
    for chunk in _chunks(rows.values_list("decision_id", "source", "value")):
        ids, sources, values = zip(*chunk, strict=True)
        at = _places(place, ids)
        by_judge = np.fromiter((source == JUDGE for source in sources), np.int64, len(chunk))
        known = at >= 0
        np.add.at(total, (by_judge[known], at[known]), np.array(values, np.float64)[known])
        np.add.at(count, (by_judge[known], at[known]), 1.0)
    kind = np.where(count[0] > 0, 0, 1)
    every = np.arange(n)
    counted = count[kind, every]
    unrated = np.full(n, np.nan)
    return np.asarray(np.divide(total[kind, every], counted, out=unrated, where=counted > 0))


def _places(place: Mapping[Any, int], ids: Sequence[Any]) -> Ints:
    get: Callable[..., int] = place.get
    return np.fromiter(map(get, ids, repeat(-1)), np.int64, len(ids))


def _chunks(rows: "QuerySet[Any, Any]") -> Iterator[Sequence[Row]]:
    """As the driver gives them: making UUIDs and dates of a million rows takes seconds."""
    sql, params = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        yield from _fetched(cursor.fetchmany)


def _fetched(fetch: Callable[[int], Sequence[Row]]) -> Iterable[Sequence[Row]]:
    while rows := fetch(CHUNK):
        yield rows
