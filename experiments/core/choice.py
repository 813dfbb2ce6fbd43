"""Which model a routing policy chooses for one prompt, which one it falls back to, and the
probability of each model under the logging policy.

The randomized steps are independent (each has its own seed): master flag, holdout, domain flag,
arm, tie, exploration. A path ends in a choice; its model gets P(path) (1 - epsilon), the other
model of its pair P(path) epsilon. Where a score equals the threshold of a table, the path ends in
two choices, each with its probability. Lists are not random: a listed unit's flags are certain."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from experiments.core.assignment import arm_probabilities, flag_probability
from experiments.core.bucketing import BUCKETS, bucket_index
from experiments.core.policy import Method, Policy, PolicyDomain, RoutingPolicy
from experiments.core.selection import NoEligibleModelsError
from experiments.core.values import (
    Choice,
    DecisionInputs,
    Failure,
    Fallback,
    Pair,
    Propensity,
    Score,
    ScoreCut,
    TableKey,
    random_cut,
    share_of_target,
)

ScoreRouter = Callable[[str], Score | Failure]

DRAWN_AT_THRESHOLD = "drawn_at_threshold"


class RouterCalls:
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


class Chance(NamedTuple):
    """One choice that a policy may make for a prompt, and how probable it is."""

    choice: Choice
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class Chooser:
    """Chooses models for one prompt of one domain. `detected` is the prompt's own domain where a
    more cautious one decides. `tables` collects the numbers of the tables that were read, by
    router."""

    policy: Policy
    domain: PolicyDomain
    situation: DecisionInputs
    scorer: RouterCalls
    detected: PolicyDomain | None = None
    tables: dict[str, int] = field(default_factory=dict)

    def choose(self, wanted: RoutingPolicy) -> Choice:
        """The policy's choice. A tie is drawn by the hash of the decision."""
        first, *others = self.chances(wanted)
        if not others:
            return first.choice
        index = bucket_index(self.policy.tie_seed, self.situation.decision_id)
        is_first = index < round(first.probability * BUCKETS)
        return first.choice if is_first else others[0].choice

    def chances(self, wanted: RoutingPolicy) -> tuple[Chance, ...]:
        """Every choice that the policy may make for this prompt: one, or two for a tie."""
        if wanted.method is Method.ROUTELLM and (pair := self._known_pair(wanted)):
            return self._route(wanted, pair)
        return (Chance(self._without_router(wanted)),)

    def _known_pair(self, wanted: RoutingPolicy) -> Pair | None:
        pair = pair_of(self.policy, self.domain, wanted)
        return None if pair is None or self._unregistered(wanted, pair) else pair

    def _unregistered(self, wanted: RoutingPolicy, pair: Pair) -> list[str]:
        named = (*pair, *(step.model for step in wanted.steps))
        return [name for name in named if name not in self.policy.models]

    def _without_router(self, wanted: RoutingPolicy) -> Choice:
        if wanted.method is Method.DOMAIN_SELECTOR:
            return self.select("policy")
        pair = pair_of(self.policy, self.domain, wanted)
        if pair is None:
            return self._broken("has no pair of a strong and a weak model")
        if missing := self._unregistered(wanted, pair):
            return self._broken(f"names models that are not registered: {', '.join(missing)}")
        if wanted.method is Method.ALWAYS_STRONG:
            return Choice(pair.strong, wanted.method, "always_strong", pair)
        return Choice(pair.weak, wanted.method, "always_weak", pair)

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

    def _route(self, wanted: RoutingPolicy, pair: Pair) -> tuple[Chance, ...]:
        """A score at or above a fixed threshold goes to the strong model. One that equals the
        threshold of a table goes there with the table's probability."""
        if wanted.router is None or not _has_threshold(wanted):
            return (Chance(self._broken("needs a router and a threshold between 0 and 1")),)
        answer = self.scorer(wanted.router)
        if isinstance(answer, Failure):
            return (Chance(self._fall_back(answer)),)
        cut = self._cut(wanted, wanted.router, answer)
        routed = Choice(
            pair.strong,
            Method.ROUTELLM,
            "score_at_or_above_threshold",
            pair,
            wanted.router,
            answer,
            cut.threshold,
        )
        chance = cut.strong_probability(answer.value)
        if chance >= 1:
            return (Chance(routed),)
        step = self._step(wanted, pair) if wanted.steps else None
        below = routed._replace(model=pair.weak, reason="score_below_threshold")
        if chance <= 0:
            return (Chance(step or below),)
        drawn = routed._replace(reason=DRAWN_AT_THRESHOLD)
        weak = step or drawn._replace(model=pair.weak)
        return Chance(drawn, chance), Chance(weak, 1 - chance)

    def _cut(self, wanted: RoutingPolicy, router: str, answer: Score) -> ScoreCut:
        """The policy's own threshold or, if it follows a target, that of the newest table. Without
        a table its own threshold; without either, this share of prompts at random."""
        share = wanted.target_share
        if share is not None:
            key = TableKey(self.domain.name, router, answer.checkpoint or "")
            if table := self.situation.tables.get(key):
                self.tables[router] = table.number
                if cut := table.cuts.get(share_of_target(share)):
                    return cut
            if wanted.threshold is None:
                return random_cut(answer.value, share)
        return ScoreCut(wanted.threshold or 0.0)

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


def pair_of(policy: Policy, domain: PolicyDomain, wanted: RoutingPolicy) -> Pair | None:
    """The pair that a decision is compared with: the policy's, the domain's, or the default."""
    for candidate in (wanted, domain.policy, policy.default_pair):
        if candidate.strong and candidate.weak:
            return Pair(candidate.strong, candidate.weak)
    return None


def _has_threshold(wanted: RoutingPolicy) -> bool:
    if wanted.threshold is None:
        return wanted.target_share is not None
    return 0.0 <= wanted.threshold <= 1.0


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


def propensity(
    chooser: Chooser, wanted: RoutingPolicy, epsilon: float, intended: str
) -> Propensity:
    """The vector over models, its entry for `intended`, and that entry given the unit's arm."""
    given_arm = _vector(chooser.chances(wanted), epsilon).get(intended, 0.0)
    by_model: defaultdict[str, float] = defaultdict(float)
    for path in paths(chooser):
        if _needs_unasked_router(chooser, path.policy):
            return Propensity(None, None, given_arm, "remote_router_not_asked")
        try:
            chances = chooser.chances(path.policy)
        except NoEligibleModelsError:
            return Propensity(None, None, given_arm, "no_eligible_model_on_another_path")
        for model, share in _vector(chances, path.policy.epsilon).items():
            by_model[model] += path.probability * share
    return Propensity(dict(by_model), by_model[intended], given_arm)


def _vector(chances: Iterable[Chance], epsilon: float) -> Mapping[str, float]:
    """P(model) on one path: the other model of a choice's pair gets the exploration rate."""
    vector: defaultdict[str, float] = defaultdict(float)
    for choice, probability in chances:
        for model in {choice.model, choice.other or choice.model}:
            vector[model] += probability * _share_of(model, choice, epsilon)
    return vector


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
