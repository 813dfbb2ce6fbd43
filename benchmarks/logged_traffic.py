"""Recorded questions as logged traffic: decided by the real decision, under several policies.

What a decision depends on besides the question are its buckets: whether the flag is on, which arm,
whether it explores. So every question is decided once for each combination of these (`decide`, with
a real `Policy`), and traffic is then drawn by hashing fresh ids as the product does: a million
decisions in seconds, and each exactly what `decide` would have answered.
"""
# ruff: noqa: E402 - Django has to know its settings before the product is imported.

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import NamedTuple

import django
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routing_site.settings")
os.environ.setdefault("SECRET_KEY", "benchmarks-only-" + "x" * 50)
django.setup()

from experiments.analysis.off_policy.estimates import OTHER, STRONG, WEAK, Log
from experiments.analysis.off_policy.nuisance import Floats, Ints
from experiments.core.assignment import RecordedBuckets, Unit
from experiments.core.bucketing import BUCKETS, bucket_index
from experiments.core.catalog import Model, ModelCapabilities, ModelCost
from experiments.core.choice import explored_buckets
from experiments.core.costs import estimate_tokens
from experiments.core.decision import decide
from experiments.core.detection import DomainConfig
from experiments.core.money import Price
from experiments.core.policy import (
    FlagRule,
    Policy,
    PolicyArm,
    PolicyDomain,
    PolicyExperiment,
    PolicyRouter,
    RoutingPolicy,
)
from experiments.core.values import DecisionInputs, PromptDecision, Score
from experiments.decisions.rollup_queries import Span
from experiments.lab.decision_log import Logged, Names
from experiments.routers.features import featurise
from experiments.routers.loading import Scorer, load_router
from experiments.routers.outcomes import Outcomes

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NAMES = ("weak/model", "strong/model")
PRICES = (Price(100_000_000, 400_000_000), Price(2_000_000_000, 8_000_000_000))
ROUTERS = ("local", "local_mf")
DOMAIN = "general"
FLAG, EXPERIMENT, EXPLORATION = "flag", "experiment", "exploration"
MOST_REQUESTS = 5
ID_LENGTH = 12

_OFFSET, _PRIME = 0x811C9DC5, 0x01000193


class LoggingPolicy(NamedTuple):
    """A policy that answered the traffic. `arms` are methods; `flag` a share of units."""

    name: str
    policy: RoutingPolicy
    flag: float = 1.0
    arms: tuple[RoutingPolicy, ...] = ()

    def build(self) -> Policy:
        flag = FlagRule("routellm_general_domain", round(self.flag * BUCKETS), FLAG)
        arms = tuple(
            PolicyArm(f"arm-{i}", policy, 1 / len(self.arms), i == 0)
            for i, policy in enumerate(self.arms)
        )
        return Policy(
            revision=1,
            master=FlagRule("routellm_enabled", BUCKETS, "master"),
            domains={DOMAIN: PolicyDomain(DomainConfig(DOMAIN), flag, self.policy)},
            models={name: _model(name, 0.8 + 0.1 * side) for side, name in enumerate(NAMES)},
            prices=dict(zip(NAMES, ((price,) for price in PRICES), strict=True)),
            routers={name: PolicyRouter(name, name, local=True) for name in ROUTERS},
            experiments=(PolicyExperiment("arms", 1, EXPERIMENT, arms),) if arms else (),
            exploration_seed=EXPLORATION,
        )


@dataclass(frozen=True, eq=False)
class Questions:
    """Recorded questions as columns: scores of each router, both sides' quality and costs."""

    scores: dict[str, Floats]
    quality: Floats
    tokens: Ints
    expected: Floats
    actual: Floats
    groups: tuple[Ints, ...]

    def __len__(self) -> int:
        return len(self.tokens)


class Drawn(NamedTuple):
    """Traffic: which question each request asks, of which unit, and the log of it."""

    question: Ints
    log: Log

    def as_read(self, questions: Questions) -> Logged:
        """The same as `read_log` reads it from the database, with every router's scores."""
        log, n = self.log, len(self.log)
        odds, place = np.unique(log.odds, axis=0, return_inverse=True)
        none = np.zeros(n, np.int64)
        return Logged(
            span=Span(NOW - timedelta(days=28), NOW),
            ids=pa.array(np.arange(n).astype(str)),
            domains=log.domains,
            domain_names=(DOMAIN,),
            units=log.units,
            revisions=none,
            intended=log.took,
            strong=none + STRONG,
            weak=none + WEAK,
            models=Names((*NAMES, "another/model")),
            odds=place.reshape(-1).astype(np.int64),
            vectors=tuple(dict(zip(NAMES, row, strict=True)) for row in odds.tolist()),
            scores={name: scores[self.question] for name, scores in questions.scores.items()},
            score_at_work=log.score,
            cost=log.cost,
            cost_strong=log.expected[:, STRONG],
            cost_weak=log.expected[:, WEAK],
            rating=log.rating,
            tokens=log.tokens,
            audited=np.zeros(n, bool),
            audits=none,
        )


def read_questions(outcomes: Outcomes, output_tokens: Sequence[int]) -> Questions:
    """Scored by the shipped routers. Both models write as much; 300 tokens were expected."""
    routers: dict[str, Scorer] = {name: load_router(name) for name in ROUTERS}
    features = [featurise(prompt) for prompt in outcomes.prompts]
    tokens = np.array([estimate_tokens(prompt) for prompt in outcomes.prompts])
    costs = [
        np.array(
            [
                [price.cost(int(read), int(written)) for price in PRICES]
                for read, written in zip(tokens, counts, strict=True)
            ],
            np.float64,
        )
        for counts in (np.full(len(tokens), 300), output_tokens)
    ]
    names = np.array(outcomes.groups)
    return Questions(
        scores={
            name: np.array([router.score(one) for one in features])
            for name, router in routers.items()
        },
        quality=np.stack([outcomes.weak, outcomes.strong], axis=1),
        tokens=tokens,
        expected=costs[0],
        actual=costs[1],
        groups=tuple(np.flatnonzero(names == name) for name in sorted(set(outcomes.groups))),
    )


class Traffic:
    """One logging policy: every question decided in every state, and logs drawn from that."""

    def __init__(self, questions: Questions, logging: LoggingPolicy) -> None:
        self._questions, self.logging = questions, logging
        self._arms = max(1, len(logging.arms))
        n = len(questions)
        shape = (n, 2, self._arms, 2)
        self._took = np.full(shape, OTHER)
        self._odds = np.zeros((n, 2))
        policy = logging.build()
        ids = {explores: _decision_id(self._epsilon(), explores) for explores in (False, True)}
        for number in range(n):
            for on, arm, explores in product((0, 1), range(self._arms), (0, 1)):
                decision = self._decide(policy, number, on, arm, ids[bool(explores)])
                self._took[number, on, arm, explores] = _side(decision.intended)
                vector = decision.propensity.by_model or {}
                self._odds[number] = [vector.get(name, 0.0) for name in NAMES]

    def draw(self, rng: np.random.Generator, units: int, rated: "Rated") -> Drawn:
        """Units with one to five questions of one subject, drawn with replacement."""
        questions = self._questions
        question, unit = draw_questions(rng, questions, units)
        ids = _fresh_ids(rng, units)
        on = bucket_indexes(FLAG, ids) < round(self.logging.flag * BUCKETS)
        arm = bucket_indexes(EXPERIMENT, ids) * self._arms // BUCKETS
        explores = bucket_indexes(EXPLORATION, _fresh_ids(rng, len(question)))
        explored = explores < explored_buckets(self._epsilon())
        took = self._took[question, on[unit].astype(int), arm[unit], explored.astype(int)]
        rows = np.arange(len(question))
        side = np.minimum(took, STRONG)
        quality = questions.quality[question][rows, side]
        chance = rated(questions.scores[ROUTERS[0]][question], side, quality)
        log = Log(
            units=unit,
            strata=np.zeros(len(question), np.int64),
            domains=np.zeros(len(question), np.int64),
            took=took,
            odds=self._odds[question],
            expected=questions.expected[question],
            cost=questions.actual[question][rows, side],
            rating=np.where(rng.random(len(question)) < chance, quality, np.nan),
            score=questions.scores[ROUTERS[0]][question],
            tokens=questions.tokens[question].astype(np.float64),
        )
        return Drawn(question, log)

    def _epsilon(self) -> float:
        return max(
            [self.logging.policy.epsilon, *(arm.epsilon for arm in self.logging.arms)], default=0.0
        )

    def _decide(
        self, policy: Policy, number: int, on: int, arm: int, decision_id: str
    ) -> PromptDecision:
        seen = {
            "master": 0,
            FLAG: 0 if on else BUCKETS - 1,
            EXPERIMENT: arm * BUCKETS // self._arms,
        }
        situation = DecisionInputs(
            decision_id=decision_id,
            unit=Unit(RecordedBuckets(seen), "unit"),
            candidates=(),
            input_tokens=int(self._questions.tokens[number]),
            day=date(2026, 11, 22),
            domain_override=DOMAIN,
        )
        scores = self._questions.scores
        return decide(policy, situation, lambda name: Score(float(scores[name][number])))


class Rated(NamedTuple):
    """Who rates: a share that rises with the score, differs by model, and may depend on whether
    the answer was good, which no estimator can see."""

    share: float
    by_answer: float = 0.0

    def __call__(self, score: Floats, side: Ints, quality: Floats) -> Floats:
        rank = np.argsort(np.argsort(score)) / max(len(score) - 1, 1)
        rate = self.share * (0.6 + 0.8 * rank) * np.where(side == STRONG, 1.0, 0.7)
        return np.clip(rate * (1 + self.by_answer * (1 - quality)), 0, 1)


def draw_questions(rng: np.random.Generator, questions: Questions, units: int) -> tuple[Ints, Ints]:
    """Each question is as likely as any other; requests of a unit are of one subject."""
    sizes = np.array([len(group) for group in questions.groups])
    subject = rng.choice(len(sizes), units, p=sizes / sizes.sum())
    counts = rng.integers(1, MOST_REQUESTS + 1, units)
    unit = np.repeat(np.arange(units), counts)
    of = subject[unit]
    place = (rng.random(len(unit)) * sizes[of]).astype(np.int64)
    starts = np.r_[0, np.cumsum(sizes)[:-1]]
    return np.concatenate(questions.groups)[starts[of] + place], unit


def bucket_indexes(seed: str, ids: NDArray[np.uint8]) -> Ints:
    """`core.bucketing.bucket_index` for many ids at once, each a row of ASCII bytes."""
    state = np.full(len(ids), _OFFSET, np.uint32)
    for letter in seed.encode():
        state = _step(state, np.uint32(letter))
    for place in range(ids.shape[1]):
        state = _step(state, ids[:, place].astype(np.uint32))
    second = np.full(len(ids), _OFFSET, np.uint32)
    for power in range(9, -1, -1):
        digit = np.uint32(ord("0")) + state // np.uint32(10**power) % np.uint32(10)
        is_written = state >= 10**power if power else True
        second = np.where(is_written, _step(second, digit), second)
    return (second % BUCKETS).astype(np.int64)


def _step(state: NDArray[np.uint32], byte: "NDArray[np.uint32] | np.uint32") -> NDArray[np.uint32]:
    return np.asarray((state ^ byte) * np.uint32(_PRIME), np.uint32)


def _fresh_ids(rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    return rng.integers(ord("a"), ord("z") + 1, (count, ID_LENGTH)).astype(np.uint8)


def _decision_id(epsilon: float, explores: bool) -> str:
    """An id that explores (or does not) at this rate; any does where nothing explores."""
    if not epsilon:
        return "any"
    return next(name for name in _ids() if _explores(name, epsilon) is explores)


def _explores(name: str, epsilon: float) -> bool:
    return bucket_index(EXPLORATION, name) < explored_buckets(epsilon)


def _ids() -> Iterator[str]:
    return (f"decision-{number}" for number in range(1_000_000))


def _side(model: str) -> int:
    return {NAMES[0]: WEAK, NAMES[1]: STRONG}.get(model, OTHER)


def _model(name: str, accuracy: float) -> Model:
    capabilities = ModelCapabilities((), accuracy_score=accuracy)
    return Model(name, name.partition("/")[0], capabilities, ModelCost())
