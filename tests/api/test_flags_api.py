"""PATCH /api/v1/flags/{key} and POST /api/v1/kill-switch."""

from decimal import Decimal
from typing import Any

import pytest

from experiments.models import Flag, PolicyRevision, Scope
from tests.api.client import API, Document, secret_with

CREATIVE = "/api/v1/flags/routellm_creative_domain"
MASTER = "/api/v1/flags/routellm_enabled"
KILL = "/api/v1/kill-switch"


def percentage(key: str) -> Decimal:
    return Flag.objects.get(key=key).percentage


def test_it_works(api: API) -> None:
    assert api.get(CREATIVE).data["percentage"] == 100.0
    answer = api.patch(CREATIVE, {"percentage": 12.5, "reason": "Half a trial"})
    assert (answer.status, answer.data["percentage"]) == (200, 12.5)
    assert percentage("routellm_creative_domain") == Decimal("12.50")
    newest = PolicyRevision.objects.latest("number")
    assert newest.author_name == "API key route-feedback-read-manage"
    assert newest.note == "routellm_creative_domain at 12.5 %: Half a trial"


def test_the_next_decision_follows_it(api: API) -> None:
    api.patch(CREATIVE, {"percentage": 0})
    assert api.route("Write a poem.", domain="creative")["reason"] == "domain_flag_off"
    api.patch(CREATIVE, {"percentage": 100})
    assert api.route("Write a poem.", domain="creative")["reason"] != "domain_flag_off"


def test_the_kill_switch_is_turned_on_and_off(api: API) -> None:
    answer = api.post(KILL, {"reason": "Bad answers"})
    assert (answer.status, answer.data["key"], answer.data["percentage"]) == (
        200,
        "routellm_enabled",
        0.0,
    )
    assert api.route(domain="technical")["reason"] == "master_flag_off"
    assert PolicyRevision.objects.latest("number").note == "Kill switch: Bad answers"
    assert api.patch(MASTER, {"percentage": 100}).data["percentage"] == 100.0
    assert api.route(domain="technical")["reason"] != "master_flag_off"


def test_the_kill_switch_needs_no_body_and_may_be_repeated(api: API) -> None:
    assert api.send(KILL, b"").status == 200
    revisions = PolicyRevision.objects.count()
    assert api.post(KILL, {}).data["percentage"] == 0.0
    assert PolicyRevision.objects.count() == revisions


def test_it_takes_the_scope_manage(seeded: None, openapi: Document) -> None:
    reader = API(openapi, secret_with(Scope.READ))
    for caller in (reader, API(openapi, secret_with(Scope.ROUTE, Scope.FEEDBACK))):
        assert caller.patch(CREATIVE, {"percentage": 0}).fault == (403, None, "forbidden")
        assert caller.post(KILL, {}).fault == (403, None, "forbidden")
    manager = API(openapi, secret_with(Scope.MANAGE))
    assert manager.patch(CREATIVE, {"percentage": 0}).status == 200
    assert manager.get(CREATIVE).fault == (403, None, "forbidden")
    assert reader.get(CREATIVE).status == 200
    assert percentage("routellm_enabled") == 100


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({}, ("percentage", "missing")),
        ({"percentage": 101}, ("percentage", "out_of_range")),
        ({"percentage": -1}, ("percentage", "out_of_range")),
        ({"percentage": "50"}, ("percentage", "invalid_type")),
        ({"percentage": True}, ("percentage", "invalid_type")),
        ({"percentage": 12.345}, ("percentage", "invalid_value")),
        ({"percentage": 50, "seed": "x"}, ("seed", "unknown_field")),
    ],
)
def test_invalid_values_are_refused(api: API, body: dict[str, Any], fault: tuple[str, str]) -> None:
    assert api.patch(CREATIVE, body).fault == (400, *fault)
    assert percentage("routellm_creative_domain") == 100


def test_a_switch_takes_0_or_100(api: API) -> None:
    path = "/api/v1/flags/routellm_quality_feedback"
    assert api.patch(path, {"percentage": 50}).fault == (400, "percentage", "invalid_value")
    assert api.patch(path, {"percentage": 0}).status == 200


def test_an_unknown_flag_is_404(api: API) -> None:
    assert api.get("/api/v1/flags/nothing").fault == (404, None, "not_found")
    assert api.patch("/api/v1/flags/nothing", {"percentage": 1}).status == 404


def test_raising_a_percentage_removes_no_unit(api: API) -> None:
    seed = Flag.objects.get(key="routellm_creative_domain").seed
    for value in (10, 60):
        api.patch(CREATIVE, {"percentage": value})
    assert Flag.objects.get(key="routellm_creative_domain").seed == seed
