"""Monitoring: what was decided, what it cost, what was saved, how good it was.

PYTHONPATH=. python docs/examples/monitoring_and_reports.py
"""

import asyncio

from experiments.domain_router import (
    DomainRouter,
    FeatureFlags,
    Model,
    ModelCapabilities,
    ModelCost,
    ModelRegistry,
    RouteLLMConfig,
    RouterType,
)

PROMPTS = [
    "Prove that there are infinitely many prime numbers.",
    "Translate 'good morning' into French.",
    "Which of these equations describes a damped oscillator?",
    "Say hello.",
]


def build_router() -> DomainRouter:
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
    config = RouteLLMConfig(
        enabled=True,
        router_type=RouterType.LOCAL,
        threshold=0.75,
        strong_model="openai/gpt-4.1",
        weak_model="openai/gpt-4.1-mini",
        cost_optimization_target=0.3,
    )
    flags = FeatureFlags(
        {
            FeatureFlags.ROUTELLM_ENABLED: True,
            FeatureFlags.ROUTELLM_DYNAMIC_THRESHOLD: True,
            FeatureFlags.ROUTELLM_SCIENTIFIC_DOMAIN: True,
            FeatureFlags.ROUTELLM_GENERAL_DOMAIN: True,
        }
    )
    return DomainRouter(registry, config, flags)


async def main() -> None:
    router = build_router()
    for prompt in PROMPTS:
        await router.route_by_domain(prompt)

    # Report what a call really cost and how good its answer was, when you know.
    last = router.cost_tracker.metrics[-1]
    router.cost_tracker.update_actual_cost(last.tracking_id, 0.0004, model_response_time_ms=640)
    router.cost_tracker.update_quality_score(last.tracking_id, 0.9, user_satisfaction=4.5)

    report = router.get_cost_savings_report(period_days=30)
    print(f"requests           {report.total_requests} ({report.routellm_requests} by RouteLLM)")
    print(f"priced             {report.priced_requests}")
    print(f"estimated cost     ${report.total_estimated_cost:.6f}")
    print(f"saved              ${report.estimated_savings:.6f} ({report.savings_percentage:.1f} %)")
    print(f"quality            {report.average_quality_score}")

    summary = router.get_routing_metrics_summary()
    print(f"by model           {summary.requests_by_model}")
    print(f"by domain          {summary.requests_by_domain}")

    status = router.get_routellm_status()
    print(f"router             {status.router_model_string}, ready: {status.router_ready}")
    target = status.cost_optimization_target
    print(f"saved so far       {status.realised_savings:.0%}, wanted {target:.0%}")


if __name__ == "__main__":
    asyncio.run(main())
