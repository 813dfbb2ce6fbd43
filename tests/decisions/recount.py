"""Recounts every running sum from the raw rows, in the plainest way."""

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from experiments.decisions.outcomes import (
    OutcomeReport,
    Rating,
    record_feedback,
    record_outcome,
)
from experiments.models import (
    Decision,
    Feedback,
    Metric,
    MetricSum,
    Outcome,
    Rollup,
    RollupBin,
    UnitSum,
)
from experiments.models.sums import counters_of, key_columns
from experiments.routing.route import RouteRequest, route_batch
from tests.experiment_rows import draft, rollout, set_flag

Counted = dict[tuple[Any, ...], dict[str, int]]

DOMAINS = ("technical", "creative", "medical", "general")
PROMPTS = ("Prove it.", "Write a poem about the sea.", "What is flu?", "Sort a list in Python.")
METRICS = ("quality", "helpful", "stars")
SLOW_MS = 1234.5
SOURCES = ("human", "judge", "user")
ARRIVAL = datetime(2026, 11, 22, 12, tzinfo=UTC)


def prepare() -> None:
    """An experiment by user, one by request, a guarded rollout, and metrics of one's own."""
    from experiments.experimentation import lifecycle
    from experiments.rollouts import lifecycle as rollouts

    Metric.objects.create(name="helpful", kind="boolean")
    Metric.objects.create(name="stars", minimum=-2, maximum=5)
    lifecycle.start(draft(audit_share=0.3, coverage=0.8), "tests", ARRIVAL)
    by_request = draft("each", domain="creative", unit_kind="request")
    lifecycle.start(by_request, "tests", ARRIVAL)
    set_flag("routellm_medical_domain", 20)
    guards = [{"metric": "p95_latency", "margin": 0.05, "limit": SLOW_MS}]
    guarded = rollout(steps=[(30, 24), (60, 24)], guards=guards)
    rollouts.start(guarded, "tests", ARRIVAL)
    rollouts.advance_anyway(guarded, "tests", ARRIVAL, "So that it is in its second phase")


def decide(chance: random.Random, count: int) -> list[UUID]:
    """Stored decisions of some users, in some domains, a few without a unit."""
    requests = [
        RouteRequest(
            chance.choice(PROMPTS),
            unit_id=None if chance.random() < 0.1 else f"user-{chance.randrange(60)}",
            domain=chance.choice(DOMAINS),
            force_arm="weak" if chance.random() < 0.02 else None,
        )
        for _ in range(count)
    ]
    return [UUID(str(row.id)) for row in route_batch(requests) if isinstance(row, Decision)]


def report(chance: random.Random, decisions: list[UUID], count: int) -> None:
    """Outcomes and ratings in any order, late, repeated, some of them overtaken."""
    for _ in range(count):
        decision = chance.choice(decisions)
        at = ARRIVAL - timedelta(seconds=chance.randrange(5))
        if chance.random() < 0.5:
            record_outcome(decision, _outcome(chance, at), ARRIVAL)
        else:
            record_feedback([_rating(chance, decision, at)], ARRIVAL)


def _outcome(chance: random.Random, at: datetime) -> OutcomeReport:
    return OutcomeReport(
        at,
        input_tokens=chance.choice([None, chance.randrange(2000)]),
        output_tokens=chance.choice([None, chance.randrange(2000)]),
        latency_ms=chance.choice([None, chance.uniform(0, 3000)]),
        success=chance.choice([None, True, False]),
    )


def _rating(chance: random.Random, decision: UUID, at: datetime) -> Rating:
    value = chance.choice([0.0, 1.0, 0.3, 1 / 3])
    return Rating(decision, chance.choice(METRICS), value, chance.choice(SOURCES), at)


def stored(model: type[UnitSum | MetricSum | Rollup | RollupBin]) -> Counted:
    """The sums of a table by key, with changes that are not folded; zeros are left out. One query,
    so it sees one state of the database."""
    keys, counters = key_columns(model), counters_of(model)
    found = _empty()
    for row in model._default_manager.values(*keys, *counters):
        for name in counters:
            found[tuple(row[key] for key in keys)][name] += row[name]
    return _without_zeros(found)


def units() -> Counted:
    found = _empty()
    for decision in _counted():
        counts = found[_unit_key(decision)]
        outcome = _outcome_of(decision)
        costs = _costs(decision, outcome)
        counts["decisions"] += 1
        counts["strong"] += decision.tier == "strong"
        counts["fallbacks"] += decision.fallback != "" or bool(outcome and outcome.model)
        counts["audited"] += decision.audited
        if costs.cost is not None and costs.cost_baseline is not None:
            counts["priced"] += 1
            counts["cost"] += costs.cost
            counts["baseline"] += costs.cost_baseline
        if outcome is not None:
            counts["outcomes"] += 1
            counts["errors"] += outcome.success is False
            if outcome.latency_ms is not None:
                counts["latency"] += round(outcome.latency_ms * 1000)
                counts["latency_count"] += 1
                counts["slow"] += decision.rollout != "" and outcome.latency_ms > SLOW_MS
        quality = _rated(decision, "quality")
        if quality is not None:
            counts["quality"] += quality
            counts["rated"] += 1
            counts["audited_quality"] += quality * decision.audited
            counts["audited_rated"] += decision.audited
    return _without_zeros(found)


def metrics() -> Counted:
    found = _empty()
    for decision in _counted():
        for metric in ("helpful", "stars"):
            value = _rated(decision, metric)
            if value is not None:
                found[(*_unit_key(decision), metric)]["total"] += value
                found[(*_unit_key(decision), metric)]["rated"] += 1
    return _without_zeros(found)


def hours() -> Counted:
    found = _empty()
    for decision in Decision.objects.all():
        hour = decision.created_at.replace(minute=0, second=0, microsecond=0)
        where = (hour, decision.domain, decision.experiment, decision.arm)
        counts = found[(*where, decision.tier, decision.model, decision.method)]
        outcome = _outcome_of(decision)
        costs = _costs(decision, outcome)
        counts["decisions"] += 1
        counts["fallbacks"] += decision.fallback != "" or bool(outcome and outcome.model)
        counts["explored"] += decision.explored
        if decision.latency_us is not None:
            counts["routing_us"] += decision.latency_us
            counts["timed"] += 1
        if costs.cost is not None and costs.cost_baseline is not None:
            counts["priced"] += 1
            counts["cost"] += costs.cost
            counts["cost_squares"] += (costs.cost // 1000) ** 2
            counts["baseline"] += costs.cost_baseline
            if costs.cost_strong is not None and costs.cost_weak is not None:
                counts["paired"] += 1
                counts["paired_cost"] += costs.cost
                counts["strong_cost"] += costs.cost_strong
                counts["weak_cost"] += costs.cost_weak
        if outcome is not None:
            _add_outcome(counts, decision, outcome)
        quality = _rated(decision, "quality")
        if quality is not None:
            counts["quality"] += quality
            counts["quality_squares"] += quality * quality
            counts["rated"] += 1
    return _without_zeros(found)


def _add_outcome(counts: dict[str, int], decision: Decision, outcome: Outcome) -> None:
    counts["outcomes"] += 1
    counts["errors"] += outcome.success is False
    counts["input_tokens"] += outcome.input_tokens or 0
    counts["output_tokens"] += outcome.output_tokens or 0
    if outcome.latency_ms is not None:
        counts["response_us"] += round(outcome.latency_ms * 1000)
        counts["responses"] += 1
    own_answer = not outcome.model and outcome.output_tokens is not None
    if outcome.cost is not None and decision.cost is not None and own_answer:
        counts["actual"] += outcome.cost
        counts["estimated"] += decision.cost
        counts["reconciled"] += 1


def bins() -> Counted:
    """How many decisions each kind of histogram counts: one bin each, where there is a value."""
    found = _empty()
    for decision in Decision.objects.all():
        hour = decision.created_at.replace(minute=0, second=0, microsecond=0)
        kinds = ["confidence"] + ["latency"] * (decision.latency_us is not None)
        kinds += [f"score:{n}" for n, a in decision.detail["scores"].items() if "value" in a]
        if any(name != decision.domain for name, _ in decision.detail["candidates"]):
            kinds.append("runner_up")
        for kind in kinds:
            found[(hour, decision.domain, kind)]["count"] += 1
    return _without_zeros(found)


def stored_bins() -> Counted:
    found = _empty()
    for (hour, domain, kind, _), counts in stored(RollupBin).items():
        found[(hour, domain, kind)]["count"] += counts["count"]
    return dict(found)


def _counted() -> Iterator[Decision]:
    for decision in Decision.objects.all():
        forced = decision.detail["inputs"]["force_arm"] is not None
        if not decision.detail["listed"] and not forced:
            yield decision


def _unit_key(decision: Decision) -> tuple[Any, ...]:
    unit = decision.unit_hash
    where = ("", 0, "")
    if decision.experiment:
        where = (decision.experiment, decision.phase or 0, decision.arm)
        unit = decision.id.hex if decision.experiment == "each" else unit
    elif decision.rollout:
        where = (decision.rollout, decision.phase or 1, decision.rollout_arm)
    return (*where, unit, decision.domain, decision.created_at.date())


def _outcome_of(decision: Decision) -> Outcome | None:
    return Outcome.objects.filter(decision=decision).first()


def _costs(decision: Decision, outcome: Outcome | None) -> Decision | Outcome:
    return outcome if outcome is not None and outcome.cost is not None else decision


def _rated(decision: Decision, metric: str) -> int | None:
    """In millionths: the mean of people's ratings, of the judge's if no one else rated."""
    values: defaultdict[bool, list[float]] = defaultdict(list)
    for rating in Feedback.objects.filter(decision=decision, metric=metric):
        values[rating.source == "judge"].append(rating.value)
    chosen = values[False] or values[True]
    return round(sum(chosen) / len(chosen) * 1_000_000) if chosen else None


def _empty() -> Any:
    return defaultdict(lambda: defaultdict(int))


def _without_zeros(found: Counted) -> Counted:
    rows = {key: {k: n for k, n in counts.items() if n} for key, counts in found.items()}
    return {key: counts for key, counts in rows.items() if counts}
