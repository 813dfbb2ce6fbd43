"""Proposes a threshold for one domain: for a strong share, a budget, or a guaranteed quality."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from math import inf
from typing import NamedTuple

import numpy as np

from experiments.analysis.errors import GradeError
from experiments.analysis.off_policy.estimates import (
    NOTHING,
    Bounds,
    RatedBy,
    estimate,
    mean_over_units,
    share_of_largest,
    share_over_units,
)
from experiments.analysis.off_policy.nuisance import Floats, Ints
from experiments.analysis.routing.calibration import (
    FEWEST_UNITS,
    NOT_ALL,
    Graded,
    Guarantee,
    Promise,
    Shortage,
    goes_both_ways,
    graded_quality,
    grid_of,
    guarantee,
    rated_in_production,
    threshold_for_budget,
)
from experiments.analysis.routing.measures import Cut, threshold_for_share
from experiments.analytics.drift import expected_band
from experiments.core.money import NANO
from experiments.core.policy import Policy
from experiments.core.values import Score
from experiments.decisions.rollup_queries import Span
from experiments.formatting import in_dollars
from experiments.lab.candidates import CandidatePolicy, CannotAskError
from experiments.lab.decision_log import MOST_ON_A_PAGE, Logged, read_log
from experiments.lab.off_policy import PreparedLog, question
from experiments.lab.share_calibration import ENOUGH
from experiments.lab.text.off_policy import shortage_words
from experiments.models import Calibration, RecordedOutcome
from experiments.models.sums import SCORE_BINS
from experiments.routers.features import featurise
from experiments.routing.runtime import engine, threshold_at_work

Aim = Calibration.Aim
PRODUCTION = "production ratings"


class ThresholdGoal(NamedTuple):
    """The goal of a threshold. `wanted` is the strong share, the dollars per 1,000 requests, or the
    share of the strong model's quality; the other fields apply to quality only.

    `source` names an outcome set, of which `most` prompts are scored; "" means production ratings.
    """

    aim: Aim
    wanted: float
    delta: float = 0.1
    source: str = ""
    most: int | None = None


class ExpectedEffect(NamedTuple):
    """The effect of a threshold on the domain, per request. Cost in nano-dollars at the prices of
    the decisions; `largest` is the share of the ten largest requests in it."""

    threshold: float | None
    strong_share: Bounds
    cost: Bounds
    quality: Bounds
    largest: float = 0.0


class Proposal(NamedTuple):
    """A threshold to compare with today's. If it is None, `problem` has the reason.
    `strong` is what the strong model alone does: what a promise of quality is measured against.
    `split`: so many groups of graded prompts were too few to be the units of the promise.
    `left_out` prompts could have gone to one model only; scores above `covered_to` are of such
    prompts. `ratings` are those of production, where the promise rests on them. `is_whole` says
    whether every decision of the time was read."""

    domain: str
    router: str
    wanted: ThresholdGoal
    threshold: float | None
    problem: str
    expected: ExpectedEffect | None
    today: ExpectedEffect | None
    walk: Guarantee | None
    scores: int
    graded: int
    split: int = 0
    histogram: tuple[int, ...] = ()
    checkpoint: str = ""
    is_whole: bool = True
    strong: ExpectedEffect | None = None
    left_out: int = 0
    covered_to: float | None = None
    ratings: RatedBy | None = None

    @property
    def candidate(self) -> CandidatePolicy:
        return CandidatePolicy(router=self.router, threshold=self.threshold, domain=self.domain)

    def as_calibration(self, author: str, at: datetime) -> Calibration:
        """The row to store when it is applied. Not saved. Raises ValueError without a threshold."""
        if self.threshold is None or self.expected is None:
            raise ValueError(self.problem)
        share = self.expected.strong_share.value or 0.0
        within = expected_band(self.domain, self.router, self.threshold, share, at)
        is_promise = self.wanted.aim is Aim.QUALITY
        return Calibration(
            domain=self.domain,
            router=self.router,
            checkpoint=self.checkpoint,
            aim=self.wanted.aim,
            wanted=self.wanted.wanted,
            delta=self.wanted.delta if is_promise else None,
            threshold=self.threshold,
            strong_share=share,
            low=within.low,
            high=within.high,
            scores=list(self.histogram),
            source=(self.wanted.source or PRODUCTION) if is_promise else "recent scores",
            author=author,
            at=at,
        )


class _Known(NamedTuple):
    about: PreparedLog
    rows: "np.ndarray[tuple[int], np.dtype[np.bool_]]"
    graded: Graded | str

    @property
    def scores(self) -> Floats:
        return self.about.asked.log.score[self.rows]


def propose(
    policy: Policy,
    domain: str,
    span: Span,
    wanted: ThresholdGoal,
    *,
    domains: int = 1,
    most: int = MOST_ON_A_PAGE,
) -> Proposal:
    """Three or four queries, and one for an outcome set, whose prompts are scored; `most` decisions
    are read, the newest.

    `domains` is how many are calibrated together: they share the risk. Raises CannotAskError for a
    domain or a wish that cannot be.
    """
    _check(policy, domain, wanted)
    logged = read_log(span, domain, limit=most)
    return proposal(policy, domain, logged, wanted, domains=domains)


def proposal(
    policy: Policy, domain: str, logged: Logged, wanted: ThresholdGoal, *, domains: int = 1
) -> Proposal:
    """The same from a log that was already read."""
    configured = policy.domains[domain]
    router = configured.policy.router or ""
    if router not in logged.scores:
        return _nothing(domain, router, wanted, f"too few scores, 0 of {ENOUGH}", 0)
    today = threshold_at_work(configured)
    about = question(logged, CandidatePolicy(router=router, threshold=today or 0.5, domain=domain))
    known = _Known(about, np.isfinite(about.asked.log.score), "")
    if len(known.scores) < ENOUGH:
        problem = f"too few scores, {len(known.scores)} of {ENOUGH}"
        return _nothing(domain, router, wanted, problem, len(known.scores))
    known = known._replace(graded=_graded(known, domain, router, wanted))
    cut, walk, problem = _cut(known, wanted, domains)
    threshold = cut.threshold if cut else None
    pinned = policy.routers.get(router)
    graded = known.graded if isinstance(known.graded, Graded) else None
    return Proposal(
        domain=domain,
        router=router,
        wanted=wanted,
        threshold=threshold,
        problem=problem,
        expected=None if threshold is None else _expected(known, threshold),
        today=None if today is None else _expected(known, today),
        walk=walk,
        scores=len(known.scores),
        graded=len(graded) if graded else 0,
        split=graded.split if graded else 0,
        histogram=_histogram(known.scores),
        is_whole=logged.is_whole,
        checkpoint=(pinned.checkpoint or "") if pinned else "",
        strong=_expected(known, 0.0) if wanted.aim is Aim.QUALITY else None,
        left_out=graded.left_out if graded else 0,
        covered_to=graded.covered_to if graded and graded.covered_to < inf else None,
        ratings=graded.ratings if graded else None,
    )


def _cut(
    known: _Known, wanted: ThresholdGoal, domains: int
) -> tuple[Cut | None, Guarantee | None, str]:
    if wanted.aim is Aim.SHARE:
        found = threshold_for_share(known.scores, wanted.wanted)
        return found, None, "" if found.threshold is not None else _always_weak("That share")
    if wanted.aim is Aim.BUDGET:
        return _budgeted(known, wanted)
    if isinstance(known.graded, str):
        return None, None, f"The data cannot support any threshold: {known.graded}."
    promise = Promise(wanted.wanted, wanted.delta, domains)
    walk = guarantee(known.graded, grid_of(known.scores), promise)
    if walk.threshold is None:
        return None, walk, f"The data cannot support any threshold: {_why(walk)}."
    return Cut(walk.threshold, walk.strong_share or 0.0), walk, ""


def _why(walk: Guarantee) -> str:
    return shortage_words(walk.shortage) if walk.shortage else ""


def _budgeted(known: _Known, wanted: ThresholdGoal) -> tuple[Cut | None, None, str]:
    expected = known.about.asked.log.expected[known.rows]
    priced = np.isfinite(expected).all(axis=1)
    if not priced.any():
        return None, None, "No request has prices for both of its models: enter them first."
    weak, strong = expected[priced, 0], expected[priced, 1]
    budget = wanted.wanted * NANO / 1000
    found = threshold_for_budget(known.scores[priced], strong, weak, budget)
    if found is None:
        least = float(weak.mean()) * 1000 / NANO
        return (
            None,
            None,
            f"Even the weak model alone costs {in_dollars(least, 3)} per 1,000 requests.",
        )
    return found, None, "" if found.threshold is not None else _always_weak("That budget")


def _always_weak(what: str) -> str:
    return f"{what} sends nothing to the strong model: choose the method “always weak” instead."


def _graded(known: _Known, domain: str, router: str, wanted: ThresholdGoal) -> Graded | str:
    if wanted.aim is not Aim.QUALITY:
        return ""
    if wanted.source:
        return graded_set(wanted.source, domain, router, wanted.most)
    rated = rated_in_production(known.about.known, known.rows)
    return shortage_words(rated) if isinstance(rated, Shortage) else rated


def graded_set(source: str, domain: str, router: str, most: int | None = None) -> Graded | str:
    """An outcome set's prompts of the domain (or without a domain), scored now, or the reason why
    there are none.

    `most` selects the first ones in the order of their hashes, which is arbitrary.
    """
    rows = RecordedOutcome.objects.filter(outcome_set__name=source, domain__in=(domain, ""))
    columns = rows.exclude(prompt="").order_by("digest")
    read = list(columns.values_list("prompt", "weak_score", "strong_score", "group")[:most])
    if not read:
        return f"the outcome set “{source}” has no prompt of {domain}"
    prompts, weak, strong, groups = zip(*read, strict=True)
    scores = np.array(list(_scores(router, prompts)))
    known = np.isfinite(scores)
    if not known.any():
        return f"router “{router}” cannot score its prompts now"
    units, split = units_of([group for group, has in zip(groups, known, strict=True) if has])
    try:
        return Graded(
            units=units,
            scores=scores[known],
            weak=np.array(weak, np.float64)[known],
            strong=np.array(strong, np.float64)[known],
            split=split,
        )
    except GradeError as error:
        return f"{str(error)[:1].lower()}{str(error)[1:].rstrip('.')}"


def units_of(groups: Sequence[str]) -> tuple[Ints, int]:
    """The number of each prompt's unit: its group, or itself if it has none.

    If that gives too few units for any promise (subjects, not customers), every prompt is a unit,
    and the second value is the number of groups.
    """
    alone = np.arange(len(groups), dtype=np.int64)
    named = [group or f"\0{place}" for place, group in enumerate(groups)]
    units = np.unique(np.array(named, object).astype(str), return_inverse=True)[1]
    if int(units.max(initial=-1)) + 1 >= min(FEWEST_UNITS, len(groups)):
        return units.astype(np.int64), 0
    return alone, len({group for group in groups if group})


def _scores(router: str, prompts: Iterable[str]) -> Iterable[float]:
    for prompt in prompts:
        answer = engine.score(router, featurise(prompt))
        yield answer.value if isinstance(answer, Score) else np.nan


def _expected(known: _Known, threshold: float) -> ExpectedEffect:
    log, rows, evidence = known.about.asked.log, known.rows, known.about.known
    to_strong = rows & (np.nan_to_num(log.score, nan=-1.0) >= threshold)
    units = _units(log.units[rows])
    quality = NOTHING
    if isinstance(known.graded, Graded) and known.graded.ratings is None:
        quality = graded_quality(known.graded, threshold)
    else:
        both = rows & goes_both_ways(log) if isinstance(known.graded, Graded) else rows
        found = estimate(evidence, to_strong, rows=both)
        if found.without_overlap == 0 and found.quality.matching:
            quality = found.quality.doubly_robust
    expected = log.expected[rows]
    priced = np.isfinite(expected).all(axis=1)
    costs = np.where(to_strong[rows], expected[:, 1], expected[:, 0])[priced]
    return ExpectedEffect(
        threshold=threshold,
        strong_share=share_over_units(to_strong[rows].astype(np.float64), units),
        cost=mean_over_units(costs, units[priced]),
        quality=quality,
        largest=share_of_largest(costs),
    )


def _units(units: Ints) -> Ints:
    return np.unique(units, return_inverse=True)[1].astype(np.int64)


def _histogram(scores: Floats) -> tuple[int, ...]:
    places = np.clip((scores * SCORE_BINS).astype(np.int64), 0, SCORE_BINS - 1)
    return tuple(int(count) for count in np.bincount(places, minlength=SCORE_BINS))


def _nothing(
    domain: str, router: str, wanted: ThresholdGoal, problem: str, scores: int
) -> Proposal:
    return Proposal(
        domain,
        router,
        wanted,
        None,
        f"{problem[:1].upper()}{problem[1:]}.",
        None,
        None,
        None,
        scores,
        0,
    )


def _check(policy: Policy, domain: str, wanted: ThresholdGoal) -> None:
    if domain not in policy.domains:
        known = ", ".join(sorted(policy.domains))
        raise CannotAskError(f"Unknown domain '{domain}'. Known domains: {known}.")
    if wanted.aim is Aim.BUDGET:
        if not 0.0 < wanted.wanted < inf:
            raise CannotAskError("A budget is dollars per 1,000 requests, above 0.")
    elif wanted.aim is Aim.QUALITY and wanted.wanted == 1.0:
        raise CannotAskError(NOT_ALL)
    elif not 0.0 < wanted.wanted <= 1.0:
        raise CannotAskError("A share lies above 0 and up to 1: 0.95 is 95 %.")
    if not 0.0 < wanted.delta < 1.0:
        raise CannotAskError("The risk lies between 0 and 1: 0.1 is 10 %.")
