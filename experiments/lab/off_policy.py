"""Off-policy estimates of a candidate: overall, per domain, and at every threshold."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.analysis.off_policy.curve import CurvePoint, curve, thresholds_of
from experiments.analysis.off_policy.estimates import STRONG, Evidence, WhatIf, estimate, evidence
from experiments.analysis.off_policy.exploration import Advice, advise, wants_exploration
from experiments.analysis.off_policy.nuisance import Floats
from experiments.decisions.rollup_queries import DAY, Span
from experiments.lab.candidates import CandidateLog, CandidatePolicy, ask
from experiments.lab.decision_log import Logged, Rescored, read_log
from experiments.lab.rescoring import with_scores

MOST_SCORED_ON_A_PAGE = 5_000
STEPS = 50


class DomainAnswer(NamedTuple):
    name: str
    found: WhatIf


class LoggedPoint(NamedTuple):
    """The log itself: where it lies on the curve."""

    strong_share: float
    quality: float | None
    cost: float | None


class PolicyEstimate(NamedTuple):
    """The estimates of the candidate. Money in nano-dollars per request.

    `points` is the curve over the thresholds of the candidate's router. `advice` is what to do if
    the log has too few matching decisions. `rescored` counts scores that were computed now because
    they were not logged.
    """

    candidate: CandidatePolicy
    span: Span
    is_whole: bool
    found: WhatIf
    domains: tuple[DomainAnswer, ...]
    points: tuple[CurvePoint, ...]
    logged: LoggedPoint
    advice: Advice | None
    rescored: Rescored | None = None


class PreparedLog(NamedTuple):
    """The log prepared for one router and pair, for any threshold."""

    logged: Logged
    asked: CandidateLog
    known: Evidence

    @property
    def days(self) -> float:
        return max((self.logged.span.until - self.logged.span.since) / DAY, 1 / 24)


def question(logged: Logged, candidate: CandidatePolicy) -> PreparedLog:
    """Raises CannotAskError."""
    asked = ask(logged, candidate)
    return PreparedLog(logged, asked, evidence(asked.log))


def what_if(span: Span, candidate: CandidatePolicy, *, limit: int | None = None) -> PolicyEstimate:
    """Three or four queries, and more if prompts must be scored. Raises CannotAskError."""
    logged = with_scores(read_log(span, candidate.domain, limit=limit), candidate)
    return answer(question(logged, candidate), candidate)


def answer(
    about: PreparedLog, candidate: CandidatePolicy, *, with_curve: bool = True
) -> PolicyEstimate:
    """`about` may have been made for another threshold of the same router and pair."""
    logged, known = about.logged, about.known
    asked = ask(logged, candidate)
    found = estimate(known, asked.to_strong, rows=asked.rows, decided=asked.decided)
    return PolicyEstimate(
        candidate=candidate,
        span=logged.span,
        is_whole=logged.is_whole,
        found=found,
        domains=_domains(about, asked, candidate),
        points=_points(about, asked) if with_curve else (),
        logged=_logged(about, asked),
        advice=_advice(about, asked, found),
        rescored=logged.rescored,
    )


def _domains(
    about: PreparedLog, asked: CandidateLog, candidate: CandidatePolicy
) -> tuple[DomainAnswer, ...]:
    if candidate.domain:
        return ()
    named = sorted(enumerate(about.logged.domain_names), key=lambda one: one[1])
    return tuple(
        DomainAnswer(
            name,
            estimate(
                about.known,
                asked.to_strong,
                rows=about.logged.domains == number,
                decided=asked.decided,
            ),
        )
        for number, name in named
    )


def _points(about: PreparedLog, asked: CandidateLog) -> tuple[CurvePoint, ...]:
    scores = asked.log.score[asked.rows]
    return curve(about.known, thresholds_of(scores, STEPS), rows=asked.rows)


def _logged(about: PreparedLog, asked: CandidateLog) -> LoggedPoint:
    rows, log = asked.rows, about.known.log
    if not rows.any():
        return LoggedPoint(0.0, None, None)
    quality, cost = about.known.quality, about.known.cost
    rated, priced = rows & quality.rows, rows & cost.rows
    return LoggedPoint(
        strong_share=float((log.took[rows] == STRONG).mean()),
        quality=_share(quality.logged[rated]) if (rated & quality.seen).any() else None,
        cost=float(log.cost[priced].mean()) if priced.any() else None,
    )


def _share(values: Floats) -> float:
    return min(max(float(values.mean()), 0.0), 1.0)


def _advice(about: PreparedLog, asked: CandidateLog, found: WhatIf) -> Advice | None:
    """None unless exploration would help: no overlap, or too few explorations."""
    if found.quality.has_enough and not wants_exploration(asked.log, asked.to_strong, asked.rows):
        return None
    return advise(asked.log, asked.to_strong, about.days, rows=asked.rows)


def routers_of(logged: Logged) -> Sequence[str]:
    """Routers with logged scores, the most frequent first."""
    counts = {name: int(np.isfinite(one).sum()) for name, one in logged.scores.items()}
    return sorted(counts, key=lambda name: (-counts[name], name))
