"""A key may be sent as OpenAI's or as Anthropic's clients send it."""

import pytest
from django.test import Client

from experiments.limits.api_keys import NotAKeyError, secret_in
from experiments.models import Scope
from tests.api.client import API, secret_with


@pytest.mark.parametrize(
    ("authorization", "x_api_key", "secret"),
    [
        ("Bearer a", None, "a"),
        ("bearer  a ", None, "a"),
        (None, "b", "b"),
        (None, " b ", "b"),
        ("Bearer a", "b", "a"),
        ("Bearer ", "b", "b"),
        ("Basic dTpw", "b", "b"),
        ("Bearer ", None, ""),
        (None, None, None),
        (None, " ", None),
        ("", "", None),
    ],
)
def test_which_is_taken(
    authorization: str | None, x_api_key: str | None, secret: str | None
) -> None:
    assert secret_in(authorization, x_api_key) == secret


def test_other_authorization_is_not_a_key() -> None:
    with pytest.raises(NotAKeyError, match="x-api-key: <key>"):
        secret_in("Basic dTpw", None)


def test_x_api_key_is_taken(api: API) -> None:
    secret = secret_with(Scope.ROUTE)
    answer = api.client.post(
        "/api/v1/route", {"text": "Hi"}, "application/json", headers={"x-api-key": secret}
    )
    assert answer.status_code == 201


@pytest.mark.parametrize("headers", [{"x-api-key": "sy_wrong"}, {"x-api-key": ""}, {}])
def test_wrong_or_none_is_refused(api: API, headers: dict[str, str]) -> None:
    answer = api.client.get("/api/v1/models", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_its_scopes_hold(api: API) -> None:
    headers = {"x-api-key": secret_with(Scope.FEEDBACK)}
    assert api.client.get("/api/v1/models", headers=headers).status_code == 403


def test_pages_accept_no_key(db: None) -> None:
    response = Client().get("/models/", headers={"x-api-key": "sy_x"})
    assert response.status_code == 302
