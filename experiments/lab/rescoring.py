"""Computes a router's missing scores of past decisions from stored prompts or features.

Decisions without a stored prompt or features remain without a score.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import numpy as np
from django.core.cache import cache
from django.db.models import Q

from experiments.analysis.off_policy.nuisance import Floats
from experiments.core.policy import Method
from experiments.lab.candidates import CandidatePolicy, CannotAskError
from experiments.lab.decision_log import Logged, Rescored
from experiments.models import Decision
from experiments.models.routers import LOCAL_KINDS
from experiments.routers.errors import RouterConfigurationError
from experiments.routers.features import Features, featurise, from_embeddings
from experiments.routing.router_lookup import LabRouter, NoRouterError, find_scorer

REMEMBERED_SECONDS = 3_600
MOST_REMEMBERED = 20_000
_CHUNK = 1_000
_KEPT = Q(text__isnull=False) | Q(detail__features__embedding__isnull=False)

Score = Callable[[Features], float]


Made = dict[str, float | None]
"""The score by the decision's id: NaN if it cannot be scored, None if nothing is stored."""


def with_scores(logged: Logged, candidate: CandidatePolicy, most: int | None = None) -> Logged:
    """The log with the candidate's router's scores, computed now if they were not logged.

    Computes at most `most`: the log then contains only the newest decisions. Raises CannotAskError
    if its scores were not logged and it cannot score what is stored.
    """
    if candidate.method is not Method.ROUTELLM or not candidate.router or not len(logged):
        return logged
    known = logged.scores.get(candidate.router, np.full(len(logged), np.nan))
    gaps = np.flatnonzero(np.isnan(known))
    if not len(gaps):
        return logged
    try:
        return _filled(logged, candidate.router, known, gaps, most)
    except CannotAskError:
        if candidate.router in logged.scores:
            return logged
        raise


def _filled(
    logged: Logged,
    router: str,
    known: Floats,
    gaps: "np.ndarray[tuple[int], np.dtype[np.intp]]",
    most: int | None,
) -> Logged:
    scorer = _scorer(router)
    within, wanted = len(logged), gaps
    if most is not None and len(gaps) > most:
        within, wanted = int(gaps[most]), gaps[:most]
    ids = logged.ids.take(wanted).to_pylist()
    made = _made(scorer, ids) if most is None else _remembered(scorer, ids)
    kept = sum(value is not None for value in made.values())
    if not kept:
        return logged
    score = known[:within].copy()
    score[wanted] = np.array([made[name] for name in ids], np.float64)
    now = int(np.isfinite(score[wanted]).sum())
    if not now:
        raise CannotAskError(_unscored(scorer, kept))
    newest = logged.newest(within)
    return replace(
        newest,
        scores={**newest.scores, router: score},
        rescored=Rescored(router, within - len(wanted), now, len(wanted) - now),
    )


def _scorer(router: str) -> LabRouter:
    try:
        scorer = find_scorer(router)
    except NoRouterError as error:
        raise CannotAskError(f"No score of '{router}' was logged. {error}") from error
    if scorer.kind not in LOCAL_KINDS:
        raise CannotAskError(
            f"Router '{router}' scored none of these decisions, and its kind, {scorer.kind}, is "
            "not used for past prompts. Use a router of kind "
            f"{', '.join(LOCAL_KINDS)}, or let the domain's policy use it for a while."
        )
    return scorer


def _remembered(scorer: LabRouter, ids: Sequence[str]) -> Made:
    """Cached for an hour: trying another threshold needs nearly the same decisions."""
    key = f"rescored:{hashlib.sha256(scorer.key.encode()).hexdigest()}"
    known: Made = cache.get(key, {})
    fresh = [name for name in ids if name not in known]
    if fresh:
        known |= _made(scorer, fresh)
        if len(known) > MOST_REMEMBERED:
            known = {name: known[name] for name in ids}
        cache.set(key, known, REMEMBERED_SECONDS)
    return {name: known[name] for name in ids}


def _made(scorer: LabRouter, ids: Sequence[str]) -> Made:
    made: Made = dict.fromkeys(ids)
    score: Score | None = None
    for name, text, stored in _kept(ids):
        if score is None:
            score = _loaded(scorer)
        made[name] = _score(score, scorer, text, stored)
    return made


def _kept(ids: Sequence[str]) -> Iterator[tuple[str, str | None, dict[str, Any] | None]]:
    """The id, the prompt, and the stored features if there is no prompt."""
    for start in range(0, len(ids), _CHUNK):
        names = {UUID(name): name for name in ids[start : start + _CHUNK]}
        rows = Decision.objects.filter(_KEPT, pk__in=names).order_by()
        for pk, text, stored in rows.values_list("pk", "text", "detail__features"):
            yield names[pk], text, stored


def _loaded(scorer: LabRouter) -> Score:
    try:
        return scorer.load()
    except RouterConfigurationError as error:
        raise CannotAskError(
            f"Router '{scorer.name}' scored none of these decisions and cannot score them now: "
            f"{error}"
        ) from error


def _score(
    score: Score, scorer: LabRouter, text: str | None, stored: dict[str, Any] | None
) -> float:
    """NaN if it fails or returns an invalid score."""
    if text is None and not scorer.by_embedding:
        return np.nan
    try:
        value = score(featurise(text) if text is not None else from_embeddings(stored or {}))
    except Exception:
        return np.nan
    return value if 0.0 <= value <= 1.0 else np.nan


def _unscored(scorer: LabRouter, kept: int) -> str:
    if not scorer.by_embedding:
        return (
            f"Router '{scorer.name}' scored none of these decisions. Features of {kept:,} are "
            f"stored, but a router of kind {scorer.kind} needs the prompt: let the domain store it."
        )
    return (
        f"Router '{scorer.name}' scored none of these decisions, and failed on each of the "
        f"{kept:,} with stored data. Check that its checkpoint fits the embedding in use."
    )
