"""`/decisions/`: the filtered log; `/decisions/<id>/`: the steps of one decision."""

from typing import NamedTuple
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from experiments.dashboards import decision_filters
from experiments.dashboards.attempt_wording import called
from experiments.dashboards.judging import shadow_of
from experiments.dashboards.pages import page, show
from experiments.decisions import explanation
from experiments.decisions.attempt_changes import changes_of
from experiments.decisions.lookup import DecisionPrunedError, absence
from experiments.decisions.queries import decision_page
from experiments.formatting import comparison
from experiments.models import Decision, Domain

WHY_NO_TEXT = {
    "none": "Not stored: the domain {domain} does not store prompts.",
    "features": "Not stored: the domain {domain} stores features of prompts, not their text.",
    "text": "Not stored: the domain {domain} stores prompts only since a later revision.",
}


SHORT = {
    "score_at_or_above_threshold": "score reached",
    "score_below_threshold": "score below",
    "drawn_at_threshold": "drawn at threshold",
    "step_reached": "reached a step",
    "policy": "domain selector",
}


class ListedDecision(NamedTuple):
    """One row of the list."""

    decision: Decision
    score: str
    why: str
    cost: int | None
    saving: int | None


@page()
def decisions(request: HttpRequest) -> HttpResponse:
    filters = decision_filters.read(request.GET)
    before, after = decision_filters.marks(request.GET)
    found = decision_page(filters.wanted(timezone.now()), before, after)
    context = {
        "own": filters,
        "choices": decision_filters.choices(),
        "rows": [_row(row) for row in found.rows],
        "older": found.older and filters.query(before=decision_filters.mark_text(found.older)),
        "newer": found.newer and filters.query(after=decision_filters.mark_text(found.newer)),
        "is_first": before is None and after is None,
        "answer": _answer(len(found.rows), filters, first=before is None and after is None),
    }
    return show(request, "pages/decisions.html", "decisions", context, filters=filters.shared)


def _answer(rows: int, filters: decision_filters.DecisionFilters, *, first: bool) -> str:
    which = "that match" if filters.are_set else "made"
    when = filters.shared.when
    if not rows:
        return f"No decision {which.replace('that match', 'matches')} {when}."
    place = "The newest" if first else "Further"
    return f"{place} decisions {which} {when}. Open one to see how it was made."


def _row(row: Decision) -> ListedDecision:
    reason = SHORT.get(row.reason, row.reason.replace("_", " "))
    score = (
        ""
        if row.score is None or row.threshold is None
        else " ".join(comparison(row.score, row.threshold))
    )
    priced = row.cost is not None and row.cost_baseline is not None
    return ListedDecision(
        decision=row,
        score=score,
        why=row.fallback.replace("_", " ") if row.fallback else reason,
        cost=row.cost,
        saving=(row.cost_baseline or 0) - (row.cost or 0) if priced else None,
    )


@page()
def decision(request: HttpRequest, decision_id: UUID) -> HttpResponse:
    rows = Decision.objects.select_related("outcome", "shadow").prefetch_related(
        "feedback", "attempts"
    )
    row = rows.filter(pk=decision_id).first()
    if row is None:
        problem = absence(decision_id)
        gone = isinstance(problem, DecisionPrunedError)
        context = {"problem": str(problem), "gone": gone}
        return show(
            request, "pages/no_decision.html", "decisions", context, status=410 if gone else 404
        )
    attempts = list(row.attempts.all())
    context = {
        "row": row,
        "sentence": explanation.summary(row),
        "steps": explanation.steps(row),
        "outcome": getattr(row, "outcome", None),
        "ratings": row.feedback.all(),
        "shadow": shadow_of(getattr(row, "shadow", None)),
        "attempts": attempts,
        "changes": [
            (attempt.model, changes_of(attempt)) for attempt in attempts if attempt.changes
        ],
        "called": called(attempts),
        "no_text": None if row.text is not None else _why_no_text(row),
    }
    return show(request, "pages/decision.html", "decisions", context)


def _why_no_text(row: Decision) -> str:
    storage = Domain.objects.filter(name=row.domain).values_list("prompt_storage", flat=True)
    reason = WHY_NO_TEXT.get(storage.first() or "none", WHY_NO_TEXT["none"])
    return reason.format(domain=row.domain)
