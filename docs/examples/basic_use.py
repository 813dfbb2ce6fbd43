"""Basic use: register models, route prompts by domain, then let RouteLLM decide for some domains.

PYTHONPATH=. python docs/examples/basic_use.py
"""

import asyncio

from experiments.domain_router import (
    DomainRouter,
    FeatureFlags,
    Model,
    ModelCapabilities,
    ModelCost,
    ModelRegistry,
    RouterType,
)

PROMPTS = [
    "The patient has had a fever for five days. Which infections should be ruled out?",
    "Write a haiku about the first snow.",
    "Debug this Python code: for i in range(3) print(i)",
    "What shall I cook tonight?",
]


def build_registry() -> ModelRegistry:
    registry = ModelRegistry()
    registry.register_model(
        Model(
            name="openai/gpt-4.1",
            provider="openai",
            capabilities=ModelCapabilities(
                supported_tasks=["text_generation", "reasoning", "code_generation"],
                context_window=1_047_576,
                accuracy_score=0.91,
            ),
            cost=ModelCost(input_cost_per_1k_tokens=0.002, output_cost_per_1k_tokens=0.008),
        )
    )
    registry.register_model(
        Model(
            name="openai/gpt-4.1-mini",
            provider="openai",
            capabilities=ModelCapabilities(
                supported_tasks=["text_generation", "creative_writing"],
                context_window=1_047_576,
                accuracy_score=0.84,
                speed_rating="fast",
            ),
            cost=ModelCost(input_cost_per_1k_tokens=0.0004, output_cost_per_1k_tokens=0.0016),
        )
    )
    return registry


async def main() -> None:
    # 1. The classic path: the domain decides what the model must be able to do.
    router = DomainRouter(build_registry())
    print("Domain selector")
    for prompt in PROMPTS:
        model = await router.route_by_domain(prompt)
        domain = router.analyze_text(prompt).domain
        print(f"  {domain:<12} {model.name:<20} {prompt[:50]}")

    # 2. RouteLLM for three domains. `local` needs neither a key nor a network.
    router.update_routellm_config(
        enabled=True,
        router_type=RouterType.LOCAL,
        strong_model="openai/gpt-4.1",
        weak_model="openai/gpt-4.1-mini",
    )
    router.update_feature_flags(
        {
            FeatureFlags.ROUTELLM_ENABLED: True,
            # Each domain's threshold as calibrated: half of its prompts to the strong model.
            FeatureFlags.ROUTELLM_DYNAMIC_THRESHOLD: True,
            FeatureFlags.ROUTELLM_CREATIVE_DOMAIN: True,
            FeatureFlags.ROUTELLM_TECHNICAL_DOMAIN: True,
            FeatureFlags.ROUTELLM_GENERAL_DOMAIN: True,
        }
    )
    print("RouteLLM where it is on")
    for prompt in PROMPTS:
        model = await router.route_by_domain(prompt)
        analysis = router.analyze_text(prompt)
        print(f"  {analysis.routing_method:<16} {model.name:<20} {analysis.reasoning}")


if __name__ == "__main__":
    asyncio.run(main())
