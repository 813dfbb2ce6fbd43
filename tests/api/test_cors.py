"""Pages of other origins may call the REST API if the operator allows it, never with cookies."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from routing_site.environment import Environment
from tests.api.client import API

HERE, ELSEWHERE = "https://app.example.com", "https://evil.example.com"
ASKS = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
}


@pytest.fixture
def allowed(settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = [HERE]


def test_off_unless_set(api: API) -> None:
    response = api.client.get("/api/v1/models", headers={**api.headers, "Origin": HERE})
    assert response.status_code == 200
    assert not [name for name in response.headers if name.lower().startswith("access-control")]
    asked = api.client.options("/api/v1/route", headers={**ASKS, "Origin": HERE})
    assert not [name for name in asked.headers if name.lower().startswith("access-control")]


@pytest.mark.usefixtures("allowed")
def test_answer_to_an_allowed_origin(api: API) -> None:
    response = api.client.get("/api/v1/models", headers={**api.headers, "Origin": HERE})
    assert response.headers["Access-Control-Allow-Origin"] == HERE
    assert "x-request-id" in response.headers["Access-Control-Expose-Headers"]
    assert "Origin" in response.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize("origin", [ELSEWHERE, f"{HERE}.evil.com", "null", HERE.upper() + "x", ""])
def test_other_origins(api: API, origin: str) -> None:
    response = api.client.get("/api/v1/models", headers={**api.headers, "Origin": origin})
    assert "Access-Control-Allow-Origin" not in response.headers
    assert "Origin" in response.headers["Vary"]
    asked = api.client.options("/api/v1/route", headers={**ASKS, "Origin": origin})
    assert asked.status_code == 204
    assert "Access-Control-Allow-Origin" not in asked.headers


@pytest.mark.usefixtures("allowed")
def test_preflight_needs_no_key(stranger: API) -> None:
    response = stranger.client.options("/api/v1/route", headers={**ASKS, "Origin": HERE})
    assert response.status_code == 204
    assert response.content == b""
    assert response.headers["Access-Control-Allow-Origin"] == HERE
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert (
        response.headers["Access-Control-Allow-Headers"] == ASKS["Access-Control-Request-Headers"]
    )
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.usefixtures("allowed")
def test_errors_are_readable_across_origins(stranger: API) -> None:
    response = stranger.client.get("/api/v1/models", headers={"Origin": HERE})
    assert response.status_code == 401
    assert response.headers["Access-Control-Allow-Origin"] == HERE


def test_any_origin(api: API, settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["*"]
    response = api.client.get("/api/v1/models", headers={**api.headers, "Origin": ELSEWHERE})
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.usefixtures("allowed")
def test_pages_have_no_cors_headers(db: None) -> None:
    for path in ("/", "/admin/login/", "/chat/"):
        response = Client().get(path, headers={"Origin": HERE})
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.usefixtures("allowed")
def test_options_without_preflight_headers_is_not_a_preflight(api: API) -> None:
    response = api.client.options("/api/v1/route", headers={**api.headers, "Origin": HERE})
    assert "Access-Control-Allow-Methods" not in response.headers


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("https://app.example.com, http://localhost:3000", None),
        ("*", ["*"]),
        ("https://[::1]:8443", ["https://[::1]:8443"]),
        ("HTTPS://App.Example.com", ["https://app.example.com"]),
    ],
)
def test_setting(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    text: str,
    origins: list[str] | None,
) -> None:
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", text)
    env = Environment(tmp_path / ".env")
    found = env.origins("CORS_ALLOWED_ORIGINS")
    env.close()
    assert found == (origins or ["https://app.example.com", "http://localhost:3000"])


@pytest.mark.parametrize(
    "text", ["app.example.com", "https://a/", "https://a/b", "ftp://a", "null"]
)
def test_setting_that_is_not_an_origin(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", text)
    env = Environment(tmp_path / ".env")
    env.origins("CORS_ALLOWED_ORIGINS")
    with pytest.raises(Exception, match="CORS_ALLOWED_ORIGINS"):
        env.close()
