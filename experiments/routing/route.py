"""Routes one prompt: compute features, decide, store, log."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import DatabaseError, InterfaceError
from uuid6 import uuid7

from experiments.configuration.policy_store import store
from experiments.core.assignment import HashedBuckets, Unit, force
from experiments.core.choice import ScoreRouter
from experiments.core.costs import estimate_tokens
from experiments.core.decision import decide
from experiments.core.policy import Policy
from experiments.core.selection import ModelSelectionCriteria, NoEligibleModelsError
from experiments.core.shadowing import learns
from experiments.core.text import storable
from experiments.core.values import (
    DecisionInputs,
    Failure,
    Fallback,
    PromptDecision,
    RequestedTarget,
)
from experiments.decisions.decision_rows import DecisionMetadata, to_row
from experiments.decisions.group_commit import store_decisions
from experiments.models import Decision as DecisionRow
from experiments.routers.features import Features, stored_embeddings
from experiments.routers.learned import FEATURES_KEY, stored_features
from experiments.routing.runtime import Detected, engine, tables
from experiments.routing.token_estimates import expected_output_tokens
from experiments.storage.unit_hash import hash_unit

log = logging.getLogger("switchyard.decisions")

_UNREAD = Detected((), "none", unknown_language=True)
Expected = Mapping[tuple[str, str], int]


class UnknownNameError(ValueError):
    """A domain or arm that does not exist. `param` is the field of the request that named it."""

    def __init__(self, param: str, message: str) -> None:
        self.param = param
        super().__init__(message)


class UnmetCriteriaError(NoEligibleModelsError):
    """No model meets the caller's criteria; without them, one would answer."""


Refusal = UnknownNameError | NoEligibleModelsError


class StorageUnavailableError(Exception):
    """The decision could not be stored, so it was not made."""

    def __init__(self) -> None:
        super().__init__("The database cannot store decisions now. Try again in a moment.")


class RouteRequest(NamedTuple):
    """One prompt to route. `input_tokens` None: unknown; `at` None: now."""

    text: str
    unit_id: str | None = None
    domain: str | None = None
    criteria: ModelSelectionCriteria | None = None
    metadata: Mapping[str, str] = {}
    dry_run: bool = False
    force_arm: str | None = None
    input_tokens: int | None = None
    key_id: int | None = None
    request_id: str = ""
    unavailable: frozenset[str] = frozenset()
    pair_stands_in: bool = False
    asked: RequestedTarget | None = None
    at: datetime | None = None


def route(request: RouteRequest) -> DecisionRow:
    """Decides and, unless it is a dry run, stores the decision before it is returned.

    Raises UnknownNameError, UnmetCriteriaError, NoPolicyError, NoEligibleModelsError,
    StorageUnavailableError.
    """
    policy, expected = configuration()
    row = decide_one(policy, expected, request)
    if not request.dry_run:
        _store([row])
    report(row, dry_run=request.dry_run)
    return row


def route_batch(requests: Sequence[RouteRequest]) -> list[DecisionRow | Refusal]:
    """Decides each separately, in order; stores all of them or none.

    Raises NoPolicyError, StorageUnavailableError.
    """
    policy, expected = configuration()
    results = [_attempt(policy, expected, request) for request in requests]
    made = [
        (row, request.dry_run)
        for row, request in zip(results, requests, strict=True)
        if isinstance(row, DecisionRow)
    ]
    _store([row for row, dry_run in made if not dry_run])
    for row, dry_run in made:
        report(row, dry_run=dry_run)
    return results


def _attempt(policy: Policy, expected: Expected, request: RouteRequest) -> DecisionRow | Refusal:
    try:
        return decide_one(policy, expected, request)
    except (UnknownNameError, NoEligibleModelsError) as error:
        return error


def configuration() -> tuple[Policy, Expected]:
    """The current policy and the expected lengths of answers. Raises NoPolicyError,
    StorageUnavailableError."""
    try:
        return store.current(), expected_output_tokens()
    except (DatabaseError, InterfaceError) as error:
        raise StorageUnavailableError from error


def decide_one(policy: Policy, expected: Expected, request: RouteRequest) -> DecisionRow:
    """Decides and stores nothing. Raises UnknownNameError, NoEligibleModelsError."""
    started = time.perf_counter()
    _check_names(policy, request)
    features = engine.look(request.text)
    detected = engine.detect(policy, request.text, features)
    now = request.at or datetime.now(UTC)
    situation = _situation(request, detected, expected, now)
    decision = _decision(policy, situation, lambda name: engine.score(name, features))
    return to_row(
        decision,
        situation,
        _circumstances(policy, request, decision, situation, features, detected, now, started),
    )


def decide_blindly(
    policy: Policy, expected: Expected, request: RouteRequest, why: str
) -> DecisionRow:
    """Decides without features of the prompt, if computing them fails. The row records this.
    Such a prompt may be of any domain, so the most cautious one decides.

    Raises UnknownNameError, NoEligibleModelsError.
    """
    now, started, blind = datetime.now(UTC), time.perf_counter(), _UNREAD
    situation = _situation(request, blind, expected, now)
    decision = decide(policy, situation, lambda name: Failure("router_failed", "Not looked at."))
    circumstances = _circumstances(policy, request, decision, situation, None, blind, now, started)
    row: DecisionRow = to_row(decision, situation, circumstances)
    step = Fallback("detection", "detection_failed", why, row.model)
    row.detail["fallbacks"].insert(0, step._asdict())
    row.fallback = step.reason
    return row


def _decision(policy: Policy, situation: DecisionInputs, score: ScoreRouter) -> PromptDecision:
    try:
        return decide(policy, situation, score)
    except NoEligibleModelsError as error:
        if situation.criteria is None:
            raise
        decide(policy, replace(situation, criteria=None), score)  # raises unless these caused it
        raise UnmetCriteriaError(str(error)) from error


def _check_names(policy: Policy, request: RouteRequest) -> None:
    if request.domain is not None and request.domain not in policy.domains:
        known = ", ".join(sorted(policy.domains))
        raise UnknownNameError(
            "domain", f"Unknown domain '{request.domain}'. Known domains: {known}."
        )
    if request.force_arm is not None and not any(
        force(policy, name, request.force_arm) for name in policy.domains
    ):
        raise UnknownNameError(
            "force_arm", f"No running experiment has an arm '{request.force_arm}'."
        )


def _situation(
    request: RouteRequest,
    detected: Detected,
    expected: Expected,
    now: datetime,
) -> DecisionInputs:
    decision_id = str(uuid7())
    unit_id = request.unit_id or decision_id
    tokens = request.input_tokens
    return DecisionInputs(
        decision_id=decision_id,
        unit=Unit(HashedBuckets(unit_id), hash_unit(unit_id), request.unit_id is not None),
        candidates=detected.candidates,
        input_tokens=estimate_tokens(request.text) if tokens is None else tokens,
        day=now.date(),
        domain_override=request.domain,
        criteria=request.criteria,
        force_arm=request.force_arm,
        unavailable=request.unavailable,
        pair_stands_in=request.pair_stands_in,
        asked=request.asked,
        unknown_language=detected.unknown_language,
        output_tokens=expected,
        tables=tables.current(),
    )


def _circumstances(
    policy: Policy,
    request: RouteRequest,
    decision: PromptDecision,
    situation: DecisionInputs,
    features: Features | None,
    detected: Detected,
    now: datetime,
    started: float,
) -> DecisionMetadata:
    storage = decision.domain.prompt_storage
    monitored = policy.switches.performance_monitoring
    return DecisionMetadata(
        created_at=now,
        unit_hash=situation.unit.hashed,
        detector=detected.detector,
        latency_us=round((time.perf_counter() - started) * 1e6) if monitored else None,
        key_id=request.key_id,
        request_id=request.request_id,
        metadata=request.metadata,
        text=storable(request.text) if storage == "text" else None,
        features=_stored_features(features, learning=learns(policy, decision.domain.name))
        if features and storage == "features"
        else None,
    )


def _stored_features(features: Features, *, learning: bool) -> dict[str, Any]:
    """Enough to score again, without the text. A domain that learns stores the learned router's
    input too."""
    return {
        **stored_embeddings(features),
        "tokens": len(features.tokens),
        **({FEATURES_KEY: stored_features(features)} if learning else {}),
    }


def _store(rows: Sequence[DecisionRow]) -> None:
    """Stores all rows and their sums in one transaction."""
    if not rows:
        return
    try:
        store_decisions(rows)
    except (DatabaseError, InterfaceError) as error:
        raise StorageUnavailableError from error


def report(row: DecisionRow, *, dry_run: bool = False) -> None:
    """One log line per decision, without the prompt."""
    level = logging.WARNING if row.fallback else logging.INFO
    log.log(
        level,
        "decision",
        extra={
            "decision_id": str(row.id),
            "request_id": row.request_id,
            "domain": row.domain,
            "method": row.method,
            "reason": row.reason,
            "model": row.model,
            "score": row.score,
            "experiment": row.experiment,
            "arm": row.arm,
            "fallback": row.fallback,
            "revision": row.revision,
            "latency_us": row.latency_us,
            "dry_run": dry_run,
        },
    )
