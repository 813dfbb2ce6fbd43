"""The explanation of a stored decision, for the admin, pages, playground and terminal."""

from typing import Any

from experiments.core.assignment import FlagState
from experiments.core.detection import Candidate
from experiments.core.facts import DecisionView, Report, ShownRating
from experiments.core.values import Failure, Score
from experiments.decisions import text
from experiments.decisions.decision_rows import fallbacks_of
from experiments.decisions.text import ExplanationStep
from experiments.models import Decision, Outcome

HASH_DIGITS = 12


def steps(row: Decision) -> tuple[ExplanationStep, ...]:
    """The steps of a decision. Costs two queries if outcome and feedback are not loaded."""
    return text.steps(facts_of(row))


def summary(row: Decision) -> str:
    return text.summary(facts_of(row))


def as_text(row: Decision) -> str:
    """The explanation for a terminal."""
    return f"{text.as_text(facts_of(row))}\n\nDecision {row.id}, revision {row.revision}"


def facts_of(row: Decision) -> DecisionView:
    """A stored decision, or one just made, as plain values."""
    detail = row.detail
    is_new = row._state.adding
    return DecisionView(
        input_tokens=row.input_tokens,
        text=row.text,
        unit=f"{row.unit_hash[:HASH_DIGITS]}…",
        sticky=row.sticky,
        metadata=detail.get("metadata", {}),
        domain=row.domain,
        confidence=row.confidence,
        candidates=[Candidate(*candidate) for candidate in detail["candidates"]],
        overridden=detail["overridden"],
        detector=_detector(detail["detector"]),
        flags=[FlagState(**flag) for flag in detail["flags"]],
        experiment=row.experiment,
        arm=row.arm,
        phase=row.phase,
        counted=row.counted,
        method=row.method,
        reason=row.reason,
        cautious=detail.get("cautious", ""),
        tables=detail.get("tables", {}),
        router=row.router,
        score=row.score,
        threshold=row.threshold,
        scores={name: _answer(answer) for name, answer in detail["scores"].items()},
        explored=row.explored,
        epsilon=row.epsilon,
        propensity=row.propensity,
        tier=row.tier,
        model=row.model,
        intended=row.intended_model,
        strong=row.strong_model,
        weak=row.weak_model,
        baseline=row.baseline_model,
        cost=row.cost,
        cost_strong=row.cost_strong,
        cost_weak=row.cost_weak,
        cost_baseline=row.cost_baseline,
        fallbacks=fallbacks_of(row),
        report=None if is_new else _report(getattr(row, "outcome", None)),
        ratings=[]
        if is_new
        else [ShownRating(f.metric, f.value, f.source) for f in row.feedback.all()],
    )


def _detector(identity: str) -> str:
    if identity == "classic":
        return "classic (keywords and patterns)"
    return f"learned ({identity[:HASH_DIGITS]}…)"


def _answer(answer: dict[str, Any]) -> Score | Failure:
    return Score(**answer) if "value" in answer else Failure(**answer)


def _report(outcome: Outcome | None) -> Report | None:
    if outcome is None:
        return None
    return Report(
        input_tokens=outcome.input_tokens,
        output_tokens=outcome.output_tokens,
        latency_ms=outcome.latency_ms,
        success=outcome.success,
        error=outcome.error,
        cost=outcome.cost,
        cost_baseline=outcome.cost_baseline,
        answered_by=outcome.model,
    )
