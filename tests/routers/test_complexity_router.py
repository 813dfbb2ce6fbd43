"""LiteLLM's complexity heuristic as a router kind. Importing LiteLLM takes seconds."""

import time

import pytest
from litellm.router_strategy.complexity_router.complexity_router import ComplexityRouter as Rules

from experiments.core.policy import PolicyRouter
from experiments.models import Router as Row
from experiments.routers.building import build, check_router, checkpoint_sha256
from experiments.routers.complexity import ComplexityRouter
from experiments.routers.errors import RouterConfigurationError
from experiments.routers.features import featurise
from experiments.routers.heads import sigmoid
from experiments.routers.pool import RouterPool
from experiments.routing.router_lookup import of_row

pytestmark = pytest.mark.slow

EASY = "Hello"
HARD = "Prove step by step that this distributed algorithm terminates; compare and contrast."
PROMPTS = (
    *(EASY, HARD, "2+2?", "What is the capital of France?", "Debug this api error in python"),
    *("Design a scalable architecture", "Write a poem. First rhyme, then count.", "", "Ärger über"),
)


@pytest.fixture(scope="module")
def router() -> ComplexityRouter:
    return ComplexityRouter.load()


def test_it_orders_prompts(router: ComplexityRouter) -> None:
    assert router.score(featurise(EASY)) < 0.5 < router.score(featurise(HARD))


@pytest.mark.parametrize("prompt", PROMPTS)
def test_scores_are_those_of_litellm(router: ComplexityRouter, prompt: str) -> None:
    rules = Rules("complexity", ctx=None, derive_savings_baseline=False)
    assert router.score(featurise(prompt)) == sigmoid(float(rules.classify(prompt)[1]))


def test_its_rules_are_pinned_like_weights(router: ComplexityRouter) -> None:
    assert checkpoint_sha256("complexity", {}) == router.sha256 == ComplexityRouter.load().sha256
    with pytest.raises(RouterConfigurationError, match="pinned to checkpoint 000000000000"):
        build(PolicyRouter("rules", "complexity", True, "0" * 64))


def test_it_takes_no_arguments() -> None:
    with pytest.raises(RouterConfigurationError, match="takes no arguments"):
        check_router("complexity", {"keywords": []})


def test_the_pool_scores_with_it_in_the_callers_thread() -> None:
    pool = RouterPool()
    pool.warm_up({"rules": PolicyRouter("rules", "complexity", True)})
    assert pool.status("rules").ready
    found = pool.score("rules", featurise(HARD))
    assert getattr(found, "value", None) == ComplexityRouter.load().score(featurise(HARD))


def test_its_score_is_no_win_rate() -> None:
    assert of_row(Row(name="rules", kind="complexity")).ties is None


def test_a_question_takes_less_than_a_millisecond(router: ComplexityRouter) -> None:
    features = featurise(HARD)
    times = []
    for _ in range(200):
        started = time.perf_counter()
        router.score(features)
        times.append(time.perf_counter() - started)
    assert sorted(times)[100] < 0.001
