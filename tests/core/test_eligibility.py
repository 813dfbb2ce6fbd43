"""Which models can answer a chat call, and who is asked when one of them fails."""

from dataclasses import replace
from typing import Any

import pytest

from experiments.core.eligibility import FallbackPlan, Requirements, ineligible_models, next_model
from experiments.core.endpoints import Endpoint, Protocol, Upstream, upstream_name
from experiments.core.policy import Policy
from experiments.core.values import Pair
from tests.core.decision_values import OTHER, STRONG, WEAK, domain, policy, unavailable

AT = Upstream(Endpoint("here", base_url="http://here/v1"), "m")


def callable_everywhere(**values: Any) -> Policy:
    rules = policy(**values)
    return replace(rules, upstreams=dict.fromkeys(rules.models, AT))


def able(rules: Policy, name: str, **values: Any) -> Policy:
    found = rules.models[name]
    changed = replace(found, capabilities=replace(found.capabilities, **values))
    return replace(rules, models={**rules.models, name: changed})


def test_everything_fits_a_call_that_needs_nothing() -> None:
    assert ineligible_models(callable_everywhere(), Requirements()) == {}


@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        (Requirements(frozenset({"vision"})), "lacks_vision"),
        (Requirements(frozenset({"tools", "audio"})), "lacks_audio"),
        (Requirements(tokens=4097), "context_window"),
        (Requirements(allowed=frozenset({STRONG})), "not_allowed_for_key"),
    ],
)
def test_reason_against_a_model(needs: Requirements, reason: str) -> None:
    rules = callable_everywhere()
    rules = able(rules, STRONG, vision_capable=True, supports_tools=True, audio_capable=True)
    rules = able(rules, STRONG, context_window=5000)
    found = ineligible_models(rules, needs)
    assert found == {WEAK: reason, OTHER: reason}


def test_window_that_is_just_large_enough() -> None:
    assert ineligible_models(callable_everywhere(), Requirements(tokens=4096)) == {}


def test_model_that_is_off_or_nowhere() -> None:
    rules = unavailable(callable_everywhere(), WEAK)
    upstreams = {name: at for name, at in rules.upstreams.items() if name != OTHER}
    found = ineligible_models(replace(rules, upstreams=upstreams), Requirements())
    assert found == {WEAK: "switched_off", OTHER: "no_endpoint"}


def test_other_of_the_pair_then_preferred_then_selected() -> None:
    preferring = domain("code")
    config = replace(preferring.config, preferred_models=(WEAK, "c/preferred"))
    rules = callable_everywhere()
    third = replace(rules.models[OTHER], name="c/preferred")
    rules = replace(
        rules,
        domains={**rules.domains, "code": replace(preferring, config=config)},
        models={**rules.models, "c/preferred": third},
    )
    course = FallbackPlan("code", Pair(STRONG, WEAK))
    tried = [STRONG]
    while following := next_model(rules, course, tried, {}):
        tried.append(following)
    assert tried == [STRONG, WEAK, "c/preferred", OTHER]


def test_callers_list_comes_first_and_skips_what_cannot_answer() -> None:
    rules = callable_everywhere()
    course = FallbackPlan("code", Pair(STRONG, WEAK), listed=("gone/model", OTHER, WEAK))
    assert next_model(rules, course, [STRONG], {}) == OTHER
    assert next_model(rules, course, [STRONG], {OTHER: "circuit_open"}) == WEAK


def test_named_model_has_no_stand_in_of_ours() -> None:
    rules = callable_everywhere()
    assert next_model(rules, FallbackPlan("code", None, direct=True), [STRONG], {}) is None
    course = FallbackPlan("code", None, listed=(OTHER,), direct=True)
    assert next_model(rules, course, [STRONG], {}) == OTHER


def test_no_model_is_left() -> None:
    course = FallbackPlan("code", Pair(STRONG, WEAK))
    assert next_model(callable_everywhere(), course, [STRONG, WEAK, OTHER], {}) is None


@pytest.mark.parametrize(
    ("named", "protocol", "name"),
    [
        ("", Protocol.OPENAI, "gpt-oss"),
        ("", Protocol.LITELLM, "openai/gpt-oss"),
        ("mirror", Protocol.OPENAI, "mirror"),
        ("mirror", Protocol.LITELLM, "mirror"),
    ],
)
def test_name_at_the_endpoint(named: str, protocol: Protocol, name: str) -> None:
    assert upstream_name("openai/gpt-oss", "openai", named, protocol) == name
