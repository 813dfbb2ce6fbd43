"""A router's scores of the rows of a set, computed once and stored with the set.

Rows are only appended to a set, so stored scores remain valid, and new rows are scored when they
are needed. Rows of rated decisions are scored each time.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.background.tasks import Running
from experiments.lab.columns import Floats, OutcomeColumns
from experiments.lab.datasets import columns, find_set
from experiments.lab.multi_model import with_steps
from experiments.lab.rated_decisions import PRODUCTION
from experiments.models import OutcomeScores, OutcomeSet, RecordedOutcome
from experiments.routers.features import Features, featurise, from_embeddings
from experiments.routing.router_lookup import LabRouter, find_scorer

Advance = Callable[[int, int], object]
_CHUNK = 500


class Scored(NamedTuple):
    """One score per row, NaN if the router cannot score what is stored of the prompt; and the mean
    time per prompt, 0 if none was scored."""

    values: Floats
    microseconds: float


def missing_scores(outcome_set: OutcomeSet, scorer: LabRouter) -> int:
    """How many rows would have to be scored now."""
    if outcome_set.name == PRODUCTION:
        return len(columns(outcome_set))
    rows = RecordedOutcome.objects.filter(outcome_set=outcome_set)
    kept = _kept(outcome_set, scorer)
    return rows.count() if kept is None else rows.filter(id__gt=kept.last_id).count()


def scores(
    outcome_set: OutcomeSet,
    scorer: LabRouter,
    advance: Advance = lambda done, total: None,
    at_hand: OutcomeColumns | None = None,
) -> Scored:
    """Every row's score. Missing scores are computed, and stored if the router has a key.

    Raises RouterConfigurationError if the router cannot be built.
    """
    if outcome_set.name == PRODUCTION:
        whole = at_hand if at_hand and at_hand.inputs else columns(outcome_set, with_inputs=True)
        return _of_inputs(whole, scorer, advance)
    kept = _kept(outcome_set, scorer)
    before = np.frombuffer(kept.values) if kept else np.array([])
    rows = RecordedOutcome.objects.filter(outcome_set=outcome_set).order_by("id")
    if kept:
        rows = rows.filter(id__gt=kept.last_id)
    total = rows.count()
    if not total:
        return Scored(before, kept.microseconds if kept else 0.0)
    score = scorer.load()
    ids, values = [], []
    started = time.perf_counter()
    found = rows.values_list("id", "prompt", "embedding").iterator(chunk_size=_CHUNK)
    for row_id, prompt, embedding in found:
        seen = None if embedding is None else np.array(embedding, dtype=np.float32)
        ids.append(row_id)
        values.append(_score(score, scorer, prompt, seen))
        if len(ids) % _CHUNK == 0:
            advance(len(ids), total)
    micros = (time.perf_counter() - started) / total * 1e6
    everything = np.concatenate((before, np.array(values)))
    if scorer.key:
        OutcomeScores.objects.update_or_create(
            outcome_set=outcome_set,
            router_key=scorer.key,
            defaults={
                "values": everything.tobytes(),
                "count": len(everything),
                "last_id": ids[-1],
                "microseconds": micros,
            },
        )
    advance(total, total)
    return Scored(everything, micros)


def score_in_background(running: Running, *, outcomes: str, routers: list[str]) -> dict[str, Any]:
    """Scores a set by several routers, one after the other."""
    outcome_set = find_set(outcomes)
    for name in with_steps(routers):
        found = scores(outcome_set, find_scorer(name), running.advance)
        running.log(f"{name}: {found.microseconds / 1000:.2f} ms a prompt.")
    return {"set": outcomes}


def _kept(outcome_set: OutcomeSet, scorer: LabRouter) -> OutcomeScores | None:
    """None also if rows were removed since: scores are matched to rows by position."""
    if not scorer.key:
        return None
    kept = OutcomeScores.objects.filter(outcome_set=outcome_set, router_key=scorer.key).first()
    if kept is None:
        return None
    rows = RecordedOutcome.objects.filter(outcome_set=outcome_set, id__lte=kept.last_id)
    return kept if rows.count() == kept.count else None


def _of_inputs(whole: OutcomeColumns, scorer: LabRouter, advance: Advance) -> Scored:
    total = len(whole)
    if not total:
        return Scored(np.array([]), 0.0)
    score = scorer.load()
    started = time.perf_counter()
    values = np.empty(total)
    for row, (prompt, embedding) in enumerate(_seen(whole)):
        values[row] = _score(score, scorer, prompt, embedding)
        if row % _CHUNK == 0:
            advance(row, total)
    return Scored(values, (time.perf_counter() - started) / total * 1e6)


def _seen(whole: OutcomeColumns) -> Iterator[tuple[str, NDArray[np.float32] | None]]:
    if whole.inputs is not None:
        for row, prompt in enumerate(whole.inputs.prompts):
            yield prompt, whole.inputs.embeddings.get(row)


def _score(
    score: Callable[[Features], float],
    scorer: LabRouter,
    prompt: str,
    embedding: NDArray[np.float32] | None,
) -> float:
    if prompt:
        return score(featurise(prompt))
    if embedding is None or not scorer.by_embedding:
        return float("nan")
    return score(from_embeddings({"embedding": embedding}))
