"""POST /api/v1/route."""

from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from experiments.configuration.revisions import revision
from experiments.models import APIKey, Decision, LanguageModel, PolicyRevision, Rollup
from tests.api.client import API

ROUTE = "/api/v1/route"
PROMPT = "Write a haiku about the sea."


def test_it_works(api: API) -> None:
    answer = api.post(ROUTE, {"text": PROMPT, "unit_id": "user-42", "metadata": {"team": "web"}})

    assert answer.status == 201
    row = Decision.objects.get(pk=answer.data["decision_id"])
    assert UUID(answer.data["decision_id"]).version == 7
    assert answer.data["model"] == row.model
    assert answer.data["policy_revision"] == 1
    assert answer.data["sticky"] is True
    assert answer.data["cost"]["currency"] == "USD"
    assert row.detail["metadata"] == {"team": "web"}
    assert row.text is None
    assert row.key_id == APIKey.objects.get().pk


def test_the_answer_has_the_documented_fields_and_no_others(api: API) -> None:
    assert list(api.route()) == [
        "decision_id",
        "model",
        "tier",
        "method",
        "reason",
        "domain",
        "router",
        "flags",
        "experiment",
        "sticky",
        "explored",
        "propensity",
        "propensity_given_arm",
        "propensity_reason",
        "cost",
        "fallbacks",
        "policy_revision",
        "latency_ms",
    ]


def test_a_dry_run_answers_200_and_stores_nothing(api: API) -> None:
    answer = api.post(ROUTE, {"text": PROMPT, "dry_run": True})
    assert answer.status == 200
    assert answer.data["model"]
    assert not Decision.objects.exists()
    assert not Rollup.objects.exists()


def test_the_same_unit_falls_into_the_same_buckets(api: API) -> None:
    first = api.route(PROMPT, unit_id="user-42")
    second = api.route(PROMPT, unit_id="user-42")
    assert first["flags"] == second["flags"]


def test_without_a_unit_the_decision_is_the_unit(api: API) -> None:
    assert api.route(PROMPT)["sticky"] is False


def test_a_named_domain_overrides_detection(api: API) -> None:
    domain = api.route(PROMPT, domain="medical")["domain"]
    assert (domain["name"], domain["overridden"], domain["confidence"]) == ("medical", True, 1.0)


def test_a_domain_whose_flag_is_off_is_answered_by_the_domain_selector(api: API) -> None:
    decision = api.route(PROMPT, domain="legal")
    assert decision["method"] == "domain_selector"
    assert decision["reason"] == "domain_flag_off"
    assert decision["tier"] == "selected"
    assert decision["router"] is None


def test_a_domain_whose_flag_is_on_is_routed(api: API) -> None:
    decision = api.route(PROMPT, domain="creative")
    assert decision["method"] == "routellm"
    assert decision["router"]["name"] == "local"
    assert 0 <= decision["router"]["score"] <= 1
    strong = decision["router"]["score"] >= decision["router"]["threshold"]
    assert decision["tier"] == ("strong" if strong else "weak")


def test_the_last_user_turn_of_a_conversation_is_routed(api: API) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "user", "content": [{"type": "text", "text": PROMPT}]},
    ]
    routed = api.post(ROUTE, {"messages": messages, "dry_run": True}).data
    alone = api.post(ROUTE, {"text": PROMPT, "dry_run": True}).data
    assert routed["domain"] == alone["domain"]
    assert routed["model"] == alone["model"]


def test_input_tokens_are_those_of_the_whole_conversation(api: API) -> None:
    messages = [
        {"role": "system", "content": "a" * 4000},
        {"role": "user", "content": "b" * 400},
    ]
    answer = api.post(ROUTE, {"messages": messages})
    assert Decision.objects.get(pk=answer.data["decision_id"]).input_tokens == 1100


def test_parts_without_text_are_left_out(api: API) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
    content = [image, {"type": "text", "text": "What is this?"}]
    assert api.post(ROUTE, {"messages": [{"role": "user", "content": content}]}).status == 201


def test_criteria_limit_what_the_domain_selector_takes(api: API) -> None:
    excluded = list(
        LanguageModel.objects.exclude(name="openai/gpt-4.1").values_list("name", flat=True)
    )
    decision = api.route(PROMPT, domain="legal", criteria={"excluded_models": excluded})
    assert decision["model"] == "openai/gpt-4.1"


@pytest.mark.parametrize(
    "text",
    [
        "🎉" * 50,
        "ما هي عاصمة فرنسا؟",
        "\u202eabc\u202c \u200f",
        "\x01\x02\x7f\x1b[31m\ufffd" * 20,
        "word " * 20_000,
        "a" * 100_000,
        "\n\t\r .",
    ],
    ids=["emoji", "arabic", "bidi", "binary", "100k-words", "100k-one-word", "blank-but-a-dot"],
)
def test_any_text_is_routed(api: API, text: str) -> None:
    assert api.route(text)["model"]


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "text", "missing"),
        ({"text": ""}, "text", "empty"),
        ({"text": " \n\t"}, "text", "empty"),
        ({"text": 5}, "text", "invalid_type"),
        ({"text": "a" * 100_001}, "text", "too_long"),
        ({"text": "a\x00b"}, "text", "nul_character"),
        (
            {"text": "a", "messages": [{"role": "user", "content": "b"}]},
            "messages",
            "invalid_value",
        ),
        ({"messages": []}, "messages", "out_of_range"),
        ({"messages": "hello"}, "messages", "invalid_type"),
        ({"messages": [{"role": "system", "content": "b"}]}, "messages", "missing"),
        ({"messages": [{"content": "b"}]}, "messages[0].role", "missing"),
        ({"messages": [{"role": "boss", "content": "b"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_type"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages[0].content", "empty"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
            "invalid_type",
        ),
        ({"text": "a", "temperature": 1}, "temperature", "unknown_field"),
        ({"text": "a", "unit_id": 42}, "unit_id", "invalid_type"),
        ({"text": "a", "unit_id": "u" * 201}, "unit_id", "too_long"),
        ({"text": "a", "unit_id": "u\x00"}, "unit_id", "nul_character"),
        ({"text": "a", "domain": "astrology"}, "domain", "unknown_name"),
        ({"text": "a", "dry_run": "yes"}, "dry_run", "invalid_type"),
        ({"text": "a", "force_arm": "treatment"}, "force_arm", "unknown_name"),
        ({"text": "a", "metadata": ["b"]}, "metadata", "invalid_type"),
        ({"text": "a", "metadata": {"n": 1}}, "metadata.n", "invalid_type"),
        ({"text": "a", "metadata": {str(i): "" for i in range(17)}}, "metadata", "too_long"),
        ({"text": "a", "metadata": {"n": "v" * 513}}, "metadata.n", "too_long"),
        ({"text": "a", "criteria": "cheap"}, "criteria", "invalid_type"),
        ({"text": "a", "criteria": {"budget": 1}}, "criteria.budget", "unknown_field"),
        (
            {"text": "a", "criteria": {"selection_strategy": "best"}},
            "criteria.selection_strategy",
            "invalid_value",
        ),
        (
            {"text": "a", "criteria": {"min_accuracy_score": 1.5}},
            "criteria.min_accuracy_score",
            "out_of_range",
        ),
        (
            {"text": "a", "criteria": {"required_tasks": "chat"}},
            "criteria.required_tasks",
            "invalid_type",
        ),
        (
            {"text": "a", "criteria": {"max_latency_ms": True}},
            "criteria.max_latency_ms",
            "invalid_type",
        ),
    ],
)
def test_the_invalid_field_is_named(api: API, body: dict[str, Any], param: str, code: str) -> None:
    answer = api.post(ROUTE, body)
    assert answer.fault == (400, param, code)
    assert answer.error["type"] == "invalid_request_error"
    assert not Decision.objects.exists()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "missing"),
        (b"{", "malformed_json"),
        (b'{"text": NaN}', "malformed_json"),
        (b'{"text": 1e999}', "malformed_json"),
        (b'{"text": "\xff"}', "malformed_json"),
        (b'{"text": "\\ud800"}', "malformed_json"),
        (b"[" * 2000 + b"]" * 2000, "malformed_json"),
        (b'{"text": ' + b"[" * 990 + b"]" * 990 + b"}", "malformed_json"),
        (b"[]", "invalid_type"),
        (b'"text"', "invalid_type"),
        (b'{"text": "a", "text": "b"}', "duplicate_field"),
        (
            b'{"text": "a", "criteria": {"max_latency_ms": 1, "max_latency_ms": 2}}',
            "duplicate_field",
        ),
    ],
)
def test_an_invalid_json_object_is_refused(api: API, body: bytes, code: str) -> None:
    answer = api.send(ROUTE, body)
    assert (answer.status, answer.error["code"]) == (400, code)


def test_other_content_types_are_refused(api: API) -> None:
    answer = api.send(ROUTE, b"text=a", "application/x-www-form-urlencoded")
    assert answer.fault == (415, None, "unsupported_media_type")


def test_a_body_over_one_mebibyte_is_refused(api: API) -> None:
    answer = api.send(ROUTE, b'{"text": "' + b"a" * 1024 * 1024 + b'"}')
    assert answer.fault == (413, None, "body_too_large")


def test_other_methods_are_refused(api: API) -> None:
    response = api.client.put(ROUTE, b"{}", "application/json", headers=api.headers)
    assert response.status_code == 405
    assert response.json()["error"]["code"] == "method_not_allowed"


def test_criteria_that_no_model_meets_are_a_callers_error(api: API) -> None:
    criteria = {"required_certifications": ["astrology"]}
    answer = api.post(ROUTE, {"text": "a", "domain": "legal", "criteria": criteria})
    assert answer.fault == (400, "criteria", "no_eligible_models")
    assert not Decision.objects.exists()


def test_no_model_that_may_answer_is_503(api: API) -> None:
    with revision("test"):
        LanguageModel.objects.update(is_available=False)
    answer = api.post(ROUTE, {"text": "a", "criteria": {"prefer_free_models": True}})
    assert answer.fault == (503, None, "no_eligible_models")
    assert not Decision.objects.exists()


def test_without_a_configuration_is_503_that_says_what_to_run(api: API) -> None:
    PolicyRevision.objects.all().delete()
    answer = api.post(ROUTE, {"text": "a"})
    assert answer.fault == (503, None, "no_configuration")
    assert "manage.py seed" in answer.error["message"]


def test_a_decision_that_cannot_be_stored_is_503_and_not_made(api: API) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE experiments_rollup RENAME TO gone")
    answer = api.post(ROUTE, {"text": "a"})
    assert answer.fault == (503, None, "storage_unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert not Decision.objects.exists()


def test_an_unknown_price_is_reported_and_no_saving_claimed(api: API) -> None:
    others = list(LanguageModel.objects.values_list("name", flat=True))
    with revision("test"):
        LanguageModel.objects.create(name="local/llama", provider="local", accuracy_score=1.0)

    decision = api.route("a", domain="legal", criteria={"excluded_models": others})

    assert decision["model"] == "local/llama"
    cost = decision["cost"]
    assert (cost["priced"], cost["estimated"], cost["saving"]) == (False, None, None)


def test_the_request_id_comes_back(api: API) -> None:
    response = api.client.post(
        ROUTE,
        {"text": "a"},
        "application/json",
        headers={**api.headers, "X-Request-Id": "trace-1"},
    )
    assert response.headers["X-Request-Id"] == "trace-1"
    assert Decision.objects.get().request_id == "trace-1"
