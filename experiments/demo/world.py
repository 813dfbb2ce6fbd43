"""The truth of the demonstration: quality, length and cost of each model's answers.

A prompt has a difficulty in [0, 1]. All models answer easy prompts equally well; beyond `EASY`,
weaker models lose more quality. How well the router's score reflects the difficulty differs by
domain (`INSIGHT`): not at all in `creative`, where routing is no better than a random router.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import NamedTuple

import numpy as np

from experiments.analysis.routing.measures import threshold_for_share
from experiments.core.assignment import RecordedBuckets, Unit
from experiments.core.costs import estimate_tokens
from experiments.core.decision import detected_domain
from experiments.core.detection import Candidate
from experiments.core.money import price_on
from experiments.core.policy import Method, Policy, RoutingPolicy
from experiments.core.values import DecisionInputs, Failure, Score
from experiments.demo.prompts import prompts
from experiments.routers.features import featurise
from experiments.routing.runtime import engine

ROUTER = "local"
BEST, TIRING, EASY, STEEP, PERFECT = 0.96, 0.06, 0.35, 4.0, 0.98
CONTEXT_TOKENS = 1_500
SHORTEST_ANSWER, LONGER_WHEN_HARD = 250, 700
FAILURES = 0.004
INSIGHT = {
    "technical": 0.95,
    "general": 0.9,
    "educational": 0.85,
    "medical": 0.85,
    "legal": 0.8,
    "financial": 0.8,
    "scientific": 0.75,
    "creative": 0.0,
}


class DemoPrompt(NamedTuple):
    """One prompt with its features. `difficulty` lies in [0, 1]."""

    text: str
    domain: str
    candidates: tuple[Candidate, ...]
    detector: str
    scores: Mapping[str, Score | Failure]
    input_tokens: int
    difficulty: float

    @property
    def score(self) -> float:
        answer = self.scores[ROUTER]
        if isinstance(answer, Failure):
            raise TypeError(f"The router {ROUTER} gave no score: {answer.detail}")
        return answer.value

    def answer_tokens(self) -> float:
        """Expected tokens of an answer, whichever model writes it."""
        return SHORTEST_ANSWER + LONGER_WHEN_HARD * self.difficulty


class SimulatedTruth(NamedTuple):
    """A policy's mean quality and cost over a domain's prompts. Cost in dollars per request."""

    cost: float
    quality: float
    strong_share: float


@dataclass(frozen=True)
class World:
    """Prompts by detected domain, and every model's answers to them."""

    pools: Mapping[str, tuple[DemoPrompt, ...]]
    policy: Policy
    day: date

    def quality(self, prompt: DemoPrompt, model: str) -> float:
        """The expected rating of an answer, in [0, 1]."""
        accuracy = self.policy.models[model].capabilities.accuracy_score
        beyond = max(0.0, prompt.difficulty - EASY) / (1 - EASY)
        return BEST - TIRING * prompt.difficulty - STEEP * (PERFECT - accuracy) * beyond

    def cost(self, prompt: DemoPrompt, model: str) -> float:
        """Expected dollars for one answer; one that fails has no tokens."""
        price = price_on(self.policy.prices[model], self.day)
        if price is None:
            raise LookupError(f"{model} has no price. Run `manage.py refresh_prices`.")
        written = (1 - FAILURES) * prompt.answer_tokens()
        nano = prompt.input_tokens * price.input_per_million + written * price.output_per_million
        return nano / 1e6 / 1e9 + price.per_request / 1e9

    def threshold(self, domain: str, strong_share: float) -> float:
        """The threshold that sends this share of the domain's prompts to the strong model."""
        found = threshold_for_share([p.score for p in self.pools[domain]], strong_share)
        return round(found.threshold or 0.0, 6)

    def truth(self, domain: str, policy: RoutingPolicy) -> SimulatedTruth:
        """All prompts of a domain have the same probability."""
        pool = self.pools[domain]
        models = [self._model(prompt, policy) for prompt in pool]
        pairs = list(zip(pool, models, strict=True))
        return SimulatedTruth(
            cost=float(np.mean([self.cost(*pair) for pair in pairs])),
            quality=float(np.mean([self.quality(*pair) for pair in pairs])),
            strong_share=models.count(self.strong) / len(models),
        )

    @cached_property
    def strong(self) -> str:
        return self.policy.default_pair.strong or ""

    @cached_property
    def weak(self) -> str:
        return self.policy.default_pair.weak or ""

    def _model(self, prompt: DemoPrompt, policy: RoutingPolicy) -> str:
        if policy.method is Method.ALWAYS_STRONG:
            return self.strong
        if policy.method is Method.ALWAYS_WEAK:
            return self.weak
        if policy.method is Method.ROUTELLM and policy.threshold is not None:
            return self.strong if prompt.score >= policy.threshold else self.weak
        raise ValueError(f"There is no known truth for the policy {policy}.")


def build_world(policy: Policy, day: date) -> World:
    """Detects and scores every prompt once, which takes a second or two."""
    looked_at = [_look_at(policy, text, day) for text in prompts()]
    pools = {
        name: _with_difficulty([prompt for prompt in looked_at if prompt.domain == name])
        for name in policy.domains
    }
    return World(pools, policy, day)


def _look_at(policy: Policy, text: str, day: date) -> DemoPrompt:
    features = featurise(text)
    found = engine.detect(policy, text, features)
    no_unit = Unit(RecordedBuckets({}), "")
    tokens = CONTEXT_TOKENS + estimate_tokens(text)
    domain, _ = detected_domain(policy, DecisionInputs("", no_unit, found.candidates, tokens, day))
    scores = {name: engine.score(name, features) for name in policy.routers}
    return DemoPrompt(text, domain.name, found.candidates, found.detector, scores, tokens, 0.0)


def _with_difficulty(pool: Iterable[DemoPrompt]) -> tuple[DemoPrompt, ...]:
    """A mix of the score's rank and the rank of a hash, weighted by the router's insight."""
    prompts = sorted(pool, key=lambda prompt: (prompt.score, prompt.text))
    hidden = sorted(prompts, key=lambda prompt: zlib.crc32(prompt.text.encode()))
    drawn = {prompt.text: rank for rank, prompt in enumerate(hidden)}
    seen = {
        prompt.text: INSIGHT.get(prompt.domain, 0.0) * rank
        + (1 - INSIGHT.get(prompt.domain, 0.0)) * drawn[prompt.text]
        for rank, prompt in enumerate(prompts)
    }
    ordered = sorted(prompts, key=lambda prompt: seen[prompt.text])
    last = max(1, len(ordered) - 1)
    return tuple(prompt._replace(difficulty=rank / last) for rank, prompt in enumerate(ordered))
