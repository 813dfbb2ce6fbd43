"""Forecasts policies on a domain's prompts: strong share, cost, and whether two of them would send
every prompt to the same model.

Uses recent decisions, whose scores are stored; else an outcome set with the router's scores; else
the shipped example prompts. `Chooser` chooses, as it does for decisions.
"""

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import combinations
from typing import NamedTuple

import numpy as np
import orjson

from experiments.analysis.routing.measures import threshold_for_share
from experiments.core.assignment import RecordedBuckets, Unit
from experiments.core.bucketing import BUCKETS
from experiments.core.choice import Chooser, RouterCalls, explored_buckets
from experiments.core.costs import estimate_tokens
from experiments.core.money import price_on
from experiments.core.policy import Method, Policy, PolicyDomain, RoutingPolicy
from experiments.core.selection import GENERAL, NoEligibleModelsError
from experiments.core.values import Choice, DecisionInputs, Failure, Score
from experiments.models import Decision, OutcomeScores, OutcomeSet, RecordedOutcome, Router
from experiments.routers.domain_prompts import load_sources
from experiments.routers.errors import RouterConfigurationError
from experiments.routers.features import featurise
from experiments.routing.router_lookup import of_row
from experiments.routing.token_estimates import expected_output_tokens

RECENT = 1_000
ENOUGH = 100
EXAMPLES = 50
"""How many example prompts of a domain are scored if there is no better sample."""
NANO = 1_000_000_000
DEFAULT_OUTPUT_TOKENS = 300
NOT_KNOWN = "not_known"


class ForecastPrompt(NamedTuple):
    """A prompt: its domain, its scores by router, and its approximate length."""

    domain: str
    scores: Mapping[str, float]
    tokens: int


class PromptSample(NamedTuple):
    """Prompts, and a description of their source."""

    prompts: Sequence[ForecastPrompt]
    source: str


class PolicyForecast(NamedTuple):
    """`strong_share` is None if the policy chooses outside a pair, `cost` (US dollars per request)
    if a price is missing."""

    strong_share: float | None
    cost: float | None
    models: tuple[str, ...]


class Forecast(NamedTuple):
    """`policies` in the given order; `same` has pairs of indexes with the same choices."""

    sample: PromptSample
    policies: tuple[PolicyForecast, ...]
    same: tuple[tuple[int, int], ...]


class _Picked(NamedTuple):
    """A policy's choice for one prompt, and how often it explores the other model."""

    prompt: ForecastPrompt
    choice: Choice
    explored: float

    @property
    def identity(self) -> tuple[str, str | None, float]:
        return self.choice.model, self.choice.other if self.explored else None, self.explored

    @property
    def models(self) -> Iterator[tuple[str, float]]:
        """Each model that may answer, with its share."""
        yield self.choice.model, 1 - self.explored
        if self.explored and self.choice.other:
            yield self.choice.other, self.explored

    @property
    def strong(self) -> float | None:
        pair = self.choice.pair
        if pair is None:
            return None
        share = float(self.choice.model == pair.strong)
        if not self.explored:
            return share
        return share * (1 - self.explored) + self.explored * (self.choice.other == pair.strong)


def forecast(
    policy: Policy,
    domains: Sequence[PolicyDomain],
    wanted: Sequence[RoutingPolicy],
    today: date,
    *,
    most: int = RECENT,
) -> Forecast | None:
    """The forecast of each of `wanted` in these domains. None if no prompt has scores.

    One or two queries; a thousand prompts take about 15 ms per policy. Uses at most `most` recent
    ones.
    """
    sample = _sample(policy, domains, _routers(wanted), most)
    if not sample.prompts:
        return None
    try:
        picked = [
            _picks(policy, _cut_for(one, sample.prompts), sample.prompts, today) for one in wanted
        ]
    except NoEligibleModelsError:
        return None
    summaries = tuple(_summary(policy, one, today) for one in picked)
    return Forecast(sample, summaries, tuple(_same(picked)))


def scores_of(found: Forecast, router: str) -> list[float]:
    return [prompt.scores[router] for prompt in found.sample.prompts if router in prompt.scores]


def _routers(wanted: Iterable[RoutingPolicy]) -> frozenset[str]:
    """The routers that the policies use."""
    routed = [one for one in wanted if one.method is Method.ROUTELLM]
    steps = {step.router for one in routed for step in one.steps}
    return frozenset({one.router for one in routed if one.router} | steps)


def _same(picked: Sequence[Sequence[_Picked]]) -> Iterator[tuple[int, int]]:
    identities = [[one.identity for one in picks] for picks in picked]
    for first, second in combinations(range(len(identities)), 2):
        if identities[first] == identities[second]:
            yield first, second


def _summary(policy: Policy, picks: Sequence[_Picked], today: date) -> PolicyForecast:
    shares = [one.strong for one in picks if one.strong is not None]
    return PolicyForecast(
        strong_share=sum(shares) / len(shares) if len(shares) == len(picks) else None,
        cost=_cost(policy, picks, today),
        models=tuple(sorted({one.choice.model for one in picks})),
    )


def _cost(policy: Policy, picks: Sequence[_Picked], today: date) -> float | None:
    """US dollars per request: prices each model's mean prompt, as prices are linear in tokens."""
    shares: dict[tuple[str, str], float] = defaultdict(float)
    tokens: dict[tuple[str, str], float] = defaultdict(float)
    for one in picks:
        for model, share in one.models:
            shares[one.prompt.domain, model] += share
            tokens[one.prompt.domain, model] += share * one.prompt.tokens
    expected, total = expected_output_tokens(), 0.0
    for key, share in shares.items():
        price = price_on(policy.prices.get(key[1], ()), today)
        if price is None:
            return None
        written = expected.get(key, DEFAULT_OUTPUT_TOKENS)
        total += share * price.cost(round(tokens[key] / share), written)
    return total / len(picks) / NANO


def _cut_for(wanted: RoutingPolicy, prompts: Sequence[ForecastPrompt]) -> RoutingPolicy:
    """A policy that follows a strong share, with the threshold that keeps it on these prompts."""
    share, router = wanted.target_share, wanted.router or ""
    scores = np.array([one.scores[router] for one in prompts if router in one.scores])
    if share is None or not len(scores):
        return wanted
    found = threshold_for_share(scores, share)
    return replace(
        wanted, threshold=1.0 if found.threshold is None else found.threshold, target_share=None
    )


def _picks(
    policy: Policy, wanted: RoutingPolicy, prompts: Sequence[ForecastPrompt], today: date
) -> list[_Picked]:
    return [_pick(policy, wanted, prompt, today) for prompt in prompts]


def _pick(policy: Policy, wanted: RoutingPolicy, prompt: ForecastPrompt, today: date) -> _Picked:
    situation = DecisionInputs("", Unit(RecordedBuckets({}), ""), (), prompt.tokens, today)
    scorer = RouterCalls(policy, lambda name: _score(prompt, name))
    choice = Chooser(policy, policy.domains[prompt.domain], situation, scorer).choose(wanted)
    explored = explored_buckets(wanted.epsilon) / BUCKETS if choice.other else 0.0
    return _Picked(prompt, choice, explored)


def _score(prompt: ForecastPrompt, router: str) -> Score | Failure:
    value = prompt.scores.get(router)
    return Failure(NOT_KNOWN) if value is None else Score(value)


def _sample(
    policy: Policy, domains: Sequence[PolicyDomain], routers: frozenset[str], most: int
) -> PromptSample:
    names = [domain.name for domain in domains]
    recent = _recent(names, routers, most)
    if len(recent) >= ENOUGH:
        return PromptSample(recent, f"{len(recent):,} recent prompts")
    if routers and (found := _recorded(policy, names, routers)):
        return found
    examples = [prompt for name in names for prompt in _examples(policy, name, routers)]
    return PromptSample(examples, f"{len(examples):,} example prompts (too few recent ones)")


def _recent(domains: Sequence[str], routers: frozenset[str], most: int) -> list[ForecastPrompt]:
    """The newest decisions that every router has scored. One query, from an index."""
    rows = Decision.objects.filter(domain__in=domains).exclude(odds="").order_by("-created_at")
    read = rows.values_list("domain", "scores", "input_tokens")[:most]
    prompts = (
        ForecastPrompt(domain, orjson.loads(scores) if scores else {}, tokens)
        for domain, scores, tokens in read
    )
    return [prompt for prompt in prompts if _all_known(prompt, routers)]


def _all_known(prompt: ForecastPrompt, routers: frozenset[str]) -> bool:
    return all(prompt.scores.get(router) is not None for router in routers)


def _recorded(
    policy: Policy, domains: Sequence[str], routers: frozenset[str]
) -> PromptSample | None:
    """The prompts of these domains in the newest outcome set that every router has scored."""
    keys = {name: _key(name) for name in routers}
    for outcome_set in OutcomeSet.objects.order_by("-updated_at"):
        kept = {
            name: OutcomeScores.objects.filter(outcome_set=outcome_set, router_key=key).first()
            for name, key in keys.items()
            if key
        }
        if len(kept) < len(keys) or any(one is None for one in kept.values()):
            continue
        found = _of_set(outcome_set, {n: one for n, one in kept.items() if one}, domains)
        if len(found) >= ENOUGH:
            return PromptSample(
                found, f"{len(found):,} prompts of the outcome set {outcome_set.name}"
            )
    return None


def _key(router: str) -> str:
    row = Router.objects.filter(name=router).first()
    return of_row(row).key if row else ""


def _of_set(
    outcome_set: OutcomeSet, kept: Mapping[str, OutcomeScores], domains: Sequence[str]
) -> list[ForecastPrompt]:
    """Scores are stored in the order of the rows; prompts without a domain are general."""
    count = min(one.count for one in kept.values())
    scores = {name: np.frombuffer(one.values) for name, one in kept.items()}
    rows = RecordedOutcome.objects.filter(outcome_set=outcome_set).order_by("id")
    read = rows.values_list("domain", "prompt")[:count]
    found = [
        ForecastPrompt(
            domain or GENERAL,
            {name: float(values[place]) for name, values in scores.items()},
            estimate_tokens(prompt),
        )
        for place, (domain, prompt) in enumerate(read)
        if (domain or GENERAL) in domains
    ]
    return found[:: max(1, len(found) // RECENT)]


def _examples(policy: Policy, domain: str, routers: frozenset[str]) -> list[ForecastPrompt]:
    """Shipped prompts, or the domain's own examples, scored now by local routers only."""
    texts = _shipped().get(domain) or policy.detection.examples.get(domain, ())
    spread = texts[:: max(1, len(texts) // EXAMPLES)]
    known = {name: scored for name in routers if (scored := _scored(policy, name, tuple(spread)))}
    if len(known) < len(routers):
        return []
    return [
        ForecastPrompt(
            domain, {name: scores[place] for name, scores in known.items()}, estimate_tokens(text)
        )
        for place, text in enumerate(spread)
    ]


@functools.cache
def _shipped() -> Mapping[str, tuple[str, ...]]:
    return {source.domain: (*source.seed, *source.prompts) for source in load_sources()}


def _scored(policy: Policy, router: str, texts: tuple[str, ...]) -> tuple[float, ...] | None:
    """None for routers that call a service, or that cannot be loaded."""
    core = policy.routers.get(router)
    row = Router.objects.filter(name=router).first()
    if core is None or row is None or not core.local:
        return None
    try:
        return _scored_by(of_row(row).key, router, texts)
    except (RouterConfigurationError, Router.DoesNotExist):
        return None


@functools.lru_cache(maxsize=256)
def _scored_by(key: str, router: str, texts: tuple[str, ...]) -> tuple[float, ...]:
    """Computed once per process for each checkpoint (`key`) and domain."""
    score = of_row(Router.objects.get(name=router)).load()
    return tuple(float(score(featurise(text))) for text in texts)
