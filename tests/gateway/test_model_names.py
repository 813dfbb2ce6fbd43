"""The values that callers may send as `model`."""

import openai
import pytest

from tests.gateway.chats import ask, error_of
from tests.gateway.conftest import Gateway
from tests.gateway.rows import LANES

pytestmark = pytest.mark.server
PLAIN = LANES["plain"]


def test_router_auto_lets_the_domain_decide(gateway: Gateway, client: openai.OpenAI) -> None:
    answer = ask(client, "router-auto", "Write a poem about the sea, with rhymes, in four verses.")
    row = gateway.stored.decision(answer.decision_id)
    assert row["domain"] == "creative"
    assert row["detail"]["overridden"] is False


def test_router_of_a_domain(gateway: Gateway, client: openai.OpenAI) -> None:
    row = gateway.stored.decision(ask(client, PLAIN.model).decision_id)
    assert (row["domain"], row["method"], row["tier"]) == ("plain", "always_strong", "strong")


@pytest.mark.parametrize(("threshold", "tier"), [("0.0", "strong"), ("1", "weak")])
def test_router_with_a_threshold(
    gateway: Gateway, client: openai.OpenAI, threshold: str, tier: str
) -> None:
    answer = ask(client, f"router-local-{threshold}", "Hello.")
    row = gateway.stored.decision(answer.decision_id)
    assert (row["router"], row["threshold"]) == ("local", float(threshold))
    assert row["detail"]["inputs"]["asked"] == [None, "local", float(threshold)]


def test_router_that_is_not_set_up_falls_back_and_says_so(
    gateway: Gateway, client: openai.OpenAI
) -> None:
    answer = ask(client, "router-mf-0.11593")
    row = gateway.stored.decision(answer.decision_id)
    assert row["method"] == "domain_selector"
    assert row["fallback"]
    assert answer.headers["x-switchyard-fallback"] == row["fallback"]


def test_registered_model_is_not_routed_but_counted(
    gateway: Gateway, client: openai.OpenAI
) -> None:
    answer = ask(client, PLAIN.weak_name)
    assert answer.completion.model == PLAIN.weak_name
    row = gateway.stored.decision(answer.decision_id)
    assert (row["method"], row["reason"]) == ("direct", "model_named")
    assert gateway.stored.outcome(answer.decision_id)["cost"] is not None


def test_name_at_the_endpoint_does_too(client: openai.OpenAI) -> None:
    assert ask(client, "plain-weak").completion.model == PLAIN.weak_name


@pytest.mark.parametrize(
    "name",
    [
        "gpt-99",
        "router-unknown-0.5",
        "router-local-1.5",
        "router-local-x",
        "router-local",
        "router/nowhere",
        "router-",
        "ROUTER-AUTO",
        "../../etc/passwd",
    ],
)
def test_unknown_name_is_404_and_lists_the_known_ones(client: openai.OpenAI, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        ask(client, name)
    error = error_of(caught.value)
    assert (error["type"], error["code"]) == ("invalid_request_error", "model_not_found")
    assert error["param"] == "model"
    for known in ("router-auto", PLAIN.model, PLAIN.strong_name, "local"):
        assert known in error["message"]


def test_unknown_name_in_the_list_is_404_about_the_list(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        ask(client, PLAIN.model, extra_body={"models": ["gpt-99"]})
    assert error_of(caught.value)["param"] == "models"
