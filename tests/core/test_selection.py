"""The classic selector: strategies, filters, what gives way and what never does."""

import asyncio
from typing import Any

import pytest

from experiments.core.catalog import (
    Model,
    ModelCapabilities,
    ModelCost,
    ModelMetrics,
    ModelRegistry,
)
from experiments.core.detection import DomainConfig
from experiments.core.selection import (
    FILTERS,
    ModelSelectionCriteria,
    ModelSelector,
    NoEligibleModelsError,
    criteria_for_domain,
    select,
)

STRONG = Model(
    "strong",
    "acme",
    ModelCapabilities(
        ["chat", "analysis"],
        context_window=200_000,
        accuracy_score=0.95,
        speed_rating="slow",
        domains=["medical", "legal"],
        vision_capable=True,
        certifications=["HIPAA"],
    ),
    ModelCost(0.01, 0.03),
    ModelMetrics(latency_p50=2000, latency_p95=4000),
)
WEAK = Model(
    "weak",
    "acme",
    ModelCapabilities(["chat"], context_window=16_000, accuracy_score=0.75, speed_rating="fast"),
    ModelCost(0.0005, 0.0015),
    ModelMetrics(latency_p50=300, latency_p95=700),
)
MIDDLE = Model(
    "middle",
    "globex",
    ModelCapabilities(["chat"], context_window=128_000, accuracy_score=0.9, languages=["en", "fr"]),
    ModelCost(0.002, 0.006),
)
UNPRICED = Model("unpriced", "initech", ModelCapabilities(["chat"], 8000), ModelCost())
ALL = [STRONG, WEAK, MIDDLE, UNPRICED]


def chosen(models: list[Model] = ALL, **criteria: Any) -> str:
    return select(models, ModelSelectionCriteria(**criteria)).model.name


def relaxed(models: list[Model] = ALL, **criteria: Any) -> tuple[str, ...]:
    return select(models, ModelSelectionCriteria(**criteria)).relaxed


def test_select_model_is_a_coroutine() -> None:
    registry = ModelRegistry()
    registry.register_model(STRONG)
    assert asyncio.run(ModelSelector(registry).select_model()) is STRONG


def test_strategies() -> None:
    assert chosen(selection_strategy="accuracy_optimized") == "strong"
    assert chosen(selection_strategy="cost_optimized") == "weak"
    assert chosen(selection_strategy="performance_optimized") == "weak"
    assert chosen(selection_strategy="balanced") == "middle"


def test_balanced_weighs_errors_cost_and_latency() -> None:
    # strong: .5 * (1 - .05/.25) = .4; weak: .3 * .95 + .2 * .85 = .455.
    assert chosen([STRONG, WEAK], selection_strategy="balanced") == "weak"


def test_an_unknown_price_is_never_the_cheapest() -> None:
    assert chosen([STRONG, UNPRICED], selection_strategy="cost_optimized") == "strong"


def test_equal_models_are_taken_by_name_whatever_their_order() -> None:
    first = Model("a", "p", ModelCapabilities(["chat"]), ModelCost(1, 1))
    second = Model("b", "p", ModelCapabilities(["chat"]), ModelCost(1, 1))
    for strategy in ("balanced", "cost_optimized", "performance_optimized", "accuracy_optimized"):
        assert chosen([second, first], selection_strategy=strategy) == "a"


@pytest.mark.parametrize(
    ("criteria", "model"),
    [
        ({"required_tasks": ["Analysis"]}, "strong"),
        ({"required_capabilities": ["vision"]}, "strong"),
        ({"required_domains": ["medical"]}, "strong"),
        ({"min_context_window": 150_000}, "strong"),
        ({"required_languages": ["fr"]}, "middle"),
        ({"max_cost_per_request": 0.002}, "weak"),
        ({"max_cost_per_1k_tokens": 0.0015}, "weak"),
        ({"max_latency_ms": 1000}, "weak"),
        ({"min_accuracy_score": 0.92}, "strong"),
        ({"speed_preference": "fast"}, "weak"),
        ({"preferred_providers": ["globex"]}, "middle"),
        ({"excluded_providers": ["acme", "initech"]}, "middle"),
        ({"preferred_models": ["acme/weak"]}, "weak"),
        ({"excluded_models": ["weak", "middle", "unpriced"]}, "strong"),
        ({"required_certifications": ["hipaa"]}, "strong"),
    ],
)
def test_each_filter(criteria: dict[str, Any], model: str) -> None:
    selection = select(ALL, ModelSelectionCriteria(**criteria))
    assert selection.model.name == model
    assert selection.relaxed == ()


def test_free_models_are_preferred_when_asked() -> None:
    free = Model("free", "own", ModelCapabilities(["chat"]), ModelCost(is_free=True))
    assert chosen([*ALL, free], prefer_free_models=True) == "free"
    assert relaxed(prefer_free_models=True) == ("prefer_free_models",)


def test_a_requirement_that_no_model_meets_gives_way_and_is_named() -> None:
    assert relaxed(required_languages=["tlh"]) == ("required_languages",)


def test_the_more_important_filter_wins() -> None:
    # No model is both this accurate and of this provider: the preference gives way.
    selection = select(
        ALL, ModelSelectionCriteria(min_accuracy_score=0.92, preferred_providers=["globex"])
    )
    assert selection.model.name == "strong"
    assert selection.relaxed == ("preferred_providers",)


def test_the_order_in_which_filters_hold() -> None:
    assert [rule.name for rule in FILTERS] == [
        "min_context_window",
        "required_capabilities",
        "max_cost_per_request",
        "max_cost_per_1k_tokens",
        "required_tasks",
        "min_accuracy_score",
        "required_languages",
        "max_latency_ms",
        "required_domains",
        "preferred_models",
        "preferred_providers",
        "prefer_free_models",
        "speed_preference",
    ]


def test_fail_raises_for_a_requirement() -> None:
    with pytest.raises(NoEligibleModelsError, match="No model meets min_accuracy_score"):
        chosen(min_accuracy_score=0.99, fallback_strategy="fail")


def test_fail_does_not_raise_for_a_preference() -> None:
    assert chosen(preferred_models=["gone"], fallback_strategy="fail") == "middle"


def test_cheapest_answers_a_requirement_that_no_model_meets() -> None:
    selection = select(
        ALL, ModelSelectionCriteria(min_accuracy_score=0.99, fallback_strategy="cheapest")
    )
    assert selection.model.name == "weak"
    assert selection.relaxed == ("min_accuracy_score",)


def test_no_model_registered() -> None:
    with pytest.raises(NoEligibleModelsError, match="No model is registered"):
        chosen([])


def test_no_model_available() -> None:
    gone = Model("gone", "acme", ModelCapabilities(["chat"]), ModelCost(), is_available=False)
    with pytest.raises(NoEligibleModelsError, match="No registered model is available"):
        chosen([gone])


def test_exclusions_never_give_way() -> None:
    with pytest.raises(NoEligibleModelsError, match="exclude every available model"):
        chosen(excluded_providers=["acme", "globex", "initech"])


def test_certifications_never_give_way() -> None:
    with pytest.raises(NoEligibleModelsError, match="certified for HIPAA"):
        chosen(required_certifications=["HIPAA"], excluded_models=["strong"])


def test_certifications_hold_while_the_certified_model_is_down() -> None:
    criteria = ModelSelectionCriteria(required_certifications=["HIPAA"])
    with pytest.raises(NoEligibleModelsError, match="certified for HIPAA"):
        select(ALL, criteria, unavailable=frozenset({"strong"}))


def test_certifications_do_not_count_where_no_model_declares_any() -> None:
    assert chosen([WEAK], required_certifications=["HIPAA"]) == "weak"


def test_an_unknown_price_does_not_meet_a_budget() -> None:
    assert relaxed([UNPRICED], max_cost_per_request=1.0) == ("max_cost_per_request",)


@pytest.mark.parametrize(
    "criteria",
    [
        {"fallback_strategy": "hope"},
        {"selection_strategy": "magic"},
        {"speed_preference": "warp"},
    ],
)
def test_an_unknown_choice_is_refused_naming_those_that_exist(criteria: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Choose one of"):
        ModelSelectionCriteria(**criteria)


def test_a_domain_adds_its_needs_and_the_stricter_holds() -> None:
    medical = DomainConfig(
        "medical", [], [], ["acme/strong"], ["vision"], ["HIPAA"], min_accuracy_score=0.9
    )
    base = ModelSelectionCriteria(min_accuracy_score=0.95, required_capabilities=["tools"])
    criteria = criteria_for_domain(medical, base)
    assert criteria.required_domains == ("medical",)
    assert criteria.required_capabilities == ("tools", "vision")
    assert criteria.required_certifications == ("HIPAA",)
    assert criteria.min_accuracy_score == 0.95
    assert criteria.preferred_models == ["acme/strong"]


def test_the_callers_preferred_models_win_over_the_domains() -> None:
    medical = DomainConfig("medical", preferred_models=["acme/strong"])
    base = ModelSelectionCriteria(preferred_models=["acme/weak"])
    assert criteria_for_domain(medical, base).preferred_models == ["acme/weak"]


def test_general_asks_for_no_domain() -> None:
    assert criteria_for_domain(DomainConfig("general")).required_domains == ()
