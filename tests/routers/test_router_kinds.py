"""Kinds and names of routers, known without importing RouteLLM."""

import subprocess
import sys

import pytest

from experiments.routers.errors import RouterConfigurationError, describe
from experiments.routers.kinds import KINDS, RouterKind, check_name, kind_of, own_classes


def test_routellms_five_and_our_own_are_known() -> None:
    five = ["random", "mf", "bert", "causal_llm", "sw_ranking"]
    assert list(KINDS) == ["local", "local_mf", *five, "knn", "linear", "complexity", "learned"]


def test_an_unknown_kind_is_refused_with_the_kinds_there_are() -> None:
    with pytest.raises(RouterConfigurationError, match="local, local_mf, random, mf, bert"):
        kind_of("matrix")


def test_a_kind_of_ones_own_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_CLASSES", "length=my_routers.LengthRouter, polite = mine.Polite,")
    assert own_classes() == {"length": "my_routers.LengthRouter", "polite": "mine.Polite"}
    assert kind_of("length") == RouterKind(
        local=False, inline=False, calls_openai=False, concurrent=8
    )


def test_a_name_with_a_hyphen_is_refused_with_one_that_works() -> None:
    with pytest.raises(RouterConfigurationError, match="for example 'my_router'"):
        check_name("my-router")


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(RouterConfigurationError, match="cannot name a router"):
        check_name("")


def test_a_name_with_underscores_is_fine() -> None:
    check_name("local_mf")


def test_a_failure_is_reported_on_one_line_with_its_class() -> None:
    assert describe(KeyError("gpt-9\nis not here")) == "KeyError: 'gpt-9\\nis not here'"
    assert describe(ValueError("two\nlines")) == "ValueError: two lines"
    assert describe(ValueError()) == "ValueError"


def test_a_long_failure_is_cut() -> None:
    assert len(describe(ValueError("x" * 5000))) == len("ValueError: ") + 200


def test_a_failure_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "open-sesame")
    error = ValueError("key open-sesame, sk-abcd1234, http://user:word@host/, Bearer abc")
    assert describe(error) == (
        "ValueError: key [secret], [secret] http://[secret]@host/, Bearer [secret]"
    )


def test_a_failure_holds_no_prompt() -> None:
    error = KeyError("no answer to 'my rash\nitches'")
    assert describe(error, "my rash\nitches") == "KeyError: \"no answer to '[prompt]'\""


def test_importing_the_package_loads_neither_routellm_nor_torch() -> None:
    modules = "routellm_setup, kinds, errors, bounded_pool, features"
    code = f"import sys; from experiments.routers import {modules}; print(sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert not [name for name in ("routellm", "torch", "litellm") if f"'{name}'" in loaded]
