"""Outcomes and ratings of decisions.

Events arrive late, twice and out of order. Of two reports about the same thing the one with the
greater `(occurred_at, value)` stays, so every order of arrival leaves the same row. The decision's
row is locked while this is decided, so the change of each sum is known exactly.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from experiments.configuration.policy_store import store
from experiments.core.money import PARTS, Price
from experiments.core.usage import Usage
from experiments.decisions import unit_totals
from experiments.decisions.lookup import DecisionNotFoundError, DecisionPrunedError, absence
from experiments.decisions.running_totals import Known, RunningTotals
from experiments.models import Decision, Feedback, Metric, Outcome
from experiments.models.experiments import BUILT_IN_METRICS
from experiments.storage.bulk_sql import insertion, present, run
from experiments.storage.transactions import run_transaction

QUALITY = unit_totals.QUALITY
UNDEFINED_METRIC_LIMIT = 1e9


class FeedbackOffError(Exception):
    def __init__(self) -> None:
        super().__init__(
            "Feedback is switched off: the flag routellm_quality_feedback is at 0 %. "
            "Set it to 100 % in the admin to accept feedback."
        )


class OutOfRangeError(ValueError):
    """The value is outside the metric's range."""

    def __init__(self, metric: str, low: float, high: float) -> None:
        super().__init__(f"Metric '{metric}' takes values from {low:g} to {high:g}.")


class BuiltInMetricError(ValueError):
    """The metric is computed from decisions and outcomes; feedback cannot set it."""

    def __init__(self, metric: str) -> None:
        super().__init__(
            f"Metric '{metric}' is built in: it is computed from decisions and outcomes. "
            "Send feedback under another name, or report an outcome."
        )


class OutcomeReport(NamedTuple):
    """The caller's report. None means not reported; it loses against any value of the same time."""

    occurred_at: datetime
    input_tokens: int | None = None
    output_tokens: int | None = None
    latency_ms: float | None = None
    success: bool | None = None
    error: str = ""


class FinalCall(NamedTuple):
    """The model that finally answered, and the cost of all its calls; None is unknown.

    `usage` holds the tokens that have prices of their own.
    """

    model: str
    cost: int | None
    usage: Usage | None = None


class Rating(NamedTuple):
    """One value of one metric by one source."""

    decision_id: UUID
    metric: str
    value: float
    source: str
    occurred_at: datetime
    comment: str = ""


class ActualCosts(NamedTuple):
    """Nano-dollars at the decision's own prices; None is unknown."""

    cost: int | None
    cost_strong: int | None
    cost_weak: int | None
    cost_baseline: int | None


Refusal = DecisionNotFoundError | DecisionPrunedError | OutOfRangeError | BuiltInMetricError
COMPUTED_METRICS = frozenset(BUILT_IN_METRICS) - {QUALITY}


def record_outcome(decision_id: UUID, report: OutcomeReport, received_at: datetime) -> None:
    """Raises DecisionNotFoundError, DecisionPrunedError."""
    if decision_id not in record_outcomes({decision_id: report}, received_at):
        raise absence(decision_id)


def record_outcomes(
    reports: Mapping[UUID, OutcomeReport],
    received_at: datetime,
    answers: Mapping[UUID, FinalCall] = MappingProxyType({}),
) -> frozenset[UUID]:
    """Stores each report that wins, in one transaction; returns the ids of existing decisions."""

    def write() -> frozenset[UUID]:
        decisions = lock_decisions(reports)
        enter_outcomes(decisions, reports, received_at, answers)
        return frozenset(decisions)

    return run_transaction(write)


def lock_decisions(
    ids: Iterable[UUID], at_hand: Mapping[UUID, Decision] = MappingProxyType({})
) -> dict[UUID, Decision]:
    """The decisions that exist, locked until the transaction ends, always in the same order.

    If all are `at_hand`, none is read again: the counted values of a decision never change.
    """
    ids = sorted(ids)
    return _kept(ids, at_hand) if at_hand.keys() >= set(ids) else _locked(ids)


def enter_outcomes(
    decisions: Mapping[UUID, Decision],
    reports: Mapping[UUID, OutcomeReport],
    received_at: datetime,
    answers: Mapping[UUID, FinalCall] = MappingProxyType({}),
) -> None:
    """Stores the winning reports about these decisions, whose rows are already locked."""
    known = Outcome.objects.in_bulk(present(Outcome, "decision_id", decisions))
    rated = present(Feedback, "decision_id", decisions)
    ratings = list(_ratings(rated, {QUALITY})) if rated else []
    totals, new = RunningTotals(), []
    for decision_id, decision in decisions.items():
        report, before = reports[decision_id], known.get(decision_id)
        if before is not None and _rank(_report_of(before)) >= _rank(report):
            continue
        after = _outcome(decision, report, received_at, answers.get(decision_id))
        if before is None:
            new.append(after)
        else:
            after.save(force_update=True)
        quality = _combined(ratings, decision_id, QUALITY) if ratings else None
        totals.update_outcome(decision, Known(before, quality), Known(after, quality))
    run([*([insertion(new)] if new else ()), *totals.insertions()])


def _outcome(
    decision: Decision, report: OutcomeReport, received_at: datetime, answer: FinalCall | None
) -> Outcome:
    usage = answer.usage if answer else None
    costs = actual_costs(decision, report.input_tokens, report.output_tokens, usage)
    if answer is not None:
        costs = _really(costs, answer, report)
    return Outcome(
        decision_id=decision.pk,
        received_at=received_at,
        model=answer.model if answer and answer.model != decision.model else "",
        **report._asdict(),
        **costs._asdict(),
    )


def _really(costs: ActualCosts, answer: FinalCall, report: OutcomeReport) -> ActualCosts:
    """A failed call saved nothing: its cost is its own baseline."""
    if report.success is False and costs.cost_baseline is not None:
        return ActualCosts(answer.cost, None, None, answer.cost)
    return costs._replace(cost=answer.cost)


def actual_costs(
    decision: Decision,
    input_tokens: int | None,
    output_tokens: int | None,
    usage: Usage | None = None,
) -> ActualCosts:
    """The decision's costs with the actual tokens; an unknown count stays as expected.

    Cache, reasoning and audio tokens in `usage` count for the other models too, so their special
    prices do not count as savings of routing. Without any count all costs are unknown.
    """
    if input_tokens is None and output_tokens is None:
        return ActualCosts(None, None, None, None)
    prices, expected = decision.detail["prices"], decision.detail["output_tokens"]
    read = decision.input_tokens if input_tokens is None else input_tokens
    models = (
        decision.model,
        decision.strong_model,
        decision.weak_model,
        decision.baseline_model,
    )
    costs: dict[str, int | None] = {}
    for model in dict.fromkeys(models):  # usually two
        if model not in prices:
            costs[model] = None
            continue
        written = expected[model] if output_tokens is None else output_tokens
        used = (usage or Usage(0, 0))._replace(input_tokens=read, output_tokens=written)
        costs[model] = _price(tuple(prices[model].items())).cost_of(used)
    return ActualCosts(*map(costs.__getitem__, models))


def record_feedback(ratings: Sequence[Rating], received_at: datetime) -> list[Refusal | None]:
    """Stores each rating that wins; returns for each, in order, None or the reason for refusal.

    Raises FeedbackOffError while the flag is off; then nothing is stored.
    """
    if not store.current().switches.quality_feedback:
        raise FeedbackOffError

    def write() -> list[Refusal | None]:
        decisions = _locked({rating.decision_id for rating in ratings})
        ranges = {metric: _range(metric) for metric in {rating.metric for rating in ratings}}
        refusals = [_refusal(rating, decisions, ranges[rating.metric]) for rating in ratings]
        accepted = [
            rating for rating, refusal in zip(ratings, refusals, strict=True) if refusal is None
        ]
        _keep(decisions, accepted, received_at)
        return refusals

    return run_transaction(write)


def _refusal(
    rating: Rating, decisions: Mapping[UUID, Decision], allowed: tuple[float, float]
) -> Refusal | None:
    if rating.metric in COMPUTED_METRICS:
        return BuiltInMetricError(rating.metric)
    if rating.decision_id not in decisions:
        return absence(rating.decision_id)
    low, high = allowed
    return None if low <= rating.value <= high else OutOfRangeError(rating.metric, low, high)


def _range(metric: str) -> tuple[float, float]:
    defined = Metric.objects.filter(name=metric).first()
    if defined is not None:
        return defined.minimum, defined.maximum
    if metric == QUALITY:
        return 0.0, 1.0
    return -UNDEFINED_METRIC_LIMIT, UNDEFINED_METRIC_LIMIT


def _keep(
    decisions: Mapping[UUID, Decision], accepted: Sequence[Rating], received_at: datetime
) -> None:
    metrics = {rating.metric for rating in accepted}
    kept = {_key(row): row for row in _ratings(decisions, metrics)}
    before = dict(kept)
    for rating in accepted:
        row = _row(rating, received_at)
        if _key(row) not in kept or _worth(row) > _worth(kept[_key(row)]):
            kept[_key(row)] = row
    changed = [kept[key] for key in sorted(kept) if before.get(key) is not kept[key]]
    Feedback.objects.bulk_create(
        changed,
        update_conflicts=True,
        unique_fields=["decision", "metric", "source"],
        update_fields=["value", "comment", "occurred_at", "received_at"],
    )
    totals = RunningTotals()
    for decision_id, metric in sorted({(row.decision_id, row.metric) for row in changed}):
        _enter(
            totals,
            decisions[decision_id],
            metric,
            _combined(before.values(), decision_id, metric),
            _combined(kept.values(), decision_id, metric),
        )
    totals.flush()


def _enter(
    totals: RunningTotals, decision: Decision, metric: str, before: int | None, after: int | None
) -> None:
    if metric == QUALITY:
        outcome = Outcome.objects.filter(pk=decision.pk).first()
        totals.update_outcome(decision, Known(outcome, before), Known(outcome, after))
    else:
        totals.update_rating(decision, metric, before, after)


def _combined(rows: Iterable[Feedback], decision_id: UUID, metric: str) -> int | None:
    return unit_totals.combined_rating(
        row for row in rows if row.decision_id == decision_id and row.metric == metric
    )


def _locked(ids: Iterable[UUID]) -> dict[UUID, Decision]:
    rows = Decision.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk")
    return {row.pk: row for row in rows}


def _kept(ids: Iterable[UUID], at_hand: Mapping[UUID, Decision]) -> dict[UUID, Decision]:
    found = present(Decision, "id", ids, locks=True)
    return {decision_id: at_hand[decision_id] for decision_id in found}


def _ratings(ids: Iterable[UUID], metrics: Iterable[str]) -> Iterable[Feedback]:
    return Feedback.objects.filter(decision_id__in=ids, metric__in=metrics)


def _row(rating: Rating, received_at: datetime) -> Feedback:
    return Feedback(**rating._asdict(), received_at=received_at)


def _key(row: Feedback) -> tuple[UUID, str, str]:
    return row.decision_id, row.metric, row.source


def _worth(row: Feedback) -> tuple[datetime, float, str]:
    return row.occurred_at, row.value, row.comment


def _report_of(row: Outcome) -> OutcomeReport:
    return OutcomeReport(**{name: getattr(row, name) for name in OutcomeReport._fields})


def _rank(report: OutcomeReport) -> tuple[Any, ...]:
    """Orders reports; unreported values come first."""
    return tuple((value is not None, value) if value is not None else (False,) for value in report)


@lru_cache(maxsize=1024)
def _price(items: tuple[tuple[str, Any], ...]) -> Price:
    """A price as a decision stores it. Decisions share few of them."""
    stored = dict(items)
    parts: dict[str, Any] = {of: stored.get(name) for name, of in PARTS.items()}
    return Price(stored["input"], stored["output"], stored["request"], **parts)
