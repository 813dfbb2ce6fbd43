"""Names that clients send stand for what an operator says, for each key."""

import httpx
import pytest

from tests.gateway.chats import ask as chat
from tests.gateway.conftest import Gateway
from tests.gateway.protocols.http import ask, post
from tests.gateway.protocols.rows import CLAUDE, EMBEDDER, GPT, PLAIN
from tests.gateway.protocols.stub import ProtocolStub
from tests.gateway.rows import secret_of


@pytest.mark.parametrize(
    ("name", "key", "model", "method"),
    [
        ("gpt-4o", "plain", PLAIN, "always_weak"),
        ("gpt-4o", "load", CLAUDE, "direct"),
        ("gpt-5-mini", "plain", GPT, "direct"),
        ("claude-sonnet-5-5", "plain", CLAUDE, "always_strong"),
        ("claude-haiku-5", "plain", PLAIN, "always_weak"),
        # Also the name of a registered model at its endpoint; the alias counts.
        ("claude-opus-5", "plain", CLAUDE, "always_strong"),
        ("claude-opus-5", "load", PLAIN, "always_weak"),
        (CLAUDE, "load", CLAUDE, "direct"),
    ],
)
def test_a_name_stands_for_its_target(
    switchyard: Gateway, provider: ProtocolStub, name: str, key: str, model: str, method: str
) -> None:
    response = post(switchyard, "/messages", ask(name), key)
    assert response.status_code == 200, response.text
    assert response.headers["x-switchyard-model"] == model
    row = switchyard.stored.decision(response.headers["x-switchyard-decision-id"])
    assert row["method"] == method


def test_aliases_hold_in_every_protocol(switchyard: Gateway, provider: ProtocolStub) -> None:
    answer = chat(switchyard.client(), "gpt-4o")
    assert answer.completion.model == PLAIN
    response = post(switchyard, "/responses", {"model": "gpt-4o", "input": "Hello."})
    assert response.json()["model"] == PLAIN
    embedded = post(switchyard, "/embeddings", {"model": "embed", "input": "one"})
    assert embedded.json()["model"] == EMBEDDER
    counted = post(switchyard, "/messages/count_tokens", ask("gpt-4o"), "load")
    assert counted.json() == {"input_tokens": 1234}


def test_the_list_of_models_has_the_names_of_the_key(switchyard: Gateway) -> None:
    url = f"{switchyard.base_url}/models"
    headers = {"x-api-key": secret_of("plain")}
    names = [model["id"] for model in httpx.get(url, headers=headers).json()["data"]]
    assert "gpt-4o" in names
    assert "claude-opus-5" not in names
    assert not [name for name in names if "*" in name]
    one = httpx.get(f"{url}/claude-sonnet-5-5", headers=headers).json()
    assert (one["id"], one["owned_by"]) == ("claude-sonnet-5-5", "switchyard")
