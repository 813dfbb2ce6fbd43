"""How a call is adapted for a model that does not take one of its parameters."""

from typing import Any

import pytest

from experiments.core.parameters import Action, PolicyRule, adapted, in_order, objections
from experiments.core.seeded_parameters import SEEDED_PARAMETER_RULES


def rule(action: Action, parameter: str = "seed", **values: Any) -> PolicyRule:
    return PolicyRule("tested", parameter, action, **values)


def sent(body: dict[str, Any], *rules: PolicyRule, limit: int | None = None) -> dict[str, Any]:
    return adapted(body, in_order(rules), limit)[0]


def shipped(provider: str, *names: str) -> tuple[PolicyRule, ...]:
    return in_order(r for r in SEEDED_PARAMETER_RULES if r.matches(provider, names))


def test_drop() -> None:
    body, changes = adapted({"seed": 7, "n": 1}, [rule(Action.DROP)])
    assert body == {"n": 1}
    assert changes == (("seed", "drop", "left out", "tested"),)


def test_call_that_is_given_stays_as_it_is() -> None:
    body = {"seed": 7}
    adapted(body, [rule(Action.DROP)])
    assert body == {"seed": 7}


def test_rename() -> None:
    renamed = rule(Action.RENAME, "max_tokens", replacement="max_completion_tokens")
    assert sent({"max_tokens": 9}, renamed) == {"max_completion_tokens": 9}
    both = {"max_tokens": 9, "max_completion_tokens": 8}
    assert sent(both, renamed) == {"max_completion_tokens": 8}


def test_what_is_renamed_is_held_to_the_limit_of_its_new_name() -> None:
    rules = (
        rule(Action.CLAMP, "max_completion_tokens"),
        rule(Action.RENAME, "max_tokens", replacement="max_completion_tokens"),
    )
    assert sent({"max_tokens": 900}, *rules, limit=100) == {"max_completion_tokens": 100}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1.5, 1), (-1, 0), (0.5, 0.5), (True, True), ("hot", "hot"), (None, None), (1, 1)],
)
def test_clamp_of_a_number(value: Any, expected: Any) -> None:
    clamp = rule(Action.CLAMP, "temperature", minimum=0, maximum=1)
    assert sent({"temperature": value}, clamp) == {"temperature": expected}


def test_clamp_of_a_list_keeps_its_beginning() -> None:
    clamp = rule(Action.CLAMP, "stop", maximum=2)
    assert sent({"stop": ["a", "b", "c"]}, clamp) == {"stop": ["a", "b"]}
    assert sent({"stop": "abc"}, clamp) == {"stop": "abc"}


def test_clamp_without_limits_takes_the_models_own() -> None:
    clamp = rule(Action.CLAMP, "max_tokens")
    assert sent({"max_tokens": 900}, clamp, limit=100) == {"max_tokens": 100}
    assert sent({"max_tokens": 900}, clamp) == {"max_tokens": 900}


def test_replace() -> None:
    replaced = rule(Action.REPLACE, "reasoning_effort", only_values=("minimal",), replacement="low")
    assert sent({"reasoning_effort": "minimal"}, replaced) == {"reasoning_effort": "low"}
    assert sent({"reasoning_effort": "high"}, replaced) == {"reasoning_effort": "high"}


def test_values_are_compared_as_numbers() -> None:
    kept = rule(Action.DROP, "temperature", except_values=("1",))
    assert sent({"temperature": 1.0}, kept) == {"temperature": 1.0}
    assert sent({"temperature": 0.9}, kept) == {}


def test_only_next_to_another_parameter() -> None:
    with_other = rule(Action.DROP, "top_p", with_parameter="temperature")
    assert sent({"top_p": 0.5}, with_other) == {"top_p": 0.5}
    assert sent({"top_p": 0.5, "temperature": 1}, with_other) == {"temperature": 1}
    assert sent({"top_p": 0.5, "temperature": None}, with_other) == {
        "top_p": 0.5,
        "temperature": None,
    }


def test_refused_parameter_is_never_left_out() -> None:
    refuse = rule(Action.REFUSE, "response_format", only_values=("json_schema",))
    body = {"response_format": {"type": "json_schema"}}
    assert sent(body, refuse) == body
    assert objections(body, (), [refuse]) == {Action.REFUSE: "response_format"}
    assert objections({"response_format": {"type": "text"}}, (), [refuse]) == {}


def test_pictures_are_refused_by_what_is_in_the_messages() -> None:
    blind = rule(Action.REFUSE, "image_url")
    assert objections({}, ("vision",), [blind]) == {Action.REFUSE: "image_url"}
    assert objections({}, (), [blind]) == {}


@pytest.mark.parametrize(
    ("names", "matches"),
    [
        (("openai/gpt-5-mini", "gpt-5-mini"), True),
        (("openai/gpt-5-chat-latest", "gpt-5-chat-latest"), False),
        (("openai/gpt-4.1", "gpt-4.1"), False),
    ],
)
def test_patterns_name_models_and_exceptions(names: tuple[str, ...], matches: bool) -> None:
    some = rule(Action.DROP, provider="openai", model_patterns=("gpt-5*", "!*-chat*"))
    assert some.matches("openai", names) is matches
    assert not some.matches("azure", names)


def test_names_of_shipped_rules_are_different() -> None:
    names = [each.name for each in SEEDED_PARAMETER_RULES]
    assert len(names) == len(set(names))


def test_shipped_rules_for_claude() -> None:
    rules = shipped("anthropic", "anthropic/claude-sonnet-5-5")
    call = {"seed": 7, "temperature": 1.5, "top_p": 0.5, "max_tokens": 900_000, "n": 1}
    assert sent(call, *rules, limit=128_000) == {
        "temperature": 1,
        "max_tokens": 128_000,
        "n": 1,
    }
    assert objections({"n": 2}, (), rules) == {Action.AVOID: "n"}


def test_shipped_rules_for_models_of_openai_that_reason() -> None:
    rules = shipped("openai", "openai/gpt-5-mini", "gpt-5-mini")
    call = {"max_tokens": 50, "temperature": 0.2, "top_p": 1, "presence_penalty": 0, "seed": 1}
    assert sent(call, *rules, limit=128_000) == {
        "max_completion_tokens": 50,
        "top_p": 1,
        "presence_penalty": 0,
        "seed": 1,
    }


def test_shipped_rules_leave_other_models_alone() -> None:
    rules = shipped("openai", "openai/gpt-4.1", "gpt-4.1")
    call = {"max_tokens": 50, "temperature": 0.2, "seed": 1, "logprobs": True, "n": 2}
    assert sent(call, *rules, limit=32_768) == call
    assert objections(call, (), rules) == {}
