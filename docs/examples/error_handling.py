"""What can go wrong, what is raised, and what falls back by itself.

PYTHONPATH=. python docs/examples/error_handling.py
"""

import asyncio

from experiments.domain_router import (
    DomainConfig,
    DomainRouter,
    FeatureFlags,
    InvalidPatternError,
    Model,
    ModelCapabilities,
    ModelCost,
    ModelRegistry,
    ModelSelectionCriteria,
    NoEligibleModelsError,
    RouteLLMConfig,
    RouteLLMUnavailableError,
    RouterType,
)


def build_registry() -> ModelRegistry:
    registry = ModelRegistry()
    registry.register_model(
        Model(
            "openai/gpt-4.1",
            "openai",
            ModelCapabilities(["text_generation"], accuracy_score=0.91),
            ModelCost(0.002, 0.008),
        )
    )
    registry.register_model(
        Model(
            "openai/gpt-4.1-mini",
            "openai",
            ModelCapabilities(["text_generation"], accuracy_score=0.84, speed_rating="fast"),
            ModelCost(0.0004, 0.0016),
        )
    )
    return registry


def wrong_settings() -> None:
    """Everything that is set is checked at once; the message says what is allowed."""
    try:
        RouteLLMConfig(threshold=1.5)
    except ValueError as error:
        print(f"setting     {error}")
    try:
        DomainConfig(name="cooking", patterns=["(oven"])
    except InvalidPatternError as error:
        print(f"pattern     {error}")
    registry = build_registry()
    try:
        registry.register_model(build_registry().models["openai:openai/gpt-4.1"])
    except ValueError as error:
        print(f"duplicate   {error}")


async def wrong_requests() -> None:
    router = DomainRouter(build_registry())
    try:
        await router.route_by_domain("Hello", domain_override="cooking")
    except ValueError as error:
        print(f"domain      {error}")
    try:
        await router.route_by_domain("Hello", ModelSelectionCriteria(excluded_providers=["openai"]))
    except NoEligibleModelsError as error:
        print(f"no model    {error}")
    try:
        strict = ModelSelectionCriteria(min_accuracy_score=0.99, fallback_strategy="fail")
        await router.route_by_domain("Hello", strict)
    except NoEligibleModelsError as error:
        print(f"too strict  {error}")


async def router_that_cannot_work() -> None:
    """`mf` needs an OpenAI key and RouteLLM's checkpoint. Without them the selector answers."""
    flags = FeatureFlags(
        {FeatureFlags.ROUTELLM_ENABLED: True, FeatureFlags.ROUTELLM_GENERAL_DOMAIN: True}
    )
    config = RouteLLMConfig(
        enabled=True,
        router_type=RouterType.MATRIX_FACTORIZATION,
        strong_model="openai/gpt-4.1",
        weak_model="openai/gpt-4.1-mini",
    )
    router = DomainRouter(build_registry(), config, flags)
    model = await router.route_by_domain("Hello")
    analysis = router.analyze_text("Hello")
    print(f"fallback    {model.name}: {analysis.fallback_reason}")

    router.update_routellm_config(fallback_enabled=False)
    try:
        await router.route_by_domain("Hello")
    except RouteLLMUnavailableError as error:
        print(f"no fallback {error}")


if __name__ == "__main__":
    wrong_settings()
    asyncio.run(wrong_requests())
    asyncio.run(router_that_cannot_work())
