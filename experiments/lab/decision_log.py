"""The decision log as columns: decisions, propensities, costs and ratings.

Four queries for any number of decisions, each read directly into arrays: a million rows as objects
would take minutes and gigabytes. Decisions are read from an index only.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import orjson
from django.db.models import Case, IntegerField, Value, When

from experiments.analysis.off_policy.nuisance import Floats, Ints
from experiments.core.sources import JUDGES
from experiments.decisions.rollup_queries import Span
from experiments.lab.arrow_reads import (
    FLOAT,
    INTEGER,
    NAME,
    TEXT,
    codes,
    numbers,
    parsed_objects,
    read_columns,
)
from experiments.models import Decision, Feedback, Outcome, PolicyRevision

if TYPE_CHECKING:
    import pyarrow as pa

AT_ONCE, MOST_ON_A_PAGE = 20_000, 200_000
"""How many decisions a page reads by default and at most."""
QUALITY = "quality"
DECISIONS = {
    "id": TEXT,
    "domain": NAME,
    "unit_hash": NAME,
    "revision": INTEGER,
    "intended_model": NAME,
    "strong_model": NAME,
    "weak_model": NAME,
    "odds": NAME,
    "scores": TEXT,
    "cost": INTEGER,
    "cost_strong": INTEGER,
    "cost_weak": INTEGER,
    "input_tokens": INTEGER,
    "drawn": INTEGER,
    "experiment": NAME,
    "phase": INTEGER,
}
OUTCOMES = {"decision_id": TEXT, "cost": INTEGER}
PER_DECISION = (
    *("ids", "domains", "units", "revisions", "intended", "strong", "weak", "odds"),
    *("cost", "cost_strong", "cost_weak", "rating", "tokens", "audited", "audits"),
    "score_at_work",
)
RATINGS = {"decision_id": TEXT, "by_judge": INTEGER, "value": FLOAT}


def _one_where(**condition: object) -> Case:
    return Case(When(**condition, then=Value(1)), default=Value(0), output_field=IntegerField())


_AUDITED = _one_where(audited=True)
_BY_JUDGE = _one_where(source__iregex=JUDGES)


class Names:
    """Names as numbers, in order of first appearance."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._known = {name: number for number, name in enumerate(names)}

    def code(self, name: str) -> int:
        """The name's number; a new name gets the next one."""
        return self._known.setdefault(name, len(self._known))

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class Rescored(NamedTuple):
    """How many of a router's scores were logged, were computed now, or are unknown."""

    router: str
    logged: int
    now: int
    left_out: int


@dataclass(frozen=True, eq=False, slots=True)
class Logged:
    """Decisions of a span, the newest first. Money in nano-dollars, NaN is unknown.

    `intended`, `strong` and `weak` number `models`; `odds` numbers `vectors`, each the probability
    of every model it names; `scores` are of every router that scored, `score_at_work` is that of
    the router which the decision's domain had then. `audited` were drawn to be
    rated; `audits` numbers the phases of experiments, within which all are as likely to be drawn.
    `rescored` says which of the scores were made now; None: none.
    """

    span: Span
    ids: "pa.Array"
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
    score_at_work: Floats
    cost: Floats
    cost_strong: Floats
    cost_weak: Floats
    rating: Floats
    tokens: Floats
    audited: "np.ndarray[tuple[int], np.dtype[np.bool_]]"
    audits: Ints
    is_whole: bool = True
    rescored: Rescored | None = None

    def __len__(self) -> int:
        return len(self.domains)

    def newest(self, count: int) -> "Logged":
        if count >= len(self):
            return self
        cut = {name: getattr(self, name)[:count] for name in PER_DECISION}
        scores = {router: one[:count] for router, one in self.scores.items()}
        return replace(self, **cut, scores=scores, is_whole=False)

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
    """Every decision of the span that has a propensity, or the newest `limit` of them: the span
    then begins with the oldest that was read."""
    rows = Decision.objects.filter(created_at__gte=span.since, created_at__lt=span.until)
    rows = rows.exclude(odds="").annotate(drawn=_AUDITED)
    if domain:
        rows = rows.filter(domain=domain)
    ordered = rows.order_by("-created_at")
    found = ordered if limit is None else ordered[:limit]
    columns = read_columns(found, DECISIONS)
    is_whole = limit is None or len(columns) < limit
    return _logged(columns, span if is_whole else _since_oldest(columns, span), is_whole=is_whole)


def _since_oldest(columns: "pa.Table", span: Span) -> Span:
    oldest = Decision.objects.filter(pk=columns["id"][-1].as_py())
    return Span(oldest.values_list("created_at", flat=True).get(), span.until)


def _logged(columns: "pa.Table", span: Span, *, is_whole: bool) -> Logged:
    import pyarrow as pa  # noqa: PLC0415 - not in a process that only routes

    pair = [columns[name] for name in ("intended_model", "strong_model", "weak_model")]
    models, names = codes(pa.chunked_array([one.combine_chunks() for one in pair]))
    intended, strong, weak = np.split(models, 3)
    domains, domain_names = codes(columns["domain"])
    odds, vectors = codes(columns["odds"])
    cost, ids = numbers(columns["cost"]).copy(), columns["id"].combine_chunks()
    _overwrite_with_actual(cost, ids, span)
    revisions, scores = columns["revision"].to_numpy(), _scores(columns["scores"])
    return Logged(
        span=span,
        ids=ids,
        domains=domains,
        domain_names=tuple(domain_names),
        units=codes(columns["unit_hash"])[0],
        revisions=revisions,
        intended=intended,
        strong=strong,
        weak=weak,
        models=Names(names),
        odds=odds,
        vectors=tuple(orjson.loads(text) for text in vectors),
        scores=scores,
        score_at_work=_score_at_work(scores, revisions, domains, domain_names),
        cost=cost,
        cost_strong=numbers(columns["cost_strong"]),
        cost_weak=numbers(columns["cost_weak"]),
        rating=_ratings(ids, span),
        tokens=numbers(columns["input_tokens"]),
        audited=columns["drawn"].to_numpy() > 0,
        audits=_phases(columns),
        is_whole=is_whole,
    )


def _phases(columns: "pa.Table") -> Ints:
    """A number for each phase of each experiment, and one for what is in none."""
    experiment, _ = codes(columns["experiment"])
    phase = columns["phase"].fill_null(0).to_numpy()
    _, found = np.unique(np.stack([experiment, phase], axis=1), axis=0, return_inverse=True)
    return found.reshape(-1).astype(np.int64)


def _scores(texts: "pa.ChunkedArray") -> dict[str, Floats]:
    found = parsed_objects(texts)
    return {router: numbers(found[router]) for router in found.column_names}


def _score_at_work(
    scores: Mapping[str, Floats], revisions: Ints, domains: Ints, domain_names: Iterable[str]
) -> Floats:
    """Of the router that each decision's domain had in its revision: one query, and none where
    only one router scored. An arm of an experiment may have had another."""
    if len(scores) == 1:
        return next(iter(scores.values()))
    found = np.full(len(revisions), np.nan)
    for router, rows in _rows_by_router(revisions, domains, list(domain_names)):
        if router in scores:
            found[rows] = scores[router][rows]
    return found


def _rows_by_router(
    revisions: Ints, domains: Ints, names: list[str]
) -> Iterator[tuple[str, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]]:
    numbers_there = np.unique(revisions).tolist()
    documents = dict(
        PolicyRevision.objects.filter(number__in=numbers_there).values_list(
            "number", "document__domains"
        )
    )
    for number in numbers_there:
        policies = documents.get(number) or {}
        for place, name in enumerate(names):
            router = (policies.get(name) or {}).get("policy", {}).get("router")
            if router:
                yield router, (revisions == number) & (domains == place)


def _overwrite_with_actual(cost: Floats, ids: "pa.Array", span: Span) -> None:
    """Actual costs from outcomes replace estimates."""
    rows = Outcome.objects.filter(received_at__gte=span.since, cost__isnull=False).order_by()
    outcomes = read_columns(rows, OUTCOMES)
    at = _places(ids, outcomes["decision_id"])
    known = at >= 0
    cost[at[known]] = numbers(outcomes["cost"])[known]


def _ratings(ids: "pa.Array", span: Span) -> Floats:
    """One rating per decision, NaN for none: people take precedence over judges, and ratings of
    the same kind are averaged."""
    rows = Feedback.objects.filter(
        metric=QUALITY, received_at__gte=span.since, value__gte=0, value__lte=1
    ).order_by()
    ratings = read_columns(rows.annotate(by_judge=_BY_JUDGE), RATINGS)
    n, at = len(ids), _places(ids, ratings["decision_id"])
    known = at >= 0
    place = (ratings["by_judge"].to_numpy() * n + at)[known]
    total = np.bincount(place, numbers(ratings["value"])[known], 2 * n).reshape(2, n)
    count = np.bincount(place, minlength=2 * n).reshape(2, n)
    kind = np.where(count[0] > 0, 0, 1)
    every = np.arange(n)
    counted = count[kind, every]
    unrated = np.full(n, np.nan)
    return np.asarray(np.divide(total[kind, every], counted, out=unrated, where=counted > 0))


def _places(ids: "pa.Array", wanted: "pa.ChunkedArray") -> Ints:
    """The index of each of `wanted` in `ids`, -1 if missing."""
    from pyarrow import compute  # noqa: PLC0415 - not in a process that only routes

    found = compute.index_in(wanted, value_set=ids).fill_null(-1)
    return np.asarray(found.to_numpy(), np.int64)
