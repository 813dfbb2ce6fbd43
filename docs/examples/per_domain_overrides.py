"""Per-domain settings: another threshold, another pair, and domains that stay as they are.

PYTHONPATH=. python docs/examples/per_domain_overrides.py
"""

import asyncio

from experiments.domain_router import (
    DomainConfig,
    DomainRouter,
    FeatureFlags,
    Model,
    ModelCapabilities,
    ModelCost,
    ModelRegistry,
    RouteLLMConfig,
    RouterType,
)


def build_router() -> DomainRouter:
    registry = ModelRegistry()
    for name, accuracy, input_cost, output_cost in (
        ("anthropic/claude-opus-5-5", 0.96, 0.004, 0.02),
        ("openai/gpt-4.1", 0.91, 0.002, 0.008),
        ("openai/gpt-4.1-mini", 0.84, 0.0004, 0.0016),
    ):
        registry.register_model(
            Model(
                name,
                name.split("/")[0],
                ModelCapabilities(["text_generation"], accuracy_score=accuracy),
                ModelCost(input_cost, output_cost),
            )
        )
    config = RouteLLMConfig(
        enabled=True,
        router_type=RouterType.LOCAL,
        threshold=0.75,
        strong_model="openai/gpt-4.1",
        weak_model="openai/gpt-4.1-mini",
        domain_routing_overrides={
            # Contracts: the strong model far more often, and a stronger one.
            "legal": {"threshold": 0.7, "strong_model": "anthropic/claude-opus-5-5"},
            # Cooking: only what is really hard.
            "cooking": {"threshold": 0.8},
            # Financial prompts stay on the domain selector, whatever the flag says.
            "financial": {"enabled": False},
        },
    )
    flags = FeatureFlags(
        {
            FeatureFlags.ROUTELLM_ENABLED: True,
            FeatureFlags.ROUTELLM_LEGAL_DOMAIN: True,
            FeatureFlags.ROUTELLM_FINANCIAL_DOMAIN: True,
            FeatureFlags.domain_flag("cooking"): True,
        }
    )
    router = DomainRouter(registry, config, flags)
    # A domain of your own: keywords are whole words, patterns are RE2.
    router.register_domain(
        DomainConfig(
            name="cooking",
            keywords=["recipe", "oven", "flour", "simmer"],
            patterns=[r"\b(bake|roast|fry|boil)(s|d|ed|ing)?\b"],
            preferred_models=["openai/gpt-4.1-mini"],
        )
    )
    return router


async def main() -> None:
    router = build_router()
    for prompt in (
        "Is this contract clause on liability enforceable?",
        "How long do I bake bread at 220 degrees in the oven?",
        "Should my portfolio hold more bonds?",
    ):
        model = await router.route_by_domain(prompt)
        analysis = router.analyze_text(prompt)
        threshold = "-" if analysis.threshold is None else f"{analysis.threshold:g}"
        print(
            f"{analysis.primary_domain:<10} {analysis.routing_method:<16} "
            f"threshold {threshold:<4} {model.name}"
        )
    # An application that knows the domain says so; detection is skipped.
    model = await router.route_by_domain("Please summarise this.", domain_override="legal")
    print(f"override   legal            {model.name}")


if __name__ == "__main__":
    asyncio.run(main())
