"""Which model a routing policy chooses for one prompt, which one it falls back to, and the
probability of each model under the logging policy.

The randomized steps are independent (each has its own seed): master flag, holdout, domain flag,
arm, exploration. A path ends in a choice; its model gets P(path) (1 - epsilon), the other model of
its pair P(path) epsilon. Lists are not random: a listed unit's flags are certain."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from experiments.core.assignment import arm_probabilities, flag_probability
from experiments.core.bucketing import BUCKETS
from experiments.core.policy import Domain, Method, Policy, RoutingPolicy
from experiments.core.selection import NoEligibleModelsError
from experiments.core.values import (
    Choice,
    DecisionInputs,
    Failure,
    Fallback,
    Pair,
    Propensity,
    Score,
)

ScoreRouter = Callable[[str], Score | Failure]


class Scorer:
    """Calls each router at most once. A score outside [0, 1] becomes a failure."""

    def __init__(self, policy: Policy, score: ScoreRouter) -> None:
        self._policy = policy
        self._score = score
        self.seen: dict[str, Score | Failure] = {}

    def score_local_routers(self, domain: str) -> None:
        for name, router in self._policy.routers.items():
            if router.local and router.domain in {None, domain}:
                self(name)

    def __call__(self, name: str) -> Score | Failure:
        if name not in self.seen:
            self.seen[name] = self._ask(name)
        return self.seen[name]

    def _ask(self, name: str) -> Score | Failure:
        if name not in self._policy.routers:
            return Failure("broken_configuration", f"No enabled router is named '{name}'.")
        answer = self._score(name)
        if isinstance(answer, Score) and not 0.0 <= answer.value <= 1.0:
            return Failure("invalid_score", f"Router '{name}' returned {answer.value}.")
        return answer


@dataclass(frozen=True, slots=True)
class Chooser:
    """Chooses models for one prompt of one domain. `detected` is the prompt's own domain where a
    more cautious one decides."""

    policy: Policy
    domain: Domain
    situation: DecisionInputs
    scorer: Scorer
    detected: Domain | None = None

    def choose(self, wanted: RoutingPolicy) -> Choice:
        if wanted.method is Method.DOMAIN_SELECTOR:
            return self.select("policy")
        pair = pair_of(self.policy, self.domain, wanted)
        if pair is None:
            return self._broken("has no pair of a strong and a weak model")
        named = (*pair, *(step.model for step in wanted.steps))
        if missing := [name for name in named if name not in self.policy.models]:
            return self._broken(f"names models that are not registered: {', '.join(missing)}")
        if wanted.method is Method.ALWAYS_STRONG:
            return Choice(pair.strong, wanted.method, "always_strong", pair)
        if wanted.method is Method.ALWAYS_WEAK:
            return Choice(pair.weak, wanted.method, "always_weak", pair)
        return self._route(wanted, pair)

    def select(self, reason: str) -> Choice:
        """The domain selector's choice. Raises NoEligibleModelsError if no model can answer."""
        situation = self.situation
        model = self.policy.select(
            self.domain, situation.criteria, situation.unavailable, situation.day
        )
        return Choice(model, Method.DOMAIN_SELECTOR, reason)

    def replace_unavailable(
        self, intended: str, pair: Pair | None = None
    ) -> tuple[str, tuple[Fallback, ...]]:
        """The intended model; if it cannot answer, the domain's next preferred model, then the
        selector's. With `pair_stands_in`, the other model of the pair comes before both.
        """
        if self._can_answer(intended):
            return intended, ()
        situation = self.situation
        stands_in = situation.pair_stands_in and intended in situation.unavailable
        pair_first = tuple(pair) if pair and stands_in else ()
        candidates = (*pair_first, *self.domain.config.preferred_models)
        model = next(filter(self._can_answer, candidates), None)
        if model is None:
            model = self.select("model_unavailable").model
        detail = f"{intended} is unavailable, excluded, or not certified for this domain."
        return model, (Fallback("model", "model_unavailable", detail, model),)

    def _route(self, wanted: RoutingPolicy, pair: Pair) -> Choice:
        """A score at or above the threshold goes to the strong model."""
        threshold = effective_threshold(self.policy, self.domain, wanted)
        if wanted.router is None or threshold is None or not 0.0 <= threshold <= 1.0:
            return self._broken("needs a router and a threshold between 0 and 1")
        answer = self.scorer(wanted.router)
        if isinstance(answer, Failure):
            return self._fall_back(answer)
        if answer.value >= threshold:
            model, reason = pair.strong, "score_at_or_above_threshold"
        elif wanted.steps and (choice := self._step(wanted, pair)):
            return choice
        else:
            model, reason = pair.weak, "score_below_threshold"
        return Choice(model, Method.ROUTELLM, reason, pair, wanted.router, answer, threshold)

    def _step(self, wanted: RoutingPolicy, pair: Pair) -> Choice | None:
        """The first step whose threshold the prompt's score reaches; None if it reaches none."""
        for step in wanted.steps:
            answer = self.scorer(step.router)
            if isinstance(answer, Failure):
                return self._fall_back(answer)
            if answer.value >= step.threshold:
                return Choice(
                    step.model,
                    Method.ROUTELLM,
                    "step_reached",
                    pair,
                    step.router,
                    answer,
                    step.threshold,
                )
        return None

    def _broken(self, what: str) -> Choice:
        detail = f"The policy of '{self.domain.name}' {what}. Correct the domain."
        return self._fall_back(Failure("broken_configuration", detail))

    def _fall_back(self, failure: Failure) -> Choice:
        choice = self.select(failure.reason)
        step = Fallback("router", failure.reason, failure.detail, choice.model)
        return choice._replace(fallbacks=(step,))

    def _can_answer(self, name: str) -> bool:
        """Routing never overrides an exclusion or a required certification."""
        situation = self.situation
        return name in self.policy.permitted(self.domain, situation.criteria, situation.unavailable)


def pair_of(policy: Policy, domain: Domain, wanted: RoutingPolicy) -> Pair | None:
    """The pair that a decision is compared with: the policy's, the domain's, or the default."""
    for candidate in (wanted, domain.policy, policy.default_pair):
        if candidate.strong and candidate.weak:
            return Pair(candidate.strong, candidate.weak)
    return None


def effective_threshold(policy: Policy, domain: Domain, wanted: RoutingPolicy) -> float | None:
    """A domain's own policy may use its calibrated threshold; an arm's threshold is fixed."""
    follows = policy.switches.dynamic_threshold and wanted == domain.policy
    if follows and domain.calibrated_threshold is not None:
        return domain.calibrated_threshold
    return wanted.threshold


DOMAIN_SELECTOR = RoutingPolicy(Method.DOMAIN_SELECTOR)


class Path(NamedTuple):
    policy: RoutingPolicy
    probability: float


def paths(chooser: Chooser) -> Iterator[Path]:
    """Every policy that this unit could have got, with its probability. They sum to 1."""
    policy, domain, unit = chooser.policy, chooser.domain, chooser.situation.unit
    own = flag_probability(chooser.detected.flag, unit) if chooser.detected else 1.0
    routed = (
        flag_probability(policy.master, unit)
        * (1 - policy.holdout.share / BUCKETS)
        * flag_probability(domain.flag, unit)
        * own
    )
    if routed < 1:
        yield Path(DOMAIN_SELECTOR, 1 - routed)
    if routed > 0 and chooser.detected:
        yield Path(domain.policy, routed)
    elif routed > 0:
        for arm, share in arm_probabilities(policy, domain.name):
            if share > 0:
                yield Path(arm.policy if arm else domain.policy, routed * share)


def propensity(chooser: Chooser, taken: Choice, epsilon: float, intended: str) -> Propensity:
    """The vector over models, its entry for `intended`, and that entry given the unit's arm."""
    given_arm = _share_of(intended, taken, epsilon)
    by_model: defaultdict[str, float] = defaultdict(float)
    for path in paths(chooser):
        if _needs_unasked_router(chooser, path.policy):
            return Propensity(None, None, given_arm, "remote_router_not_asked")
        try:
            choice = chooser.choose(path.policy)
        except NoEligibleModelsError:
            return Propensity(None, None, given_arm, "no_eligible_model_on_another_path")
        for model in {choice.model, choice.other or choice.model}:
            by_model[model] += path.probability * _share_of(model, choice, path.policy.epsilon)
    return Propensity(dict(by_model), by_model[intended], given_arm)


def explored_buckets(epsilon: float) -> int:
    """How many bucket indexes explore, counted from 0."""
    return round(epsilon * BUCKETS)


def _share_of(model: str, choice: Choice, epsilon: float) -> float:
    """P(model | this choice): the other model of the pair gets the exploration rate."""
    if choice.other is None:
        return float(model == choice.model)
    explored = explored_buckets(epsilon) / BUCKETS
    return (1 - explored) * (model == choice.model) + explored * (model == choice.other)


def _needs_unasked_router(chooser: Chooser, policy: RoutingPolicy) -> bool:
    if policy.method is not Method.ROUTELLM or policy.router is None:
        return False
    asked = (policy.router, *(step.router for step in policy.steps))
    routers = (chooser.policy.routers.get(name) for name in asked)
    return any(
        router is not None and not router.local and router.name not in chooser.scorer.seen
        for router in routers
    )
