"""Text that no database stores is refused at every endpoint with 400, by the name of its field."""

from typing import Any

import pytest
from django.test import Client

from experiments.models import Decision, Feedback, Outcome
from tests.api.client import API

FIELDS: list[tuple[str, Any, str]] = [
    ("route", {"text": "a%"}, "text"),
    ("route", {"text": "a", "unit_id": "u%"}, "unit_id"),
    ("route", {"text": "a", "domain": "%"}, "domain"),
    ("route", {"text": "a", "metadata": {"a": "b%"}}, "metadata.a"),
    ("route", {"text": "a", "metadata": {"a%": "b"}}, "metadata.a\ufffd"),
    (
        "route",
        {"text": "a", "criteria": {"required_tasks": ["x", "%"]}},
        "criteria.required_tasks[1]",
    ),
    (
        "route",
        {"text": "a", "criteria": {"selection_strategy": "%"}},
        "criteria.selection_strategy",
    ),
    ("route", {"text": "a", "force_arm": "%"}, "force_arm"),
    ("route", {"text": "a", "nothing%": 1}, "nothing\ufffd"),
    ("route", {"messages": [{"role": "user", "content": "%"}]}, "messages[0].content"),
    (
        "route",
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "%"}]}]},
        "messages[0].content[0].text",
    ),
    ("route/batch", {"items": [{"text": "a"}, {"text": "%"}]}, "items[1].text"),
    ("feedback", {"metric": "quality%", "value": 1}, "metric"),
    ("feedback", {"metric": "quality", "value": 1, "source": "%"}, "source"),
    ("feedback", {"metric": "quality", "value": 1, "comment": "%"}, "comment"),
    (
        "feedback",
        {"items": [{"metric": "quality", "value": 1, "comment": "%"}]},
        "items[0].comment",
    ),
    ("decisions/{id}/outcome", {"error": "e%"}, "error"),
    ("decisions/{id}/outcome", {"occurred_at": "%"}, "occurred_at"),
    ("experiments", {"key": "k%"}, "key"),
    ("experiments", {"key": "k", "arms": [{"name": "%"}]}, "arms[0].name"),
]


@pytest.mark.parametrize(
    ("escape", "code"), [(r"\u0000", "nul_character"), (r"\ud800", "malformed_json")]
)
@pytest.mark.parametrize(("path", "body", "param"), FIELDS)
def test_field_of_a_body(
    api: API, path: str, body: Any, param: str, escape: str, code: str
) -> None:
    decision = api.route()["decision_id"]
    raw = _json({**body, "decision_id": decision} if path == "feedback" else body)
    answer = api.send(f"/api/v1/{path.format(id=decision)}", raw.replace(b"%", escape.encode()))
    assert answer.fault == (400, param, code)
    assert Decision.objects.count() == 1
    assert not Outcome.objects.exists()
    assert not Feedback.objects.exists()


@pytest.mark.parametrize(
    ("address", "param"),
    [
        ("/api/v1/reports/savings?domain=a%00", "domain"),
        ("/api/v1/reports/savings?since=%00", "since"),
        ("/api/v1/reports/routing?until=%00", "until"),
        ("/api/v1/reports/routing?na%00me=1", "na\ufffdme"),
        ("/api/v1/experiments?cursor=%00", "cursor"),
        ("/api/v1/models?limit=%00", "limit"),
        ("/api/v1/flags?limit=5&limit=%00", "limit"),
        ("/api/v1/experiments/a%00/results", "path"),
        ("/api/v1/decisions/%00", "path"),
        ("/api/v1/nowhere%00", "path"),
    ],
)
def test_part_of_an_address(api: API, address: str, param: str) -> None:
    response = api.client.get(address, headers=api.headers)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == (param, "nul_character")
    assert response.headers["X-Request-Id"]


def test_surrogates_in_a_path_are_unknown_names(api: API) -> None:
    response = api.client.get("/api/v1/reports/savings?domain=%ED%A0%80", headers=api.headers)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "domain"


@pytest.mark.django_db
def test_session_cookie(seeded: None) -> None:
    client = Client(raise_request_exception=False)
    client.cookies.load({"sessionid": "x"})
    response = client.get("/", headers={"Cookie": 'sessionid="abcdefgh\\000"'})
    assert response.status_code == 400
    assert b"'sessionid' holds a NUL character (U+0000)" in response.content


def _json(body: Any) -> bytes:
    import json

    return json.dumps(body).encode()
