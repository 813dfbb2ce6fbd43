"""The frozen configuration that decisions use: one revision as plain values.

Nothing here reads a database or a clock. `experiments.configuration.policy_store` builds a
`Policy` from a revision's document; the Python API builds one from its own objects.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeVar

from experiments.core.aliases import PolicyAlias
from experiments.core.bucketing import arm_ranges
from experiments.core.catalog import Model, ModelCost
from experiments.core.detection import DomainConfig
from experiments.core.endpoints import Upstream
from experiments.core.money import NANO, Price, price_on
from experiments.core.selection import (
    ModelSelectionCriteria,
    NoEligibleModelsError,
    criteria_for_domain,
    permitted,
    select,
)

Answer = TypeVar("Answer")

MASTER_FLAG = "routellm_enabled"


def domain_flag(domain: str) -> str:
    """The key of a domain's flag: `routellm_medical_domain`."""
    return f"routellm_{domain}_domain"


class Method(StrEnum):
    """How a routing policy chooses a model. `direct`: the caller named the model."""

    ROUTELLM = "routellm"
    ALWAYS_STRONG = "always_strong"
    ALWAYS_WEAK = "always_weak"
    DOMAIN_SELECTOR = "domain_selector"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class ModelStep:
    """A model between the weak and the strong one. It gets prompts with at least this score."""

    model: str
    router: str
    threshold: float


@dataclass(frozen=True, slots=True)
class RoutingPolicy:
    """How a domain or an arm routes. `threshold`, `epsilon` and `target_share` lie in [0, 1].

    With `target_share` the threshold follows the threshold tables (`NumberedTable`) so that
    this share goes to the strong model; `threshold` counts only while there is no table.
    With `steps`, a prompt below `threshold` goes to the first step whose threshold its score
    reaches, and to the weak model if it reaches none.
    """

    method: Method = Method.DOMAIN_SELECTOR
    router: str | None = None
    threshold: float | None = None
    strong: str | None = None
    weak: str | None = None
    epsilon: float = 0.0
    steps: tuple[ModelStep, ...] = ()
    target_share: float | None = None

    @property
    def routers(self) -> frozenset[str]:
        """The routers that score its prompts."""
        if self.method is not Method.ROUTELLM:
            return frozenset()
        named = (self.router, *(step.router for step in self.steps))
        return frozenset(name for name in named if name)


@dataclass(frozen=True, slots=True)
class FlagRule:
    """A feature flag. `share` is its percentage in hundredths of a percent: 0 to 10,000.

    The lists hold keyed hashes of unit ids; deny wins over allow, both win over the percentage.
    """

    key: str
    share: int
    seed: str
    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Switches:
    """The flags that switch a feature for all users."""

    cost_tracking: bool = True
    performance_monitoring: bool = True
    ab_testing: bool = True
    quality_feedback: bool = True
    dynamic_threshold: bool = False
    learning: bool = False


@dataclass(frozen=True, slots=True)
class Holdout:
    """Units that always use the domain selector. `share` is in hundredths of a percent."""

    share: int = 0
    seed: str = "holdout"


@dataclass(frozen=True, slots=True)
class PolicyDomain:
    """A subject: how it is recognized and how its prompts are routed. `learning_budget` is in
    nano-dollars per UTC day; None: only the budget of all domains counts."""

    config: DomainConfig
    flag: FlagRule
    policy: RoutingPolicy
    min_confidence: float = 0.0
    prompt_storage: str = "none"
    shadow_share: float = 0.0
    rubric: str = ""
    learning: bool = False
    learning_budget: int | None = None

    @property
    def name(self) -> str:
        return self.config.name


@dataclass(frozen=True, slots=True)
class PolicyRouter:
    """A configured router. `checkpoint` is the sha256 of its weights, if it has any. With `domain`
    it scores only prompts of that domain, and others where a policy asks for them."""

    name: str
    kind: str
    local: bool
    checkpoint: str | None = None
    timeout_seconds: float = 1.0
    arguments: Mapping[str, object] = field(default_factory=dict)
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class Namespace:
    """A slot [start, end) of a mutual-exclusion namespace."""

    name: str
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True, slots=True)
class PolicyArm:
    name: str
    policy: RoutingPolicy
    weight: float
    is_control: bool = False


@dataclass(frozen=True, slots=True)
class PolicyExperiment:
    """A running experiment. `domain` None means all domains; `coverage` lies in [0, 1].

    `by_request` makes each decision its own unit, regardless of the user.
    """

    key: str
    phase: int
    seed: str
    arms: tuple[PolicyArm, ...]
    coverage: float = 1.0
    domain: str | None = None
    namespace: Namespace | None = None
    audit_share: float = 0.0
    by_request: bool = False

    def ranges(self) -> list[tuple[float, float]]:
        return arm_ranges(len(self.arms), self.coverage, [arm.weight for arm in self.arms])


# The rollout guard that compares each call with a limit.
P95_LATENCY = "p95_latency"


@dataclass(frozen=True, slots=True)
class PolicyRollout:
    """A guarded rollout of a flag: treated units have the lowest buckets, controls the highest.

    Both shares are in hundredths of a percent, counted in bucket indexes of the flag's own seed.
    `phase` numbers the periods with fixed shares: only units of the same phase are compared. Calls
    longer than `slow_ms` count as slow.
    """

    key: str
    flag: str
    share: int
    control_share: int
    phase: int | None = None
    slow_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Shadowing:
    """Shadow calls. `budget` is in nano-dollars per UTC day. Without a `judge`, answers are not
    compared."""

    seed: str = "shadow"
    budget: int = 0
    judge: str | None = None


@dataclass(frozen=True, slots=True)
class Detection:
    """Which detector runs: `learned` or `classic`, and its examples per domain."""

    detector: str = "learned"
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Policy:
    """One revision of the whole configuration. `prices` list a model's overrides first.
    `upstreams` has the endpoint of each model that the gateway can call; `aliases`
    (`by_precedence`) are names that clients may send for a model."""

    revision: int
    master: FlagRule
    domains: Mapping[str, PolicyDomain]
    models: Mapping[str, Model]
    prices: Mapping[str, tuple[Price, ...]]
    routers: Mapping[str, PolicyRouter] = field(default_factory=dict)
    experiments: tuple[PolicyExperiment, ...] = ()
    rollouts: tuple[PolicyRollout, ...] = ()
    holdout: Holdout = Holdout()
    exploration_seed: str = "exploration"
    tie_seed: str = "ties"
    switches: Switches = Switches()
    detection: Detection = Detection()
    shadowing: Shadowing = Shadowing()
    default_pair: RoutingPolicy = RoutingPolicy()
    baseline: str = Method.ALWAYS_STRONG
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    aliases: tuple[PolicyAlias, ...] = ()

    @cached_property
    def _remembered(self) -> dict[tuple[object, ...], Any]:
        return {}

    @cached_property
    def selective_parameters(self) -> frozenset[str]:
        """The parameters that rule out some model."""
        upstreams = self.upstreams.values()
        return frozenset(rule.parameter for each in upstreams for rule in each.selective)

    @cached_property
    def _has_dated_prices(self) -> bool:
        every = (price for prices in self.prices.values() for price in prices)
        return any(price.valid_from or price.valid_until for price in every)

    @cached_property
    def routers_in_use(self) -> frozenset[str]:
        """Routers that a domain's policy or an arm of a running experiment uses."""
        arms = (arm.policy for experiment in self.experiments for arm in experiment.arms)
        policies = (*(domain.policy for domain in self.domains.values()), *arms)
        return frozenset(name for policy in policies for name in policy.routers)

    def select(
        self,
        domain: PolicyDomain,
        criteria: ModelSelectionCriteria | None,
        unavailable: frozenset[str],
        day: date | None = None,
    ) -> str:
        """The domain selector's model among those that can answer, at the prices of `day`.

        Raises NoEligibleModelsError.
        """
        priced_on = day if self._has_dated_prices else None

        def find(wanted: ModelSelectionCriteria) -> str:
            return select(self._models_on(priced_on), wanted, unavailable).model.name

        return self._remember(f"select {priced_on}", find, domain, criteria, unavailable)

    def _models_on(self, day: date | None) -> Iterable[Model]:
        if day is None:
            return self.models.values()
        return [
            replace(model, cost=cost_of(price_on(self.prices.get(name, ()), day)))
            for name, model in self.models.items()
        ]

    def permitted(
        self,
        domain: PolicyDomain,
        criteria: ModelSelectionCriteria | None,
        unavailable: frozenset[str],
    ) -> frozenset[str]:
        """The models that may answer in this domain: available, not excluded, certified."""

        def find(wanted: ModelSelectionCriteria) -> frozenset[str]:
            try:
                models = permitted(self.models.values(), wanted, unavailable)
            except NoEligibleModelsError:
                return frozenset()
            return frozenset(model.name for model in models)

        return self._remember("permitted", find, domain, criteria, unavailable)

    def _remember(
        self,
        question: str,
        find: Callable[[ModelSelectionCriteria], Answer],
        domain: PolicyDomain,
        criteria: ModelSelectionCriteria | None,
        unavailable: frozenset[str],
    ) -> Answer:
        """Caches answers for calls without the caller's own criteria: every decision needs them."""
        if criteria is not None:
            return find(criteria_for_domain(domain.config, criteria))
        key = (question, domain.name, unavailable)
        if key not in self._remembered:
            self._remembered[key] = find(criteria_for_domain(domain.config))
        answer: Answer = self._remembered[key]
        return answer


def cost_of(price: Price | None) -> ModelCost:
    """A price as the selector ranks it: dollars per 1,000 tokens. Unknown is not free."""
    if price is None:
        return ModelCost()
    per_thousand = 1000 * NANO
    return ModelCost(
        input_cost_per_1k_tokens=price.input_per_million / per_thousand,
        output_cost_per_1k_tokens=price.output_per_million / per_thousand,
        base_cost_per_request=price.per_request / NANO,
        is_free=not (price.input_per_million or price.output_per_million or price.per_request),
    )
