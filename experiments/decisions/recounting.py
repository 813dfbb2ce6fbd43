"""Counts the running sums again from the stored decisions, in SQL, and compares or corrects them.

Every statement here sees one state of the database. A decision, an outcome or a rating and the sums
it counts in are written by one transaction, so in any one state the sums and a recount are equal,
also while others write or fold; a difference is an error. A correction adds the difference to the
folded row of the sum, so concurrent changes stay right and requests do not wait. Corrections run
one at a time, or a difference would be added twice.

The expressions compute in SQL what `rollups` and `unit_totals` compute for one decision in Python;
tests compare the two over random traffic.
"""

# ruff: noqa: S608 - every name in these statements is our own

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.db import connection, models

from experiments.decisions.rollups import MICRO
from experiments.decisions.unit_totals import JUDGE, QUALITY
from experiments.limits.quotas import OWN_KEY
from experiments.models import (
    Attempt,
    Decision,
    Feedback,
    InFlightCall,
    KeyUsage,
    MetricSum,
    Outcome,
    OwnCall,
    PruneMark,
    Rollup,
    RollupBin,
    ShadowPair,
    UnitSum,
)
from experiments.models.sums import (
    CONFIDENCE_BINS,
    FIXED_POINT,
    LATENCY_ENDS,
    SCORE_BINS,
    counters_of,
)
from experiments.storage.transactions import run_transaction

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class RecountSpan(NamedTuple):
    """An hour or a day of decisions, and its value in the column of the sums that names it."""

    since: datetime
    until: datetime
    value: datetime | date

    @classmethod
    def of_hour(cls, hour: datetime) -> "RecountSpan":
        return cls(hour, hour + HOUR, hour)

    @classmethod
    def of_day(cls, day: date) -> "RecountSpan":
        start = datetime.combine(day, time.min, UTC)
        return cls(start, start + DAY, day)


class Difference(NamedTuple):
    """One sum that differs from its recount."""

    table: str
    key: Mapping[str, Any]
    column: str
    stored: int
    counted: int

    def __str__(self) -> str:
        where = ", ".join(f"{name} {value}" for name, value in self.key.items() if value != "")
        return f"{self.table} ({where}): {self.column} is {self.stored}, counted {self.counted}"


class Recount(NamedTuple):
    """How one table of sums is counted. `span` is its column of the hour or the day, `keys` its
    other key columns; `counted` selects them and the counters from `facts`, row by row, and names
    the span's limits as many times as `limits` says. `stored` limits which rows are compared;
    where `unless` finds anything in the span, none is. `numbers` are keys that writers sort as
    such. `only` limits the counters.
    """

    model: type[models.Model]
    span: str
    keys: tuple[str, ...]
    counted: str
    limits: int = 0
    stored: str = ""
    unless: str = ""
    numbers: frozenset[str] = frozenset()
    only: tuple[str, ...] = ()

    @property
    def counters(self) -> tuple[str, ...]:
        return self.only or self.all_counters

    @property
    def all_counters(self) -> tuple[str, ...]:
        return tuple(name for name in counters_of(self.model) if name not in self.keys)

    def value(self, span: RecountSpan) -> datetime | date:
        """The value of its hour or day column for this span."""
        return span.value if self.span in {"hour", "day"} else span.since

    @property
    def table(self) -> str:
        return _table(self.model)


def differences(recount: Recount, span: RecountSpan) -> list[Difference]:
    """The sums of this span that differ from a recount. Reads only."""
    with _cursor() as cursor:
        cursor.execute(*_comparison(recount, span))
        rows = cursor.fetchall()
    return [difference for row in rows for difference in _differences(recount, span, row)]


def correct(recount: Recount, span: RecountSpan) -> int:
    """Adds what is missing in the sums of this span; returns how many rows were wrong."""
    corrected = run_transaction(lambda: _correct(recount, span))
    if corrected:
        _delete_empty(recount, span)
    return corrected


def _correct(recount: Recount, span: RecountSpan) -> int:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('switchyard-recount'))")
    with _cursor() as cursor:
        cursor.execute(*_correction(recount, span))
        return max(0, int(cursor.rowcount))


def _delete_empty(recount: Recount, span: RecountSpan) -> None:
    """Deletes rows that count nothing, one by one: each is checked again under its lock."""
    empty = dict.fromkeys(recount.all_counters, 0)
    rows = recount.model._default_manager.filter(**{recount.span: recount.value(span)}, **empty)
    for pk in list(rows.values_list("pk", flat=True)):
        run_transaction(rows.filter(pk=pk).delete)


def is_pruned(span: RecountSpan) -> bool:
    return PruneMark.objects.filter(pruned_before__gt=span.since).exists()


def _differences(recount: Recount, span: RecountSpan, row: Sequence[Any]) -> Iterator[Difference]:
    names, width = recount.counters, len(recount.keys)
    key = {recount.span: recount.value(span), **dict(zip(recount.keys, row, strict=False))}
    for index, name in enumerate(names):
        counted, stored = int(row[width + index]), int(row[width + len(names) + index])
        if counted != stored:
            yield Difference(recount.model.__name__, key, name, stored, counted)


# The statements


def _comparison(recount: Recount, span: RecountSpan) -> tuple[str, list[Any]]:
    counted = _list(f"SUM(c_{name})" for name in recount.counters)
    stored = _list(f"SUM(s_{name})" for name in recount.counters)
    text, values = _both(recount, span)
    return f"{text} SELECT {_list(recount.keys)}, {counted}, {stored} {_grouped(recount)}", [
        *values,
        *_guards(recount, span),
    ]


def _correction(recount: Recount, span: RecountSpan) -> tuple[str, list[Any]]:
    """Rows are written in the order in which folding locks them, by the text of their keys."""
    names, keys = recount.counters, (recount.span, *recount.keys)
    missing = _list(f"CAST(SUM(c_{name}) - SUM(s_{name}) AS bigint)" for name in names)
    text, values = _both(recount, span)
    order = _list(
        name if name in recount.numbers else f"CAST({name} AS text){_C_ORDER[connection.vendor]}"
        for name in recount.keys
    )
    changes = _list(f"{name} = {recount.table}.{name} + excluded.{name}" for name in names)
    statement = (
        f"INSERT INTO {recount.table} ({_list((*keys, 'folded', *names))}) {text} "
        f"SELECT {_marked(recount)}, {_list(recount.keys)}, TRUE, {missing} {_grouped(recount)} "
        f"ORDER BY {order} ON CONFLICT ({_list((*keys, 'folded'))}) DO UPDATE SET {changes}"
    )
    return statement, [*values, _of_span(recount, span), *_guards(recount, span)]


def _both(recount: Recount, span: RecountSpan) -> tuple[str, list[Any]]:
    """`sides`: the recount's rows and the stored ones, each with nothing on the other side."""
    names, keys = recount.counters, _list(recount.keys)
    text = (
        f"WITH facts AS ({_facts()}), counted AS ({recount.counted}), sides AS ("
        f"SELECT {keys}, {_list(f'{name} AS c_{name}' for name in names)}, "
        f"{_list(f'0 AS s_{name}' for name in names)} FROM counted UNION ALL "
        f"SELECT {keys}, {_list('0' for _ in names)}, {_list(names)} "
        f"FROM {recount.table} WHERE {recount.span} = %s {recount.stored})"
    )
    times = [_at(span.since), _at(span.until)]
    return text, [*times * (2 + recount.limits), _of_span(recount, span)]


def _grouped(recount: Recount) -> str:
    """Only what differs; nothing of a span whose decisions are being pruned."""
    unless = f"AND NOT EXISTS ({recount.unless})" if recount.unless else ""
    differs = " OR ".join(f"SUM(c_{name}) <> SUM(s_{name})" for name in recount.counters)
    return (
        f"FROM sides WHERE NOT EXISTS (SELECT 1 FROM {_table(PruneMark)} "
        f"WHERE pruned_before > %s) {unless} "
        f"GROUP BY {_list(recount.keys)} HAVING {differs}"
    )


def _guards(recount: Recount, span: RecountSpan) -> list[Any]:
    limits = [_at(span.since), _at(span.until)] if recount.unless else []
    return [_at(span.since), *limits]


def _marked(recount: Recount) -> str:
    kind = "date" if recount.span == "day" else "timestamptz"
    return f"CAST(%s AS {kind})" if connection.vendor == "postgresql" else "%s"


def _facts() -> str:
    """One row per decision: its counted values, its outcome and its combined quality."""
    reported = ("success", "input_tokens", "output_tokens", "latency_ms")
    kinds = ("baseline", "strong", "weak")
    costs = (
        f"CASE WHEN o.cost IS NULL THEN d.cost_{kind} ELSE o.cost_{kind} END AS {kind}_cost"
        for kind in kinds
    )
    return (
        "SELECT d.id, d.domain, d.experiment, d.arm, d.phase, d.rollout, d.rollout_arm, d.tier, "
        "d.model, d.method, d.unit_hash, d.explored, d.audited, d.confidence, d.latency_us, "
        "d.detail, d.cost AS expected_cost, COALESCE(o.cost, d.cost) AS cost, "
        f"{_list(costs)}, {_list(f'o.{name}' for name in reported)}, o.decision_id AS outcome_of, "
        "o.model AS answered_by, o.cost AS actual_cost, q.rating AS quality, "
        "CASE WHEN d.fallback <> '' OR o.model <> '' THEN 1 ELSE 0 END AS fell_back "
        f"FROM {_table(Decision)} d LEFT JOIN {_table(Outcome)} o ON o.decision_id = d.id "
        f"LEFT JOIN ({_ratings('=')}) q ON q.decision_id = d.id "
        "WHERE d.created_at >= %s AND d.created_at < %s"
    )


def _ratings(comparison: str) -> str:
    """Each decision's combined rating by metric, in millionths: people beat judges."""
    people = f"FILTER (WHERE f.source <> '{JUDGE}')"
    mean = "SUM(f.value) {0} / COUNT(*) {0} * " + f"{FIXED_POINT}.0"
    combined = (
        f"CASE WHEN COUNT(*) {people} > 0 THEN {_rounded(mean.format(people))} "
        f"ELSE {_rounded(mean.format(''))} END"
    )
    return (
        f"SELECT f.decision_id, f.metric, {combined} AS rating "
        f"FROM {_table(Feedback)} f JOIN {_table(Decision)} r ON r.id = f.decision_id "
        "WHERE r.created_at >= %s AND r.created_at < %s "
        f"AND f.metric {comparison} '{QUALITY}' GROUP BY f.decision_id, f.metric"
    )


def _one_if(condition: str) -> str:
    return f"CASE WHEN {condition} THEN 1 ELSE 0 END"


def _if(condition: str, value: str) -> str:
    return f"CASE WHEN {condition} THEN {value} ELSE 0 END"


_PRICED = "cost IS NOT NULL AND baseline_cost IS NOT NULL"
_PAIRED = f"{_PRICED} AND strong_cost IS NOT NULL AND weak_cost IS NOT NULL"
_RECONCILED = (
    "answered_by = '' AND output_tokens IS NOT NULL AND expected_cost IS NOT NULL "
    "AND actual_cost IS NOT NULL"
)


def _selected(keys: Mapping[str, str], counters: Mapping[str, str], where: str = "") -> str:
    columns = _list(f"{value} AS {name}" for name, value in {**keys, **counters}.items())
    return f"SELECT {columns} FROM facts {where}"


def rollups() -> Recount:
    keys = ("domain", "experiment", "arm", "tier", "model", "method")
    counters = {
        "decisions": "1",
        "priced": _one_if(_PRICED),
        "cost": _if(_PRICED, "cost"),
        "cost_squares": _if(_PRICED, f"(cost / {MICRO}) * (cost / {MICRO})"),
        "baseline": _if(_PRICED, "baseline_cost"),
        "paired": _one_if(_PAIRED),
        "paired_cost": _if(_PAIRED, "cost"),
        "strong_cost": _if(_PAIRED, "strong_cost"),
        "weak_cost": _if(_PAIRED, "weak_cost"),
        "fallbacks": "fell_back",
        "explored": _one_if("explored"),
        "routing_us": "COALESCE(latency_us, 0)",
        "timed": _one_if("latency_us IS NOT NULL"),
        "outcomes": _one_if("outcome_of IS NOT NULL"),
        "errors": _one_if("success IS FALSE"),
        "actual": _if(_RECONCILED, "actual_cost"),
        "estimated": _if(_RECONCILED, "expected_cost"),
        "reconciled": _one_if(_RECONCILED),
        "input_tokens": "COALESCE(input_tokens, 0)",
        "output_tokens": "COALESCE(output_tokens, 0)",
        "response_us": _if("latency_ms IS NOT NULL", _rounded("latency_ms * 1000.0")),
        "responses": _one_if("latency_ms IS NOT NULL"),
        "quality": "COALESCE(quality, 0)",
        "quality_squares": "COALESCE(quality * quality, 0)",
        "rated": _one_if("quality IS NOT NULL"),
    }
    return Recount(Rollup, "hour", keys, _selected({key: key for key in keys}, counters))


def bins() -> Recount:
    scores = _json_object("scores")
    kinds = [
        ("'confidence'", _bin("confidence", CONFIDENCE_BINS), "FROM facts"),
        ("'latency'", _latency_bin(), "FROM facts WHERE latency_us IS NOT NULL"),
        (
            "'score:' || s.key",
            _bin(scores.value, SCORE_BINS),
            f"FROM facts, {scores.source} s WHERE {scores.value} IS NOT NULL",
        ),
        ("'runner_up'", "runner_up", f"FROM ({_runners_up()}) u WHERE runner_up IS NOT NULL"),
    ]
    counted = " UNION ALL ".join(
        f"SELECT domain, {kind} AS kind, {one} AS bin, 1 AS count {source}"
        for kind, one, source in kinds
    )
    return Recount(RollupBin, "hour", ("domain", "kind", "bin"), counted)


def units() -> Recount:
    counters = {
        "decisions": "1",
        "priced": _one_if(_PRICED),
        "cost": _if(_PRICED, "cost"),
        "baseline": _if(_PRICED, "baseline_cost"),
        "strong": _one_if("tier = 'strong'"),
        "fallbacks": "fell_back",
        "outcomes": _one_if("outcome_of IS NOT NULL"),
        "errors": _one_if("success IS FALSE"),
        "latency": _if("latency_ms IS NOT NULL", _rounded("latency_ms * 1000.0")),
        "latency_count": _one_if("latency_ms IS NOT NULL"),
        "slow": _one_if(f"latency_ms > {_fraction('slow_ms')}"),
        "quality": "COALESCE(quality, 0)",
        "rated": _one_if("quality IS NOT NULL"),
        "audited": _one_if("audited"),
        "audited_quality": _if("audited", "COALESCE(quality, 0)"),
        "audited_rated": _one_if("audited AND quality IS NOT NULL"),
    }
    keys = _unit_keys()
    return Recount(UnitSum, "day", tuple(keys), _selected(keys, counters, f"WHERE {_is_counted()}"))


def metrics() -> Recount:
    keys = {**_unit_keys(), "metric": "m.metric"}
    columns = _list(f"{value} AS {name}" for name, value in keys.items())
    counted = (
        f"SELECT {columns}, m.rating AS total, 1 AS rated FROM facts "
        f"JOIN ({_ratings('<>')}) m ON m.decision_id = facts.id WHERE {_is_counted()}"
    )
    return Recount(MetricSum, "day", tuple(keys), counted, limits=1)


def key_days() -> Recount:
    """What keys used in a day: a call in flight what was reserved for it, one that has ended what
    its attempts used; where one of those has no price, the reservation stays.

    Days with calls from before reservations were kept with decisions cannot be compared.
    """
    kept = {name: _number("charge", name) for name in ("key", "tokens", "cost")}
    reserved = f"COALESCE({kept['cost']}, 0)"
    counted = (
        f"SELECT {kept['key']} AS key_id, '{KeyUsage.DAY}' AS span, 1 AS requests, "
        f"CASE WHEN w.decision_id IS NULL THEN COALESCE(a.tokens, 0) ELSE {kept['tokens']} END "
        f"AS tokens, CASE WHEN w.decision_id IS NOT NULL THEN {reserved} "
        f"WHEN a.calls > a.priced THEN {reserved} ELSE COALESCE(a.cost, 0) END AS cost "
        f"FROM facts LEFT JOIN {_table(InFlightCall)} w ON w.decision_id = facts.id "
        "LEFT JOIN (SELECT t.decision_id, COUNT(*) AS calls, COUNT(t.cost) AS priced, "
        "SUM(t.cost) AS cost, SUM(COALESCE(t.input_tokens, 0) + COALESCE(t.output_tokens, 0)) "
        f"AS tokens FROM {_table(Attempt)} t JOIN {_table(Decision)} r ON r.id = t.decision_id "
        "WHERE r.created_at >= %s AND r.created_at < %s GROUP BY t.decision_id) a "
        f"ON a.decision_id = facts.id WHERE {kept['key']} IS NOT NULL"
    )
    return Recount(
        KeyUsage,
        "starts_at",
        ("key_id", "span"),
        counted,
        limits=1,
        stored=f"AND span = '{KeyUsage.DAY}' AND key_id <> {OWN_KEY}",
        unless=_unrecorded(),
        numbers=frozenset({"key_id"}),
    )


def own_days() -> Recount:
    """What shadow pairs were charged in a day. A pair is charged each time it starts: what it was
    expected to cost while it runs, or if a call has no price or was never recorded; else what its
    calls cost.

    Days with calls from before they named their charge cannot be compared, nor the first day that
    is kept: pairs of the day before may have been charged to it.
    """
    pairs, calls = _table(ShadowPair), _table(OwnCall)
    unknown = _one_if("t.cost IS NULL OR t.status = 'interrupted'")
    counted = (
        f"SELECT {OWN_KEY} AS key_id, '{KeyUsage.DAY}' AS span, cost FROM ("
        f"SELECT CASE WHEN SUM({unknown}) > 0 THEN MAX(COALESCE(t.reserved, 0)) "
        f"ELSE SUM(t.cost) END AS cost FROM {calls} t JOIN {pairs} p ON p.decision_id = t.pair_id "
        "WHERE t.charged_at >= %s AND t.charged_at < %s "
        "AND NOT (p.status = 'asking' AND p.charged_at = t.charged_at) "
        f"GROUP BY t.pair_id, t.charged_at) runs UNION ALL SELECT {OWN_KEY}, '{KeyUsage.DAY}', "
        f"COALESCE(charged, 0) FROM {pairs} WHERE status = 'asking' "
        "AND charged_at >= %s AND charged_at < %s"
    )
    unless = (
        "SELECT 1 FROM (SELECT %s AS since, %s AS until) d "
        f"WHERE EXISTS (SELECT 1 FROM {calls} WHERE charged_at IS NULL "
        "AND started_at >= d.since AND started_at < d.until) "
        f"OR EXISTS (SELECT 1 FROM {_table(PruneMark)} WHERE pruned_before >= d.since)"
    )
    return Recount(
        KeyUsage,
        "starts_at",
        ("key_id", "span"),
        counted,
        limits=2,
        stored=f"AND span = '{KeyUsage.DAY}' AND key_id = {OWN_KEY}",
        unless=unless,
        numbers=frozenset({"key_id"}),
        only=("cost",),
    )


def has_unrecorded_charges(day: RecountSpan) -> bool:
    """Whether calls of this day were made before reservations were kept with decisions."""
    with connection.cursor() as cursor:
        cursor.execute(f"{_unrecorded()} LIMIT 1", [_at(day.since), _at(day.until)])
        return cursor.fetchone() is not None


def _unrecorded() -> str:
    return (
        f"SELECT 1 FROM {_table(Decision)} d JOIN {_table(Attempt)} t ON t.decision_id = d.id "
        f"WHERE d.created_at >= %s AND d.created_at < %s AND {_number('charge', 'key')} IS NULL"
    )


def _unit_keys() -> dict[str, str]:
    """As `sums.key_of`: the experiment's arm, the rollout's side, or the unit's history."""

    def where(of_experiment: str, of_rollout: str, else_: str) -> str:
        return (
            f"CASE WHEN experiment <> '' THEN {of_experiment} "
            f"WHEN rollout <> '' THEN {of_rollout} ELSE {else_} END"
        )

    own_id = "REPLACE(CAST(id AS text), '-', '')"
    return {
        "experiment": where("experiment", "rollout", "''"),
        "phase": where("COALESCE(phase, 0)", "COALESCE(NULLIF(phase, 0), 1)", "0"),
        "arm": where("arm", "rollout_arm", "''"),
        "unit_hash": f"CASE WHEN {_json_is_true('by_request')} THEN {own_id} ELSE unit_hash END",
        "domain": "domain",
    }


# Where the two databases differ

_C_ORDER = {"postgresql": ' COLLATE "C"', "sqlite": ""}


class _Object(NamedTuple):
    """The entries of an object in `detail`, one per row, with their value as a number."""

    source: str
    value: str


def _is_postgresql() -> bool:
    return connection.vendor == "postgresql"


def _rounded(value: str) -> str:
    """To the even one of two neighbors, as Python's `round`."""
    return f"CAST(ROUND({value}) AS bigint)" if _is_postgresql() else f"half_even({value})"


def _number(name: str, part: str) -> str:
    """A whole number in an object in `detail`."""
    if _is_postgresql():
        return f"CAST(detail -> '{name}' ->> '{part}' AS bigint)"
    return f"json_extract(detail, '$.{name}.{part}')"


def _fraction(name: str) -> str:
    """A number in `detail`."""
    if _is_postgresql():
        return f"CAST(detail ->> '{name}' AS double precision)"
    return f"exact_number(detail -> '$.{name}')"


def _json_object(name: str) -> _Object:
    """SQLite reads numbers in JSON less exactly than Python, so it gets their text."""
    if _is_postgresql():
        value = "CAST(s.value ->> 'value' AS double precision)"
        return _Object(f"jsonb_each(detail -> '{name}')", value)
    return _Object(f"json_each(detail, '$.{name}')", "exact_number(s.value -> '$.value')")


def _json_is_true(name: str) -> str:
    """Whether this value in `detail` is anything that Python takes for true."""
    if _is_postgresql():
        return f"COALESCE(detail ->> '{name}', '') NOT IN ('', 'false', '0', '[]', '{{}}')"
    return f"COALESCE(json_extract(detail, '$.{name}'), '') NOT IN ('', 0, '[]', '{{}}')"


def _is_counted() -> str:
    inputs = {
        name: f"detail -> 'inputs' ->> '{name}'"
        if _is_postgresql()
        else f"json_extract(detail, '$.inputs.{name}')"
        for name in ("force_arm", "asked")
    }
    return (
        f"NOT ({_json_is_true('listed')}) AND ({inputs['force_arm']}) IS NULL "
        f"AND ({inputs['asked']}) IS NULL"
    )


def _bin(share: str, number: int) -> str:
    if _is_postgresql():
        last = f"LEAST(CAST(TRUNC({share} * {number}) AS integer), {number - 1})"
        return f"LPAD(CAST({last} AS text), 2, '0')"
    return f"printf('%%02d', MIN(CAST({share} * {number} AS integer), {number - 1}))"


def _latency_bin() -> str:
    steps = " ".join(
        f"WHEN latency_us <= {end} THEN '{index:02d}'" for index, end in enumerate(LATENCY_ENDS)
    )
    return f"CASE {steps} ELSE '{len(LATENCY_ENDS):02d}' END"


def _runners_up() -> str:
    """The first candidate that is another domain."""
    if _is_postgresql():
        candidate = (
            "SELECT c.value ->> 0 FROM jsonb_array_elements(detail -> 'candidates') "
            "WITH ORDINALITY c(value, place) WHERE c.value ->> 0 <> domain "
            "ORDER BY c.place LIMIT 1"
        )
    else:
        candidate = (
            "SELECT json_extract(c.value, '$[0]') FROM json_each(detail, '$.candidates') c "
            "WHERE json_extract(c.value, '$[0]') <> domain ORDER BY c.key LIMIT 1"
        )
    return f"SELECT domain, ({candidate}) AS runner_up FROM facts"


def _cursor() -> Any:
    """A cursor of a connection that knows the functions above."""
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        connection.connection.create_function("half_even", 1, _half_even, deterministic=True)
        connection.connection.create_function("exact_number", 1, _exact_number, deterministic=True)
    return connection.cursor()


def _half_even(value: float | None) -> int | None:
    return None if value is None else round(value)


def _exact_number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _at(moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)


def _of_span(recount: Recount, span: RecountSpan) -> Any:
    value = recount.value(span)
    return (
        _at(value) if isinstance(value, datetime) else connection.ops.adapt_datefield_value(value)
    )


def _table(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _list(parts: Any) -> str:
    return ", ".join(parts)
