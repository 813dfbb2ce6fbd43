"""API clients on a wrong path get JSON that names the right one."""

import json

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db
KEY = {"Authorization": "Bearer sy_x"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "hint"),
    [
        ("post", "/chat/completions", {}, "Use /v1/chat/completions:"),
        ("post", "/chat/completions/", KEY, "Use /v1/chat/completions:"),
        ("get", "/chat/completions", {}, "Use /v1/chat/completions:"),
        ("get", "/models", KEY, "Use /v1/models:"),
        ("get", "/models", {"x-api-key": "sy_x"}, "Use /v1/models:"),
        ("get", "/models/openai", {}, "Use /v1/models/openai:"),
        ("post", "/completions", {}, "Use /v1/completions:"),
        ("post", "/embeddings", {}, "Use /v1/embeddings:"),
        ("post", "/responses", {}, "Use /v1/responses:"),
        ("post", "/api/chat/completions", KEY, "Use /v1/chat/completions:"),
        ("post", "/openai/v1/chat/completions", KEY, "Use /v1/chat/completions:"),
        ("post", "/route", KEY, "/api/v1"),
        ("put", "/nothing", {}, "/v1"),
        ("get", "/nothing", {"Accept": "application/json"}, "/v1"),
        ("get", "/v1", KEY, "/v1"),
    ],
)
def test_json(method: str, path: str, headers: dict[str, str], hint: str) -> None:
    response = getattr(Client(), method)(path, headers=headers)
    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/json"
    error = json.loads(response.content)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("invalid_request_error", "unknown_url")
    assert hint in error["message"]
    assert "/v1" in error["message"]
    assert response.headers["X-Request-Id"]
    assert response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("headers", [{}, {"Accept": "text/html,application/json;q=0.9"}])
def test_browsers_get_pages(headers: dict[str, str]) -> None:
    assert Client().get("/models", headers=headers).status_code == 301
    response = Client().get("/nothing", headers=headers)
    assert response.status_code == 404
    assert response.headers["Content-Type"].startswith("text/html")


def test_the_rest_api_keeps_its_own_error_form() -> None:
    response = Client().get("/api/v1/nothing", headers=KEY)
    assert json.loads(response.content)["error"]["code"] != "unknown_url"


def test_pages_are_served_to_api_clients_too() -> None:
    assert Client().get("/models/", headers=KEY).status_code == 302
