"""`/v1/messages/count_tokens`, `/v1/embeddings` and `/v1/models` for each kind of client."""

from typing import Any

import httpx
import pytest

from tests.gateway.conftest import Gateway
from tests.gateway.protocols.http import VERSION, ask, post
from tests.gateway.protocols.rows import (
    CLAUDE,
    EMBEDDER,
    OTHER_EMBEDDER,
    PLAIN,
    upstream_name,
)
from tests.gateway.protocols.stub import ProtocolStub, Reply
from tests.gateway.rows import secret_of

COUNT = "/messages/count_tokens"


def count(gateway: Gateway, model: str, **more: Any) -> httpx.Response:
    body = ask(model, "Hello, how are you today?", **more)
    del body["max_tokens"]
    response: httpx.Response = post(gateway, COUNT, body)
    return response


def test_a_named_claude_counts_itself(switchyard: Gateway, provider: ProtocolStub) -> None:
    response = count(switchyard, CLAUDE, system="Be brief.")
    assert response.json() == {"input_tokens": 1234}
    [seen] = provider.seen
    assert seen.path == "/v1/messages/count_tokens"
    assert seen.body["model"] == upstream_name(CLAUDE)
    assert seen.body["system"] == "Be brief."


@pytest.mark.parametrize("model", ["router-auto", "router/claude", PLAIN])
def test_other_counts_are_estimated(
    switchyard: Gateway, provider: ProtocolStub, model: str
) -> None:
    before = switchyard.stored.rows("SELECT COUNT(*) AS n FROM experiments_decision")
    response = count(switchyard, model)
    assert response.json() == {"input_tokens": 6}
    assert response.headers["x-switchyard-estimated"] == "true"
    assert not provider.seen
    assert switchyard.stored.rows("SELECT COUNT(*) AS n FROM experiments_decision") == before


def test_counting_needs_a_key_and_a_known_model(
    switchyard: Gateway, provider: ProtocolStub
) -> None:
    assert count(switchyard, "no-such-model").status_code == 404
    response = post(switchyard, COUNT, ask(PLAIN), "unscoped")
    assert response.json()["error"]["type"] == "permission_error"


@pytest.mark.parametrize("model", [EMBEDDER, OTHER_EMBEDDER, upstream_name(EMBEDDER)])
def test_embeddings_are_passed_on_priced_and_counted(
    switchyard: Gateway, provider: ProtocolStub, model: str
) -> None:
    body = {"model": model, "input": ["one", "two"]}
    response = post(switchyard, "/embeddings", body)
    assert response.status_code == 200, response.text
    answered = response.json()
    assert [each["embedding"] for each in answered["data"]] == [[0.5, -0.25]] * 2
    expected = EMBEDDER if model == upstream_name(EMBEDDER) else model
    assert answered["model"] == response.headers["x-switchyard-model"] == expected
    [seen] = provider.seen
    assert seen.path == "/v1/embeddings"
    assert seen.body["input"] == ["one", "two"]
    decision_id = response.headers["x-switchyard-decision-id"]
    [attempt] = switchyard.stored.attempts(decision_id)
    assert (attempt["input_tokens"], attempt["output_tokens"]) == (9, 0)
    assert attempt["cost"] == 9_000
    assert switchyard.stored.decision(decision_id)["method"] == "direct"


def test_only_models_that_embed_embed_and_they_do_not_chat(
    switchyard: Gateway, provider: ProtocolStub
) -> None:
    wrong = post(switchyard, "/embeddings", {"model": PLAIN, "input": "one"})
    assert wrong.status_code == 400
    assert "lacks the capability 'embedding'" in wrong.json()["error"]["message"]
    routed = post(switchyard, "/embeddings", {"model": "router-auto", "input": "one"})
    assert routed.status_code == 400
    chat = post(switchyard, "/messages", ask(EMBEDDER))
    assert chat.status_code == 400
    assert "lacks the capability 'chat'" in chat.json()["error"]["message"]
    for bad in ([], "", [""], [1.5], None, {"a": 1}):
        response = post(switchyard, "/embeddings", {"model": EMBEDDER, "input": bad})
        assert response.status_code == 400, bad
    assert not provider.seen


def test_a_failing_embedder_is_an_error(switchyard: Gateway, provider: ProtocolStub) -> None:
    provider.says(upstream_name(EMBEDDER), Reply(fault=400, error_message="too many inputs"))
    response = post(switchyard, "/embeddings", {"model": EMBEDDER, "input": [[1, 2], [3]]})
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "too many inputs"


def test_models_are_listed_for_each_client(switchyard: Gateway) -> None:
    headers = {"x-api-key": secret_of("plain")}
    url = f"{switchyard.base_url}/models"
    openai = httpx.get(url, headers=headers).json()
    anthropic = httpx.get(url, headers={**headers, **VERSION}).json()
    names = [model["id"] for model in openai["data"]]
    assert "router-auto" in names
    assert [model["id"] for model in anthropic["data"]] == names
    assert (anthropic["first_id"], anthropic["has_more"]) == (names[0], False)
    one = httpx.get(f"{url}/{CLAUDE}", headers={**headers, **VERSION}).json()
    assert (one["type"], one["id"]) == ("model", CLAUDE)
    assert httpx.get(f"{url}/{CLAUDE}", headers=headers).json()["owned_by"] == "anthropic"
    assert httpx.get(f"{url}/no-such-model", headers=headers).status_code == 404
