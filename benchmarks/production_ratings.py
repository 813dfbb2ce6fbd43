"""Do promises and "what if?" hold where only one model's answer was rated? Through the product.

    python -m benchmarks.production_ratings                  # all tables, minutes on one core
    python -m benchmarks.production_ratings --only promises --runs 300

Worlds with a known truth are drawn as logs: what `read_log` gives for rows of the database. Each is
then asked by the functions that page and command call (`calibrating.proposal`, `what_if.answer`).
A share is followed by its standard error in brackets. The same seed prints the same tables.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy.special import expit, ndtr, ndtri

from benchmarks.logged_traffic import NAMES, LoggingPolicy
from benchmarks.tables import heading, line, share
from experiments.analysis.off_policy.estimates import STRONG, WEAK
from experiments.analysis.off_policy.nuisance import Floats, Ints
from experiments.core.policy import Method, RoutingPolicy
from experiments.decisions.rollup_queries import Span
from experiments.lab.candidates import CandidatePolicy
from experiments.lab.decision_log import Logged, Names
from experiments.lab.off_policy import answer, question
from experiments.lab.text.off_policy import tail_words
from experiments.lab.threshold_proposals import ThresholdGoal, proposal
from experiments.models import Calibration

SEED = 20261128
DOMAIN, ROUTER, OTHER_ROUTER, THRESHOLD = "general", "local", "local_mf", 0.5
RHO, DELTA = 0.9, 0.1
BIG = 300_000
NOW = datetime(2026, 11, 22, tzinfo=UTC)
POLICY = LoggingPolicy("", RoutingPolicy(Method.ROUTELLM, ROUTER, THRESHOLD)).build()


class World(NamedTuple):
    """Traffic and what became of it. The weak model loses `loses` times the score, on the logit.

    A request goes to the weak model with probability `weak`, but with `rare` in a part of the
    traffic, where the weak model is bad. `rated` is the share rated; it rises with the score and is
    lower for the weak model. Where `unhappy`, bad answers are rated so many times as often. `audit`
    is the share drawn for an audit, `done` the share of those that get rated. Of the units the
    share `busy[0]` asks `busy[1]` times, is hard for the weak model, and the others ask once.
    `other` is the correlation of another router's scores, which are asked about, with the scores
    of the one that logs. `steep` is how much more often high scores are rated.
    """

    name: str
    units: int = 500
    weak: float = 0.5
    follows_router: bool = False
    part: Callable[[np.random.Generator, Floats], Floats] | None = None
    rare: float = 0.004
    rated: float = 1.0
    unhappy: float = 1.0
    audit: float = 0.0
    done: float = 1.0
    busy: tuple[float, int] | None = None
    requests: int = 1
    loses: float = 1.2
    holds: bool = True
    other: float | None = None
    steep: float = 0.8

    @property
    def router(self) -> str:
        return ROUTER if self.other is None else OTHER_ROUTER


class Drawn(NamedTuple):
    """The log, and the chance of a good answer of either side of each request."""

    logged: Logged
    good: Floats
    router: str = ROUTER

    @property
    def scores(self) -> Floats:
        return self.logged.scores[self.router]

    def quality(self, threshold: float) -> float:
        strong = self.scores >= threshold
        return float(np.where(strong, self.good[:, STRONG], self.good[:, WEAK]).mean())

    def keeps(self, threshold: float) -> bool:
        return self.quality(threshold) >= RHO * self.quality(0.0)


def anywhere(rng: np.random.Generator, scores: Floats) -> Floats:
    return (rng.random(len(scores)) < 0.3).astype(np.float64)


def highest(rng: np.random.Generator, scores: Floats) -> Floats:
    return (scores > 0.7).astype(np.float64)


PROMISES = (
    World("30 % of the traffic explored at 0.4 %", part=anywhere),
    World("the same, at 0.1 %", part=anywhere, rare=0.001),
    World("the same, at 0.4 %, half rated", part=anywhere, rated=0.5),
    World("the highest scores explored at 0.4 %", part=highest),
    World("the same, half rated", part=highest, rated=0.5),
    World("the same, 3 of 10 rated, 1,000 units", part=highest, rated=0.3, units=1000),
    World("a tenth of the customers asks 20 times, and is hard", busy=(0.1, 20)),
    World("the same, 4 of 10 rated", busy=(0.1, 20), rated=0.4),
    World("1 % of the customers asks 200 times, and is hard", busy=(0.01, 200)),
    World(
        "router explores 10 %, 4 of 10 rated",
        *(2000, 0.1, True),
        rated=0.4,
        requests=3,
    ),
    World(
        "router explores 5 %, half rated, much to lose",
        *(3000, 0.05, True),
        rated=0.5,
        loses=3.0,
    ),
    World("unhappy users rate thrice as often, 30 % audited", 2000, unhappy=3.0, audit=0.3),
    World(
        "the same, 7 of 10 audits done", 2000, unhappy=3.0, audit=0.3, done=0.7, rated=0.3, loses=3
    ),
)
COVERAGE = (
    World("30 % of the traffic explored at 0.4 %", 2000, part=anywhere),
    World("30 % of the traffic explored at 5 %", 6000, part=anywhere, rare=0.05),
    World("router explores 10 %, half rated", 6000, 0.1, follows_router=True, rated=0.5),
    World("unhappy volunteers, 10 % audited", 3000, rated=0.2, unhappy=3.0, audit=0.1),
    World("the same, 7 of 10 audits done", 3000, rated=0.2, unhappy=3.0, audit=0.1, done=0.7),
    World("unhappy volunteers, no audit", 3000, rated=0.2, unhappy=3.0, holds=False),
    *(
        World(
            "another router; who rates depends on the score at work",
            units,
            rated=0.5,
            loses=2.0,
            other=0.5,
            steep=1.2,
        )
        for units in (1500, 6000)
    ),
)


def draw(rng: np.random.Generator, world: World, units: int = 0) -> Drawn:
    unit, is_busy = _units(rng, world, units or world.units)
    n = len(unit)
    score = rng.random(n)
    rare = np.zeros(n) if world.part is None else world.part(rng, score)
    mood = rng.normal(0, 0.5, int(unit[-1]) + 1)[unit]
    good = expit(np.stack([1.8 + mood - world.loses * score, 1.6 + mood], axis=1))
    good[:, WEAK] *= np.where(rare > 0, 0.1, 1.0) * np.where(is_busy, 0.3, 1.0)
    weak = np.full(n, world.weak)
    if world.follows_router:
        weak = np.where(score >= THRESHOLD, world.weak, 1 - world.weak)
    weak = np.where(rare > 0, world.rare, weak)
    took = np.where(rng.random(n) < weak, WEAK, STRONG)
    liked = (rng.random(n) < good[np.arange(n), took]).astype(np.float64)
    audited = (rng.random(n) < world.audit).astype(np.float64)
    rates = _rates(world, score, took, liked)
    rated = rng.random(n) < np.where(audited > 0, world.done, rates)
    rating = np.where(rated, liked, np.nan)
    logged = _logged(unit, score, took, weak, rating, audited)
    if world.other is not None:
        scores = {ROUTER: score, OTHER_ROUTER: _correlated(rng, score, world.other)}
        logged = replace(logged, scores=scores)
    return Drawn(logged, good, world.router)


def _correlated(rng: np.random.Generator, score: Floats, rho: float) -> Floats:
    """Another router's scores: as evenly spread, their normal scores correlated by `rho`."""
    noise = rng.normal(0, 1, len(score))
    return np.asarray(ndtr(rho * ndtri(score) + np.sqrt(1 - rho**2) * noise))


def _rates(world: World, score: Floats, took: Ints, liked: Floats) -> Floats:
    if world.rated >= 1 and world.unhappy == 1:
        return np.ones(len(score))
    rates = min(world.rated, 0.3 if world.unhappy > 1 else 1.0) * (
        _level(world) + world.steep * score
    )
    rates = rates * np.where(took == STRONG, 1.0, 0.7)
    return np.asarray(np.clip(rates * np.where(liked > 0, 1.0, world.unhappy), 0, 1))


def _level(world: World) -> float:
    """What a score of 0 is rated, so that the mean stays where it is."""
    return 0.8 - world.steep / 2


def _units(rng: np.random.Generator, world: World, units: int) -> "tuple[Ints, Floats]":
    is_busy = rng.random(units) < (world.busy[0] if world.busy else 0.0)
    usual = rng.integers(1, world.requests + 1, units)
    counts = np.where(is_busy, world.busy[1] if world.busy else 1, usual)
    return np.repeat(np.arange(units), counts), np.repeat(is_busy, counts)


def _logged(
    unit: Ints, score: Floats, took: Ints, weak: Floats, rating: Floats, audited: Floats
) -> Logged:
    n = len(unit)
    odds, place = np.unique(weak, return_inverse=True)
    none, money = np.zeros(n, np.int64), np.full(n, 1e6)
    return Logged(
        span=Span(NOW - timedelta(days=28), NOW),
        ids=pa.array(np.arange(n).astype(str)),
        domains=none,
        domain_names=(DOMAIN,),
        units=unit,
        revisions=none,
        intended=took,
        strong=none + STRONG,
        weak=none + WEAK,
        models=Names(NAMES),
        odds=place.astype(np.int64),
        vectors=tuple({NAMES[0]: one, NAMES[1]: 1 - one} for one in odds.tolist()),
        scores={ROUTER: score},
        score_at_work=score,
        cost=np.where(took == STRONG, 10 * money, money),
        cost_strong=10 * money,
        cost_weak=money,
        rating=rating,
        tokens=np.full(n, 100.0),
        audited=audited > 0,
        audits=none,
    )


def promises(rng: np.random.Generator, runs: int) -> Iterator[str]:
    """How often a promise of 90 % of the strong model's quality is broken: at most 10 % may."""
    yield heading(
        "log", "units", "promise broken", "no promise", "strong share promised", "best", "kept"
    )
    wanted = ThresholdGoal(Calibration.Aim.QUALITY, RHO, DELTA)
    for world, own in zip(PROMISES, rng.spawn(len(PROMISES)), strict=True):
        big = draw(own, world, BIG)
        found = [proposal(POLICY, DOMAIN, draw(own, world).logged, wanted) for _ in range(runs)]
        chosen = [one.threshold for one in found if one.threshold is not None]
        shares = [float((big.scores >= threshold).mean()) for threshold in chosen]
        kept = [big.quality(one) / big.quality(0.0) for one in chosen]
        grid = np.linspace(0, 1, 201)
        best = min(float((big.scores >= one).mean()) for one in grid if big.keeps(one))
        yield line(
            world.name,
            f"{world.units:,}",
            share(sum(not big.keeps(one) for one in chosen), runs),
            share(runs - len(chosen), runs),
            f"{100 * float(np.mean(shares)):.0f} %" if shares else "",
            f"{100 * best:.0f} %",
            f"{100 * float(np.mean(kept)):.0f} %" if kept else "",
        )


def coverage(rng: np.random.Generator, runs: int) -> Iterator[str]:
    """How often a 95 % interval of quality holds the truth, of those that are given."""
    yield heading("log", "units", "policy", "intervals given", "hold the truth", "bias", "")
    for world, own in zip(COVERAGE, rng.spawn(len(COVERAGE)), strict=True):
        big = draw(own, world, BIG)
        for threshold, name in ((0.0, "always strong"), (0.7, "0.7"), (1.01, "always weak")):
            truth = big.quality(threshold)
            method = Method.ALWAYS_WEAK if threshold > 1 else Method.ROUTELLM
            candidate = CandidatePolicy(method, world.router, threshold, domain=DOMAIN)
            given = hits = 0
            errors = []
            for _ in range(runs):
                asked = question(draw(own, world).logged, candidate)
                found = answer(asked, candidate, with_curve=False).found
                metric_estimate = found.quality.doubly_robust
                if metric_estimate.low is None or metric_estimate.high is None:
                    continue
                given += 1
                hits += metric_estimate.low <= truth <= metric_estimate.high
                errors.append((metric_estimate.value or 0.0) - truth)
            yield line(
                world.name,
                f"{world.units:,}",
                name,
                share(given, runs),
                share(hits, given) if given else "",
                f"{float(np.mean(errors)):+.3f}" if errors else "",
                "" if world.holds else "condition broken",
            )


class Tail(NamedTuple):
    """How much a request costs of what was expected: drawn with a mean of 1."""

    name: str
    draw: Callable[[np.random.Generator, int], Floats]


def log_normal(sigma: float) -> Callable[[np.random.Generator, int], Floats]:
    return lambda rng, n: rng.lognormal(-(sigma**2) / 2, sigma, n)


def pareto(index: float) -> Callable[[np.random.Generator, int], Floats]:
    return lambda rng, n: (1 + rng.pareto(index, n)) * (index - 1) / index


TAILS = (
    Tail("log-normal, sigma 0.5", log_normal(0.5)),
    Tail("log-normal, sigma 1", log_normal(1.0)),
    Tail("log-normal, sigma 2", log_normal(2.0)),
    Tail("Pareto, index 2.5", pareto(2.5)),
    Tail("Pareto, index 1.5", pareto(1.5)),
)
REQUESTS = (1500, 6000, 20_000)


def costly(rng: np.random.Generator, tail: Tail, requests: int) -> Logged:
    """A log of random choices, whose costs have a heavy tail around their expectation."""
    logged = draw(rng, World("random", requests)).logged
    return replace(logged, cost=logged.cost * tail.draw(rng, requests))


def costs(rng: np.random.Generator, runs: int) -> Iterator[str]:
    """How often a 95 % interval of the cost of "always strong" holds the truth, and whether the
    answer says it where it does not."""
    yield heading(
        "costs",
        "requests",
        "hold the truth",
        "truth above",
        "warned",
        "truth outside and no warning",
        "ten largest carry",
    )
    candidate, truth = CandidatePolicy(Method.ALWAYS_STRONG, domain=DOMAIN), 1e7
    for tail in TAILS:
        for requests in REQUESTS:
            held = above = warned = silent = 0
            largest = []
            for _ in range(runs):
                asked = question(costly(rng, tail, requests), candidate)
                found = answer(asked, candidate, with_curve=False).found.cost
                low, high = found.doubly_robust.low or 0.0, found.doubly_robust.high or 0.0
                holds, is_warned = low <= truth <= high, bool(tail_words(found))
                held, above, warned = held + holds, above + (truth > high), warned + is_warned
                silent += not holds and not is_warned
                largest.append(found.largest)
            yield line(
                tail.name,
                f"{requests:,}",
                *(share(count, runs) for count in (held, above, warned, silent)),
                f"{100 * float(np.median(largest)):.0f} %",
            )


TABLES = {
    "promises": (f"Promises of {100 * RHO:.0f} % of strong quality, risk 10 %", promises),
    "coverage": ("95 % intervals of quality of policies that never ran", coverage),
    "costs": ("95 % intervals of cost, where costs have tails", costs),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=TABLES, help="print this table only")
    parser.add_argument("--runs", type=int, default=300, help="logs drawn for each row")
    parser.add_argument("--seed", type=int, default=SEED, help=f"default {SEED}")
    options = parser.parse_args()
    for number, (name, (title, rows)) in enumerate(TABLES.items()):
        if options.only not in (None, name):
            continue
        print(f"\n### {title} ({options.runs:,} logs a row)\n")
        for row in rows(np.random.default_rng([options.seed, number]), options.runs):
            print(row, flush=True)


if __name__ == "__main__":
    main()
