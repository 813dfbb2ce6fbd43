"""API keys: authentication, scopes and limits."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from experiments.limits import api_keys
from experiments.models import APIKey
from tests.api.client import API, Document, secret_with

DOMAINS = "/api/v1/domains"


def test_it_works(seeded: None, openapi: Document) -> None:
    assert API(openapi, secret_with("read")).get(DOMAINS).status == 200


def test_without_a_key_is_401_and_says_how(stranger: API) -> None:
    answer = stranger.get(DOMAINS)
    assert answer.fault == (401, None, "missing_api_key")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "Bearer" in answer.error["message"]


@pytest.mark.parametrize("header", ["Bearer sy_wrong", "Bearer ", "Basic YTpi", "sy_wrong", "é"])
def test_a_wrong_key_is_401(stranger: API, header: str) -> None:
    stranger.headers = {"Authorization": header}
    assert stranger.get(DOMAINS).fault == (401, None, "invalid_api_key")


def test_an_expired_key_is_401(seeded: None, openapi: Document) -> None:
    past = timezone.now() - timedelta(seconds=1)
    assert API(openapi, secret_with("read", expires_at=past)).get(DOMAINS).status == 401


def test_a_cached_key_expires(seeded: None, openapi: Document) -> None:
    api = API(openapi, secret_with("read", expires_at=timezone.now() + timedelta(hours=1)))
    assert api.get(DOMAINS).status == 200
    for caller in api_keys._callers.values():
        caller.key.expires_at = timezone.now()
    assert api.get(DOMAINS).status == 401


def test_a_key_switched_off_is_401_within_a_second(
    seeded: None, openapi: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = API(openapi, secret_with("read"))
    assert api.get(DOMAINS).status == 200
    APIKey.objects.update(is_active=False)
    assert api.get(DOMAINS).status == 200
    monkeypatch.setattr(api_keys, "REMEMBERED_SECONDS", 0.0)
    assert api.get(DOMAINS).status == 401


@pytest.mark.parametrize(
    ("scope", "path"),
    [("read", "/api/v1/route"), ("read", "/api/v1/feedback"), ("feedback", "/api/v1/route/batch")],
)
def test_a_key_without_the_scope_is_403_and_names_it(
    seeded: None, openapi: Document, scope: str, path: str
) -> None:
    answer = API(openapi, secret_with(scope)).post(path, {"text": "a"})
    assert answer.fault == (403, None, "forbidden")
    assert "scope" in answer.error["message"]


def test_reading_needs_the_scope_read(seeded: None, openapi: Document) -> None:
    assert API(openapi, secret_with("route", "feedback")).get(DOMAINS).status == 403


def test_forcing_an_arm_needs_the_scope_manage(seeded: None, openapi: Document) -> None:
    body = {"text": "a", "force_arm": "treatment"}
    answer = API(openapi, secret_with("route")).post("/api/v1/route", body)
    assert answer.status == 403
    assert "manage" in answer.error["message"]


def test_a_key_is_looked_up_once_a_second(seeded: None, openapi: Document) -> None:
    api = API(openapi, secret_with("read"))
    api.get(DOMAINS)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        api.get(DOMAINS)
    assert not [q for q in queries if "experiments_apikey" in q["sql"]]


def test_only_a_hash_of_the_key_is_stored(db: None) -> None:
    secret = secret_with("read")
    key = APIKey.objects.get()
    assert secret not in str(vars(key))
    assert key.hint == secret[:8]


def test_a_key_over_its_limit_is_429_with_retry_after(seeded: None, openapi: Document) -> None:
    api = API(openapi, secret_with("read", requests_per_minute=2))
    statuses = [api.get(DOMAINS).status for _ in range(2)]
    answer = api.get(DOMAINS)
    assert statuses == [200, 200]
    assert answer.fault == (429, None, "rate_limit_exceeded")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


def test_the_setting_limits_keys_without_a_limit_of_their_own(
    seeded: None, openapi: Document, settings: Settings
) -> None:
    settings.API_KEY_REQUESTS_PER_MINUTE = 1
    own = API(openapi, secret_with("read", requests_per_minute=5))
    other = API(openapi, secret_with("read", "route"))
    assert [own.get(DOMAINS).status for _ in range(2)] == [200, 200]
    assert [other.get(DOMAINS).status for _ in range(2)] == [200, 429]


def test_0_is_no_limit(seeded: None, openapi: Document, settings: Settings) -> None:
    settings.API_KEY_REQUESTS_PER_MINUTE = 1
    api = API(openapi, secret_with("read", requests_per_minute=0))
    assert [api.get(DOMAINS).status for _ in range(3)] == [200, 200, 200]
