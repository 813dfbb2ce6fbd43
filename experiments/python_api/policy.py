"""Converts the Python API's objects to the frozen policy that `decide` takes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from experiments.core.catalog import Model, ModelCost
from experiments.core.detection import DomainConfig
from experiments.core.money import NANO, Price
from experiments.core.policy import (
    MASTER_FLAG,
    Detection,
    FlagRule,
    Method,
    Policy,
    PolicyDomain,
    PolicyRouter,
    RoutingPolicy,
    Switches,
    domain_flag,
)
from experiments.python_api.flags import FeatureFlags
from experiments.python_api.routellm_config import DomainSettings, RouteLLMConfig, RouterType

DETECTION_THRESHOLD = 0.3
ALL_UNITS, NO_UNITS = 10_000, 0

# The checkpoints RouteLLM publishes, used if `router_arguments` names none.
PUBLISHED: Mapping[RouterType, Mapping[str, object]] = {
    RouterType.MATRIX_FACTORIZATION: {"checkpoint_path": "routellm/mf_gpt4_augmented"},
    RouterType.BERT_CLASSIFIER: {"checkpoint_path": "routellm/bert_gpt4_augmented"},
    RouterType.CAUSAL_LLM: {"checkpoint_path": "routellm/causal_llm_gpt4_augmented"},
    RouterType.SIMILARITY_WEIGHTED: {
        "arena_battle_datasets": [
            "lmsys/lmsys-arena-human-preference-55k",
            "routellm/gpt4_judge_battles",
        ],
        "arena_embedding_datasets": [
            "routellm/arena_battles_embeddings",
            "routellm/gpt4_judge_battles_embeddings",
        ],
    },
}

_THOUSANDS_PER_MILLION = 1000


@dataclass(frozen=True)
class Catalogue:
    """Models by distinct name: `provider/name` if two providers share a name."""

    models: Mapping[str, Model]

    @classmethod
    def of(cls, models: Iterable[Model]) -> "Catalogue":
        models = list(models)
        times = Counter(model.name for model in models)
        return cls(
            {
                model.name if times[model.name] == 1 else f"{model.provider}/{model.name}": model
                for model in models
            }
        )

    def resolve(self, name: str) -> str:
        """The distinct name of the model with this name, or `name` itself if there is none."""
        if name in self.models:
            return name
        found = (known for known, model in self.models.items() if model.is_called(name))
        return next(found, name)

    def renamed(self) -> dict[str, Model]:
        """The models, renamed to their distinct names."""
        return {
            name: model if model.name == name else replace(model, name=name)
            for name, model in self.models.items()
        }


def build_policy(
    catalogue: Catalogue,
    domains: Mapping[str, DomainConfig],
    config: RouteLLMConfig,
    flags: FeatureFlags,
    calibrated_thresholds: Mapping[str, float] | None = None,
) -> Policy:
    """A policy without experiments, holdout, exploration: those need stored units."""
    settings = {name: config.for_domain(name) for name in domains}
    default = _pair(catalogue, config.for_domain(""))
    follows = flags.is_enabled(FeatureFlags.ROUTELLM_DYNAMIC_THRESHOLD)
    calibrated = (calibrated_thresholds or {}) if follows else {}
    return Policy(
        revision=0,
        master=_flag(MASTER_FLAG, on=config.enabled and flags.is_enabled(MASTER_FLAG)),
        domains={
            name: PolicyDomain(
                config=_with_distinct_names(domain, catalogue),
                flag=_flag(domain_flag(name), on=flags.is_domain_enabled(name)),
                policy=_routing(catalogue, settings[name], calibrated.get(name)),
                min_confidence=DETECTION_THRESHOLD,
            )
            for name, domain in domains.items()
        },
        models=catalogue.renamed(),
        prices={
            name: (price_of(model.cost),)
            for name, model in catalogue.models.items()
            if model.cost.is_priced
        },
        routers=_routers(config, settings.values()),
        switches=Switches(
            cost_tracking=config.cost_tracking_enabled
            and flags.is_enabled(FeatureFlags.ROUTELLM_COST_TRACKING),
            performance_monitoring=config.performance_monitoring_enabled
            and flags.is_enabled(FeatureFlags.ROUTELLM_PERFORMANCE_MONITORING),
            ab_testing=False,
            quality_feedback=flags.is_enabled(FeatureFlags.ROUTELLM_QUALITY_FEEDBACK),
            dynamic_threshold=follows,
        ),
        detection=Detection(detector=config.domain_detector),
        default_pair=default,
    )


def price_of(cost: ModelCost) -> Price:
    """Dollars for a thousand tokens as nano-dollars for a million."""
    if cost.is_free:
        return Price(0, 0, source="free")
    return Price(
        round(cost.input_cost_per_1k_tokens * _THOUSANDS_PER_MILLION * NANO),
        round(cost.output_cost_per_1k_tokens * _THOUSANDS_PER_MILLION * NANO),
        round(cost.base_cost_per_request * NANO),
        source="registry",
    )


def _flag(key: str, *, on: bool) -> FlagRule:
    return FlagRule(key, ALL_UNITS if on else NO_UNITS, seed=key)


def _routing(
    catalogue: Catalogue, settings: DomainSettings, calibrated: float | None
) -> RoutingPolicy:
    if not settings.enabled:
        return replace(_pair(catalogue, settings), method=Method.DOMAIN_SELECTOR)
    return replace(
        _pair(catalogue, settings),
        method=Method.ROUTELLM,
        router=settings.router_type.value,
        threshold=settings.threshold if calibrated is None else calibrated,
    )


def _pair(catalogue: Catalogue, settings: DomainSettings) -> RoutingPolicy:
    return RoutingPolicy(
        strong=catalogue.resolve(settings.strong_model), weak=catalogue.resolve(settings.weak_model)
    )


def _routers(config: RouteLLMConfig, settings: Iterable[DomainSettings]) -> dict[str, PolicyRouter]:
    kinds = {each.router_type for each in settings if each.enabled}
    return {
        kind.value: PolicyRouter(
            name=kind.value,
            kind=kind.value,
            # Local means "always scored" here, which only experiments need.
            local=False,
            timeout_seconds=config.timeout_seconds,
            arguments=_arguments(config, kind),
        )
        for kind in sorted(kinds)
    }


def _arguments(config: RouteLLMConfig, kind: RouterType) -> Mapping[str, object]:
    if kind is config.router_type and config.router_arguments:
        return config.router_arguments
    return PUBLISHED.get(kind, {})


def _with_distinct_names(domain: DomainConfig, catalogue: Catalogue) -> DomainConfig:
    return replace(
        domain, preferred_models=[catalogue.resolve(name) for name in domain.preferred_models]
    )
