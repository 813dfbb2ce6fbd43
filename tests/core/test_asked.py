"""Calls that name their model, or their router and threshold, themselves."""

from dataclasses import replace

from experiments.core.policy import FlagRule, Method
from experiments.core.values import RequestedTarget
from tests.core.decision_values import ALL, OTHER, STRONG, WEAK, decided, domain, failing, policy


def test_a_named_model_answers_and_is_its_own_baseline() -> None:
    decision = decided(asked=RequestedTarget(model=STRONG))
    assert (decision.model, decision.method, decision.choice.reason) == (
        STRONG,
        Method.DIRECT,
        "model_named",
    )
    assert (decision.costs.chosen, decision.costs.saving) == (19_000_000, 0)
    assert decision.propensity.reason == "forced"


def test_a_named_model_answers_while_routing_is_off() -> None:
    off = replace(policy(), master=FlagRule("routellm_enabled", 0, "seed-master"))
    assert decided(off, asked=RequestedTarget(model=WEAK)).model == WEAK


def test_a_named_threshold_routes_over_the_domains_pair() -> None:
    low, high = (
        RequestedTarget(router="local", threshold=0.3),
        RequestedTarget(router="local", threshold=0.41),
    )
    assert decided(score=0.4, asked=low).model == STRONG
    decision = decided(score=0.4, asked=high)
    assert (decision.model, decision.choice.threshold) == (WEAK, 0.41)


def test_a_named_router_routes_where_the_domains_flag_is_off() -> None:
    off = policy(domain("code", share=0))
    assert (
        decided(off, score=0.4, asked=RequestedTarget(router="local", threshold=0.3)).model
        == STRONG
    )


def test_the_kill_switch_overrules_a_named_router() -> None:
    off = replace(policy(), master=FlagRule("routellm_enabled", 0, "seed-master"))
    decision = decided(off, asked=RequestedTarget(router="local", threshold=0.1))
    assert (decision.model, decision.choice.reason) == (OTHER, "master_flag_off")


def test_a_named_router_that_is_not_enabled_falls_back_and_says_so() -> None:
    decision = decided(asked=RequestedTarget(router="mf", threshold=0.1))
    assert decision.choice.reason == "broken_configuration"
    assert decision.method is Method.DOMAIN_SELECTOR


def test_a_named_router_that_fails_falls_back() -> None:
    decision = decided(
        score=failing("router_failed"), asked=RequestedTarget(router="local", threshold=0.1)
    )
    assert (decision.model, decision.fallbacks[0].reason) == (OTHER, "router_failed")


def test_an_asked_call_is_in_no_flag_list_and_is_forced() -> None:
    assert policy().master.share == ALL
    assert decided(asked=RequestedTarget(model=OTHER)).forced
