"""Converts a decision to its row, and a stored row back to the inputs of `decide`."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson

from experiments.configuration.policy_store import load_policy
from experiments.core.assignment import HashedBuckets, RecordedBuckets, Unit
from experiments.core.decision import decide
from experiments.core.detection import Candidate
from experiments.core.money import PARTS, Price
from experiments.core.selection import ModelSelectionCriteria
from experiments.core.values import (
    DecisionInputs,
    Failure,
    Fallback,
    NumberedTable,
    PromptDecision,
    RequestedTarget,
    Score,
    TableKey,
    Tables,
)
from experiments.models import Decision as DecisionRow
from experiments.models import ThresholdTable

LONGEST_COMPACT = 500


@dataclass(frozen=True, slots=True)
class DecisionMetadata:
    """Stored with the decision: the caller, the time, the duration, and what to keep."""

    created_at: datetime
    unit_hash: str
    detector: str
    latency_us: int | None
    key_id: int | None = None
    request_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None
    features: Mapping[str, Any] | None = None


def to_row(
    decision: PromptDecision, situation: DecisionInputs, around: DecisionMetadata
) -> DecisionRow:
    """The row of a decision. Nothing is saved."""
    costs, choice, assignment = decision.costs, decision.choice, decision.assignment
    return DecisionRow(
        id=UUID(decision.id),
        created_at=around.created_at,
        revision=decision.revision,
        unit_hash=around.unit_hash,
        sticky=decision.sticky,
        domain=decision.domain.name,
        confidence=decision.confidence,
        method=str(decision.method),
        reason=choice.reason,
        tier=decision.tier,
        model=decision.model,
        intended_model=decision.intended,
        strong_model=decision.pair.strong if decision.pair else "",
        weak_model=decision.pair.weak if decision.pair else "",
        baseline_model=costs.baseline_model or "",
        router=choice.router or "",
        score=choice.score.value if choice.score else None,
        threshold=choice.threshold,
        experiment=assignment.experiment.key if assignment else "",
        arm=assignment.arm.name if assignment else "",
        phase=_phase(decision),
        rollout=decision.cohort.rollout if decision.cohort else "",
        rollout_arm=decision.cohort.arm if decision.cohort else "",
        audited=decision.audited,
        counted=bool(assignment and assignment.counted),
        explored=decision.explored,
        epsilon=decision.policy.epsilon,
        propensity=decision.propensity.intended,
        propensity_given_arm=decision.propensity.given_arm,
        fallback=decision.fallbacks[0].reason if decision.fallbacks else "",
        input_tokens=situation.input_tokens,
        priced=costs.priced,
        cost=costs.chosen,
        cost_strong=costs.strong,
        cost_weak=costs.weak,
        cost_baseline=costs.baseline,
        latency_us=around.latency_us,
        key_id=around.key_id,
        request_id=around.request_id,
        text=around.text,
        odds=compact(decision.propensity.by_model or {}),
        scores=compact(
            {name: one.value for name, one in decision.scores.items() if isinstance(one, Score)}
        ),
        detail=_detail(decision, situation, around),
    )


def _phase(decision: PromptDecision) -> int | None:
    """Of its experiment, else of the guarded rollout that counts it."""
    if decision.assignment:
        return decision.assignment.experiment.phase
    return decision.cohort.phase if decision.cohort else None


def compact(numbers: Mapping[str, float]) -> str:
    """Names and numbers as JSON, sorted by name; "" for none, or for too many to index."""
    if not numbers:
        return ""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY
    text = orjson.dumps(numbers, option=options).decode()
    return text if len(text) <= LONGEST_COMPACT else ""


def _detail(
    decision: PromptDecision, situation: DecisionInputs, around: DecisionMetadata
) -> dict[str, Any]:
    detail: dict[str, Any] = {
        "candidates": [list(candidate) for candidate in decision.candidates],
        "detector": around.detector,
        "overridden": decision.overridden,
        "flags": [flag._asdict() for flag in decision.flags],
        "listed": decision.listed,
        "scores": {name: _answer(answer) for name, answer in decision.scores.items()},
        "fallbacks": [fallback._asdict() for fallback in decision.fallbacks],
        "propensities": decision.propensity.by_model,
        "propensity_reason": decision.propensity.reason,
        "prices": {name: _price(price) for name, price in decision.costs.prices.items()},
        "output_tokens": dict(decision.costs.output_tokens),
        "inputs": _inputs(decision, situation),
    }
    if decision.assignment and decision.assignment.experiment.by_request:
        detail["by_request"] = True
    if decision.tables:
        detail["tables"] = decision.tables
    if decision.cautious:
        detail["cautious"] = decision.cautious.name
    if decision.cohort and decision.cohort.slow_ms is not None:
        detail["slow_ms"] = decision.cohort.slow_ms
    if around.metadata:
        detail["metadata"] = dict(around.metadata)
    if around.features is not None:
        detail["features"] = around.features
    return detail


def _answer(answer: Score | Failure) -> dict[str, Any]:
    return {key: value for key, value in answer._asdict().items() if value is not None}


def _price(price: Price) -> dict[str, Any]:
    parts = ((name, getattr(price, of)) for name, of in PARTS.items())
    return {
        "input": price.input_per_million,
        "output": price.output_per_million,
        "request": price.per_request,
        "source": price.source,
        **{name: value for name, value in parts if value is not None},
    }


def _inputs(decision: PromptDecision, situation: DecisionInputs) -> dict[str, Any]:
    """The inputs of `decide` that neither the revision nor a column holds."""
    domain = decision.domain.name
    buckets = situation.unit.buckets
    return {
        "buckets": dict(buckets.seen) if isinstance(buckets, HashedBuckets) else {},
        "day": situation.day.isoformat(),
        "force_arm": situation.force_arm,
        "criteria": asdict(situation.criteria) if situation.criteria else None,
        "unavailable": sorted(situation.unavailable),
        **({"pair_stands_in": True} if situation.pair_stands_in else {}),
        **({"unknown_language": True} if situation.unknown_language else {}),
        **({"asked": list(situation.asked)} if situation.asked else {}),
        "default_output_tokens": situation.default_output_tokens,
        "expected": {m: n for (name, m), n in situation.output_tokens.items() if name == domain},
    }


def situation_of(row: DecisionRow) -> DecisionInputs:
    """The inputs of a stored decision. The prompt's text is not among them."""
    inputs = row.detail["inputs"]
    criteria = inputs["criteria"]
    return DecisionInputs(
        decision_id=str(row.id),
        unit=Unit(RecordedBuckets(inputs["buckets"]), row.unit_hash, row.sticky),
        candidates=[Candidate(*candidate) for candidate in row.detail["candidates"]],
        input_tokens=row.input_tokens,
        day=date.fromisoformat(inputs["day"]),
        domain_override=row.domain if row.detail["overridden"] else None,
        criteria=ModelSelectionCriteria(**criteria) if criteria else None,
        force_arm=inputs["force_arm"],
        unavailable=frozenset(inputs["unavailable"]),
        pair_stands_in=inputs.get("pair_stands_in", False),
        unknown_language=inputs.get("unknown_language", False),
        asked=RequestedTarget(*asked) if (asked := inputs.get("asked")) else None,
        output_tokens={(row.domain, model): n for model, n in inputs["expected"].items()},
        default_output_tokens=inputs["default_output_tokens"],
        tables=tables_of(row),
    )


def tables_of(row: DecisionRow) -> Tables:
    """The threshold tables that counted for a stored decision, by key."""
    domain = row.detail.get("cautious") or row.domain
    found = {}
    for router, number in row.detail.get("tables", {}).items():
        checkpoint = row.detail["scores"][router].get("checkpoint", "")
        key = TableKey(domain, router, checkpoint)
        found[key] = stored_table(key, number)
    return found


@lru_cache(maxsize=4096)
def stored_table(key: TableKey, number: int) -> NumberedTable:
    """Rows never change. Raises ThresholdTable.DoesNotExist."""
    return ThresholdTable.objects.get(**key._asdict(), number=number).as_table()


def scores_of(row: DecisionRow) -> Callable[[str], Score | Failure]:
    """The stored results of the routers."""
    scores = row.detail["scores"]

    def score(name: str) -> Score | Failure:
        answer = scores.get(name, {"reason": "not_recorded"})
        return Score(**answer) if "value" in answer else Failure(**answer)

    return score


def replay(row: DecisionRow) -> PromptDecision:
    """Decides again from the stored inputs under the decision's own revision."""
    return decide(load_policy(row.revision), situation_of(row), scores_of(row))


def fallbacks_of(row: DecisionRow) -> list[Fallback]:
    return [Fallback(**fallback) for fallback in row.detail["fallbacks"]]
