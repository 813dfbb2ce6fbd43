"""The OpenAPI document and its page."""

from typing import Any

import pytest
from django.test import Client

from tests.api.client import API, Document

DESIGNED = {
    "/api/v1/route": "post",
    "/api/v1/route/batch": "post",
    "/api/v1/decisions/{decision_id}": "get",
    "/api/v1/decisions/{decision_id}/outcome": "post",
    "/api/v1/feedback": "post",
    "/api/v1/domains": "get",
    "/api/v1/models": "get",
    "/api/v1/flags": "get",
    "/api/v1/reports/savings": "get",
    "/api/v1/reports/routing": "get",
}

SOUND: dict[str, dict[str, Any]] = {
    "/api/v1/route": {"text": "a"},
    "/api/v1/route/batch": {"items": [{"text": "a"}]},
    "/api/v1/feedback": {
        "decision_id": "01a2054b-6f51-7f5d-8191-d22b854ec5e8",
        "metric": "quality",
        "value": 1,
    },
}


def test_it_works(client: Client) -> None:
    response = client.get("/api/schema/")
    assert response.status_code == 200
    assert b"openapi: 3.1.0" in response.content


def test_the_page_loads_nothing_from_other_sites(client: Client) -> None:
    page = client.get("/api/docs/").content.decode()
    assert "swagger-ui-bundle" in page
    assert "//cdn" not in page


@pytest.mark.parametrize(("path", "method"), DESIGNED.items())
def test_every_endpoint_is_described(openapi: Document, path: str, method: str) -> None:
    operation = openapi["paths"][path][method]
    assert operation["summary"]
    assert operation["security"] == [{"key": []}]
    assert {"401", "403", "429", "503"} <= operation["responses"].keys()


@pytest.mark.parametrize(
    ("path", "component"),
    [
        ("/api/v1/route", "RouteRequest"),
        ("/api/v1/route/batch", "BatchRequest"),
        ("/api/v1/feedback", "Rating"),
        ("/api/v1/decisions/01a2054b-6f51-7f5d-8191-d22b854ec5e8/outcome", "OutcomeRequest"),
    ],
)
def test_the_documented_fields_are_those_accepted(
    api: API, openapi: Document, path: str, component: str
) -> None:
    described = openapi["components"]["schemas"][component]
    assert described["additionalProperties"] is False
    assert _fields_taken(api, path) == sorted(described["properties"])


def test_the_documented_criteria_are_those_accepted(api: API, openapi: Document) -> None:
    described = openapi["components"]["schemas"]["Criteria"]["properties"]
    body = {"text": "a", "criteria": {"no_such_field": 1}}
    message = api.post("/api/v1/route", body).error["message"]
    assert message.split("Known fields: ")[1].rstrip(".").split(", ") == sorted(described)


def _fields_taken(api: API, path: str) -> list[str]:
    """The fields that the error for an unknown field lists."""
    body = SOUND.get(path, {})
    message: str = api.post(path, {**body, "no_such_field": 1}).error["message"]
    return message.split("Known fields: ")[1].rstrip(".").split(", ")
