"""Candidate policies for off-policy estimates."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from experiments.analysis.off_policy.estimates import OTHER, STRONG, WEAK, Log, Rows
from experiments.analysis.off_policy.nuisance import Floats
from experiments.core.policy import Method, Policy
from experiments.lab.decision_log import Logged
from experiments.routing.runtime import threshold_at_work

ASKABLE = (Method.ROUTELLM, Method.ALWAYS_STRONG, Method.ALWAYS_WEAK)


class CannotAskError(ValueError):
    """A question that the log cannot answer. The message says what to do."""


@dataclass(frozen=True, slots=True)
class CandidatePolicy:
    """A domain (or all, "") under another policy.

    Without its own pair it uses that of each decision; it never explores.
    """

    method: Method = Method.ROUTELLM
    router: str = ""
    threshold: float | None = None
    strong: str = ""
    weak: str = ""
    domain: str = ""

    def at(self, threshold: float) -> "CandidatePolicy":
        return replace(self, method=Method.ROUTELLM, threshold=threshold)


def filled(candidate: CandidatePolicy, policy: Policy) -> CandidatePolicy:
    """Fills in the current router and threshold if the candidate has none.

    Without a domain, those that most domains use.
    """
    if candidate.method is not Method.ROUTELLM:
        return candidate
    named = policy.domains.get(candidate.domain)
    if candidate.domain and named is None:
        known = ", ".join(sorted(policy.domains))
        raise CannotAskError(f"Unknown domain '{candidate.domain}'. Known domains: {known}.")
    domains = [named] if named else list(policy.domains.values())
    routers = [one.policy.router for one in domains if one.policy.router]
    router = candidate.router or max(set(routers), key=routers.count, default="")
    thresholds = [
        found
        for one in domains
        if one.policy.router == router and (found := threshold_at_work(one)) is not None
    ]
    usual = max(set(thresholds), key=thresholds.count, default=None)
    threshold = usual if candidate.threshold is None else candidate.threshold
    return replace(candidate, router=router, threshold=threshold)


class CandidateLog(NamedTuple):
    """The log for the candidate, and which requests it sends to its strong model. Requests that are
    not `decided` have no score."""

    log: Log
    to_strong: Rows
    rows: Rows
    decided: Rows


def ask(logged: Logged, candidate: CandidatePolicy) -> CandidateLog:
    """Raises CannotAskError if the log has no data for it."""
    _check(logged, candidate)
    rows = logged.of_domain(candidate.domain)
    score = _score(logged, candidate)
    log = _log(logged, candidate, score)
    if candidate.method is Method.ALWAYS_STRONG:
        to_strong = np.ones(len(logged), bool)
    elif candidate.method is Method.ALWAYS_WEAK:
        to_strong = np.zeros(len(logged), bool)
    else:
        to_strong = np.nan_to_num(score, nan=-1.0) >= (candidate.threshold or 0.0)
    decided = np.isfinite(score) | (candidate.method is not Method.ROUTELLM)
    return CandidateLog(log, to_strong, rows, decided)


def _check(logged: Logged, candidate: CandidatePolicy) -> None:
    if candidate.method not in ASKABLE:
        names = ", ".join(ASKABLE)
        raise CannotAskError(f"'{candidate.method}' cannot be estimated. Use one of {names}.")
    if bool(candidate.strong) != bool(candidate.weak):
        raise CannotAskError("A pair needs both of its models: name a strong and a weak one.")
    if candidate.method is not Method.ROUTELLM:
        return
    if candidate.threshold is None or not 0.0 <= candidate.threshold <= 1.0:
        raise CannotAskError("A router needs a threshold from 0 to 1.")
    if len(logged) and candidate.router not in logged.scores:
        known = ", ".join(sorted(logged.scores)) or "none"
        raise CannotAskError(
            f"Router '{candidate.router}' scored none of these decisions (known: {known}). A "
            "router without logged scores needs stored prompts or features: change what the "
            "domain stores, or enable the router and wait."
        )


def _score(logged: Logged, candidate: CandidatePolicy) -> Floats:
    """The scores of the candidate's router; without one, of the router that scored most."""
    if candidate.method is Method.ROUTELLM or candidate.router in logged.scores:
        return logged.scores.get(candidate.router, np.full(len(logged), np.nan))
    known = {name: int(np.isfinite(one).sum()) for name, one in logged.scores.items()}
    most = max(known, key=lambda name: (known[name], name), default=None)
    return logged.scores[most] if most else np.full(len(logged), np.nan)


def _log(logged: Logged, candidate: CandidatePolicy, score: Floats) -> Log:
    strong, weak = logged.strong, logged.weak
    own = np.ones(len(logged), bool)
    if candidate.strong:
        strong = np.full(len(logged), logged.models.code(candidate.strong))
        weak = np.full(len(logged), logged.models.code(candidate.weak))
        own = (strong == logged.strong) & (weak == logged.weak)
    took = np.full(len(logged), OTHER)
    took[logged.intended == weak] = WEAK
    took[logged.intended == strong] = STRONG
    odds = np.stack([logged.odds_of(weak), logged.odds_of(strong)], axis=1)
    if candidate.method is Method.ROUTELLM:
        odds[~np.isfinite(score)] = 0.0  # the candidate's choice is unknown there
    expected = np.stack([logged.cost_weak, logged.cost_strong], axis=1)
    _, strata = np.unique(logged.revisions, return_inverse=True)
    return Log(
        units=logged.units,
        strata=strata.astype(np.int64),
        domains=logged.domains,
        took=took.astype(np.int64),
        odds=odds,
        expected=np.where(own[:, None], expected, np.nan),
        cost=logged.cost,
        rating=logged.rating,
        score=score,
        tokens=logged.tokens,
        audited=logged.audited,
        audits=logged.audits,
        logged_score=logged.score_at_work,
    )
