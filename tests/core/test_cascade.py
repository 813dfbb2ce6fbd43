"""More than two models: a prompt that does not reach the strong one may reach one between."""

from typing import Any

import pytest

from experiments.core.policy import Method, ModelStep, Policy, PolicyRouter, RoutingPolicy
from experiments.core.values import Failure, PromptDecision, Score
from tests.core.decision_values import OTHER, STRONG, WEAK, decided, domain, policy

STEPS = (ModelStep(OTHER, "middle", 0.5),)


def cascade(**values: Any) -> Policy:
    fields: dict[str, Any] = {"steps": STEPS, **values}
    wanted = RoutingPolicy(Method.ROUTELLM, "local", 0.8, STRONG, WEAK, **fields)
    routers = {name: PolicyRouter(name, "local", True) for name in ("local", "middle")}
    return policy(domain("code", policy=wanted), routers=routers)


def at(strong: float, middle: float | Failure, rules: Policy | None = None) -> PromptDecision:
    def ask(router: str) -> Score | Failure:
        if router == "local":
            return Score(strong, "sha")
        return middle if isinstance(middle, Failure) else Score(middle, "sha")

    return decided(rules or cascade(), ask)


@pytest.mark.parametrize(
    ("strong", "middle", "model", "tier", "reason"),
    [
        (0.8, 0.0, STRONG, "strong", "score_at_or_above_threshold"),
        (0.79, 0.5, OTHER, "selected", "step_reached"),
        (0.79, 0.49, WEAK, "weak", "score_below_threshold"),
    ],
)
def test_each_of_three_models_answers(
    strong: float, middle: float, model: str, tier: str, reason: str
) -> None:
    decision = at(strong, middle)
    assert (decision.model, decision.tier) == (model, tier)
    assert decision.choice.reason == reason
    assert decision.propensity.intended == 1.0
    assert (decision.propensity.by_model or {})[model] == 1.0


def test_the_step_explains_itself_and_the_pair_stays_the_outer_two() -> None:
    decision = at(0.1, 0.6)
    assert (decision.choice.router, decision.choice.threshold) == ("middle", 0.5)
    assert decision.choice.score == Score(0.6, "sha")
    assert decision.pair == (STRONG, WEAK)


def test_the_first_step_that_is_reached_counts() -> None:
    steps = (ModelStep(OTHER, "middle", 0.5), ModelStep(STRONG, "middle", 0.1))
    assert at(0.1, 0.5, cascade(steps=steps)).model == OTHER
    assert at(0.1, 0.4, cascade(steps=steps)).model == STRONG


def test_exploration_from_between_takes_the_strong_model() -> None:
    decision = at(0.1, 0.6, cascade(epsilon=0.2))
    assert decision.propensity.by_model == pytest.approx({OTHER: 0.8, STRONG: 0.2})


def test_a_step_whose_router_fails_falls_back() -> None:
    decision = at(0.1, Failure("router_timeout", "late"))
    assert decision.method is Method.DOMAIN_SELECTOR
    assert decision.fallbacks[0].reason == "router_timeout"


def test_a_step_with_a_model_that_is_gone_falls_back() -> None:
    decision = at(0.9, 0.6, cascade(steps=(ModelStep("gone", "middle", 0.5),)))
    assert decision.fallbacks[0].reason == "broken_configuration"
    assert "gone" in decision.fallbacks[0].detail
