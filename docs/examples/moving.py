"""Moving an application that routes by domain, without changing how it calls the router.

PYTHONPATH=. python docs/examples/moving.py
"""

import asyncio

from experiments.domain_router import (
    DomainRouter,
    FeatureFlags,
    Model,
    ModelCapabilities,
    ModelCost,
    RouteLLMConfig,
    RouterType,
)


class ApplicationRegistry:
    """The application's own registry: any object with `models`, keyed `provider:name`."""

    def __init__(self) -> None:
        large = Model("large", "acme", ModelCapabilities(["chat"]), ModelCost(0.002, 0.008))
        small = Model("small", "acme", ModelCapabilities(["chat"]), ModelCost(0.0004, 0.0016))
        self.models = {"acme:large": large, "acme:small": small}


class ApplicationSelector:
    """The application's own selector: any object with `async select_model(criteria)`."""

    def __init__(self, registry: ApplicationRegistry) -> None:
        self.registry = registry

    async def select_model(self, criteria: object) -> Model:
        return self.registry.models["acme:small"]


async def main() -> None:
    registry = ApplicationRegistry()
    router = DomainRouter(registry)
    router.selector = ApplicationSelector(registry)
    text = "Which antibiotics treat an infection after surgery?"

    # 1. RouteLLM is off: the classic path calls the selector once.
    model = await router.route_by_domain(text)
    domain = router.analyze_text(text)["primary_domain"]
    print(f"{domain}: the application's selector chose {model.name}")

    # 2. What RouteLLM would do. Nothing changes and nothing is tracked.
    config = RouteLLMConfig(
        enabled=True,
        router_type=RouterType.LOCAL,
        threshold=0.75,
        strong_model="large",
        weak_model="small",
    )
    trial = DomainRouter(registry, config, FeatureFlags({FeatureFlags.ROUTELLM_ENABLED: True}))
    analysis = trial.analyze_text(text)
    print(f"RouteLLM would choose the {analysis['recommended_routing']}")

    # 3. Replace the configuration and turn one domain on.
    router.update_routellm_config(config)
    router.update_feature_flags(
        {FeatureFlags.ROUTELLM_ENABLED: True, FeatureFlags.ROUTELLM_MEDICAL_DOMAIN: True}
    )
    model = await router.route_by_domain(text)
    print(f"RouteLLM chose {model.name}")
    print(dict(router.get_cost_savings_report()))


if __name__ == "__main__":
    asyncio.run(main())
