"""The Python API with RouteLLM's routers: retries, time-outs, fallbacks."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from experiments.core.policy import PolicyRouter
from experiments.core.values import Failure, Score
from experiments.domain_router import (
    DomainRouter,
    FeatureFlags,
    Model,
    ModelCapabilities,
    ModelCost,
    ModelRegistry,
    RouteLLMConfig,
    RouteLLMUnavailableError,
    TextAnalysis,
)
from experiments.python_api.scorers import Scorers
from experiments.routers.routellm_loader import bridge
from tests.routers.conftest import DIMENSIONS

InProcess = Callable[..., Any]


class Asked(NamedTuple):
    answer: Score | Failure
    calls: int


# What runs in the process that has imported RouteLLM


def ask_moody(prompt: str, attempts: int, timeout: float) -> Asked:
    """The answer of the router that does what the prompt says, and how often it was called."""
    bridge()  # before anything else imports RouteLLM
    from tests.routers.own_routers import MoodyRouter

    calls = []
    original = MoodyRouter.calculate_strong_win_rate

    def counted(self: MoodyRouter, text: str) -> object:
        calls.append(text)
        return original(self, text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MoodyRouter, "calculate_strong_win_rate", counted)
        scorers = Scorers()
        scorers.prepare(
            {"moody": PolicyRouter("moody", "moody", local=False, timeout_seconds=timeout)}
        )
        return Asked(scorers.score("moody", prompt, attempts), len(calls))


def ask_flaky(failures: int, attempts: int) -> Asked:
    """A router that fails so many times before it answers."""
    bridge()  # before anything else imports RouteLLM
    from tests.routers.own_routers import MoodyRouter

    calls = []

    def flaky(self: MoodyRouter, text: str) -> float:
        del self
        calls.append(text)
        if len(calls) <= failures:
            raise ConnectionError("reset")
        return 0.75

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MoodyRouter, "calculate_strong_win_rate", flaky)
        scorers = Scorers()
        scorers.prepare(
            {"moody": PolicyRouter("moody", "moody", local=False, timeout_seconds=30.0)}
        )
        return Asked(scorers.score("moody", "hello", attempts), len(calls))


def readiness() -> list[object]:
    scorers = Scorers()
    router = PolicyRouter("x", "moody", local=False, arguments={"no_such": 1})
    before = (scorers.is_ready("x"), scorers.problem("x"), scorers.score("x", "hello", 1))
    scorers.prepare({"x": router})
    return [before, scorers.is_ready("x"), scorers.problem("x"), scorers.score("x", "hello", 3)]


def route(settings: dict[str, Any]) -> tuple[str, TextAnalysis]:
    """The model that answers, and the analysis of the same text."""
    registry = ModelRegistry()
    for name, accuracy, price in (("strong", 0.95, 0.01), ("weak", 0.8, 0.001)):
        capabilities = ModelCapabilities(["chat"], accuracy_score=accuracy)
        registry.register_model(Model(name, "acme", capabilities, ModelCost(price, price)))
    flags = FeatureFlags({"routellm_enabled": True, "routellm_general_domain": True})
    config = RouteLLMConfig(enabled=True, strong_model="strong", weak_model="weak")
    config.update(settings)
    router = DomainRouter(registry, config, flags)
    model = asyncio.run(router.route_by_domain("prove that the"))
    return model.name, router.analyze_text("prove that the")


# The tests


def test_the_first_score_is_taken(in_routellm_process: InProcess) -> None:
    assert in_routellm_process(ask_moody, "hello", 3, 30.0) == (Score(0.25, None), 1)


def test_a_failure_is_tried_again(in_routellm_process: InProcess) -> None:
    assert in_routellm_process(ask_flaky, 2, 3) == (Score(0.75, None), 3)


def test_the_tries_end(in_routellm_process: InProcess) -> None:
    failure = Failure("router_failed", "ConnectionError: reset")
    assert in_routellm_process(ask_flaky, 9, 3) == (failure, 3)


@pytest.mark.parametrize("attempts", [0, 1])
def test_it_is_asked_at_least_once(in_routellm_process: InProcess, attempts: int) -> None:
    assert in_routellm_process(ask_flaky, 0, attempts) == (Score(0.75, None), 1)


def test_a_router_that_hangs_times_out(in_routellm_process: InProcess) -> None:
    answer, calls = in_routellm_process(ask_moody, "hang", 2, 0.05)
    assert answer.reason == "router_timeout"
    assert calls == 2


def test_a_router_that_cannot_be_built_is_not_asked(in_routellm_process: InProcess) -> None:
    before, ready, problem, answer = in_routellm_process(readiness)
    assert before == (None, None, Failure("router_not_ready", "prepare() was not called."))
    assert ready is False
    assert "no_such" in problem
    assert answer.reason == "router_not_ready"


def test_mf_with_a_checkpoint_of_ones_own(
    in_routellm_process: InProcess, checkpoints: Path
) -> None:
    settings = {
        "router_type": "mf",
        "router_arguments": {
            "checkpoint_path": str(checkpoints / "mf"),
            "hidden_size": 8,
            "text_dim": DIMENSIONS,
        },
    }
    model, analysis = in_routellm_process(route, settings)
    assert analysis.routing_method == "routellm"
    assert 0 < analysis.complexity < 1
    assert model == ("strong" if analysis.complexity >= 0.11593 else "weak")


@pytest.mark.parametrize(("threshold", "model"), [(0.0, "strong"), (1.0, "weak")])
def test_random(in_routellm_process: InProcess, threshold: float, model: str) -> None:
    settings = {"router_type": "random", "threshold": threshold}
    assert in_routellm_process(route, settings)[0] == model


def test_a_missing_checkpoint_falls_back_and_says_how_to_bring_it(
    in_routellm_process: InProcess,
) -> None:
    _, analysis = in_routellm_process(route, {"router_type": "mf"})
    assert analysis.routing_method == "domain_selector"
    assert "hf download routellm/mf_gpt4_augmented" in analysis.fallback_reason


def test_without_fallback_the_same_is_an_error(in_routellm_process: InProcess) -> None:
    settings = {"router_type": "mf", "fallback_enabled": False}
    with pytest.raises(RouteLLMUnavailableError, match="hf download"):
        in_routellm_process(route, settings)
