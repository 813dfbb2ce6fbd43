"""Invalid requests, with errors in OpenAI's form."""

from typing import Any

import httpx
import openai
import pytest

from tests.gateway.chats import ask, error_of
from tests.gateway.conftest import Gateway
from tests.gateway.rows import LANES, secret_of

pytestmark = pytest.mark.server
GOOD = {"model": LANES["plain"].model, "messages": [{"role": "user", "content": "Hi"}]}


def post(gateway: Gateway, content: Any, key: str = "plain") -> httpx.Response:
    headers = {"Authorization": f"Bearer {secret_of(key)}"}
    url = f"{gateway.base_url}/chat/completions"
    if isinstance(content, bytes):
        return httpx.post(url, content=content, headers=headers, timeout=30)
    return httpx.post(url, json=content, headers=headers, timeout=30)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"messages": [{"content": "Hi"}]}, "messages[0]"),
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"user": 7}, "user"),
        ({"user": "u" * 201}, "user"),
        ({"models": "a"}, "models"),
        ({"models": [1]}, "models"),
        ({"models": ["a"] * 11}, "models"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {str(i): "" for i in range(17)}}, "metadata"),
        ({"metadata": {"a": "x" * 513}}, "metadata"),
    ],
)
def test_invalid_field_is_named(gateway: Gateway, change: Any, param: str) -> None:
    response = post(gateway, {**GOOD, **change})
    error = response.json()["error"]
    assert response.status_code == 400
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["message"]
    assert error["code"]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 5000])
def test_body_that_is_not_an_object(gateway: Gateway, raw: bytes) -> None:
    response = post(gateway, raw)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "Be brief."}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": []}],
        [{"role": "user", "content": [{"type": "text"}, "odd", None, {"type": 5}]}],
        [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None}],
        [{"role": "user", "content": "x" * 150_000}],
    ],
)
def test_unusual_messages_are_passed_to_the_model(gateway: Gateway, messages: Any) -> None:
    assert post(gateway, {**GOOD, "messages": messages}).status_code == 200


def test_body_that_is_too_large(gateway: Gateway) -> None:
    text = "x" * (20 * 1024 * 1024)
    response = post(gateway, {**GOOD, "messages": [{"role": "user", "content": text}]})
    assert response.status_code == 413
    assert "GATEWAY_MAX_BODY_BYTES" in response.json()["error"]["message"]


def test_body_of_unknown_length_is_read(gateway: Gateway) -> None:
    def chunks() -> Any:
        yield b'{"model": "router/plain", '
        yield b'"messages": [{"role": "user", "content": "Hi"}]}'

    headers = {"Authorization": f"Bearer {secret_of('plain')}"}
    url = f"{gateway.base_url}/chat/completions"
    assert httpx.post(url, content=chunks(), headers=headers).status_code == 200


def test_without_a_key(gateway: Gateway) -> None:
    response = httpx.post(f"{gateway.base_url}/chat/completions", json=GOOD)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "missing_api_key"
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("key", ["unknown", "revoked"])
def test_key_that_is_not_valid(gateway: Gateway, key: str) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        ask(gateway.client(key), "router-auto")
    assert error_of(caught.value)["code"] == "invalid_api_key"
    with pytest.raises(openai.AuthenticationError):
        gateway.client(key).models.list()


def test_key_without_the_scope(gateway: Gateway) -> None:
    with pytest.raises(openai.PermissionDeniedError, match="scope 'route'"):
        ask(gateway.client("unscoped"), "router-auto")


def test_other_addresses_and_methods(gateway: Gateway) -> None:
    headers = {"Authorization": f"Bearer {secret_of('plain')}"}
    assert httpx.get(f"{gateway.base_url}/chat/completions", headers=headers).status_code == 405
    assert httpx.post(f"{gateway.base_url}/models", headers=headers).headers["allow"] == "GET"
    unknown = httpx.post(f"{gateway.base_url}/audio/speech", headers=headers)
    assert unknown.status_code == 404
    assert unknown.json()["error"]["code"] == "unknown_url"


def test_new_installation_without_any_provider_key_says_what_to_set(gateway: Gateway) -> None:
    """The only models this key may use are at a provider whose key is not set."""
    with pytest.raises(openai.InternalServerError) as caught:
        ask(gateway.client(), "openai/gpt-4.1")
    error = error_of(caught.value)
    assert caught.value.status_code == 503
    assert error["code"] == "provider_key_missing"
    assert "Set OPENAI_API_KEY where Switchyard runs" in error["message"]
    assert caught.value.response.headers["x-should-retry"] == "false"
