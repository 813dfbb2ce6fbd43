"""GET domains, models and flags."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from pytest_django import DjangoAssertNumQueries

from experiments.models import Flag, FlagEntry, LanguageModel, ModelPrice
from tests.api.client import API


def test_it_works(api: API) -> None:
    names = [domain["name"] for domain in api.get("/api/v1/domains").data["results"]]
    assert names == [
        "creative",
        "educational",
        "financial",
        "general",
        "legal",
        "medical",
        "scientific",
        "technical",
    ]


def test_a_domain_has_its_flag_and_policy(api: API) -> None:
    results = api.get("/api/v1/domains").data["results"]
    medical = next(domain for domain in results if domain["name"] == "medical")
    assert medical["flag"] == {"key": "routellm_medical_domain", "percentage": 0.0}
    assert medical["policy"]["router"] == "local"
    assert medical["required_certifications"] == ["HIPAA"]


def test_a_model_has_its_current_price(api: API) -> None:
    model = LanguageModel.objects.get(name="openai/gpt-4.1")
    ModelPrice.objects.create(model=model, input_per_million=3, output_per_million=Decimal("9.5"))
    results = api.get("/api/v1/models").data["results"]
    price = next(row["price"] for row in results if row["name"] == "openai/gpt-4.1")
    assert price == {
        "currency": "USD",
        "input_per_million": "3",
        "output_per_million": "9.5",
        "per_request": "0",
        "source": "operator",
    }


def test_the_operators_newest_valid_price_is_current(api: API) -> None:
    model = LanguageModel.objects.get(name="openai/gpt-4.1")
    today = datetime.now(UTC).date()
    for days, price in ((None, 1), (30, 2), (1, 3), (-1, 4)):
        begins = None if days is None else today - timedelta(days=days)
        ModelPrice.objects.create(
            model=model, input_per_million=price, output_per_million=price, valid_from=begins
        )
    results = api.get("/api/v1/models").data["results"]
    price = next(row["price"] for row in results if row["name"] == "openai/gpt-4.1")
    assert price["input_per_million"] == "3"


def test_a_model_without_a_price_has_null(api: API) -> None:
    LanguageModel.objects.create(name="aaa/unpriced", provider="aaa")
    assert api.get("/api/v1/models").data["results"][0]["price"] is None


def test_a_flag_counts_its_listed_units_and_names_none(api: API) -> None:
    flag = Flag.objects.get(key="routellm_legal_domain")
    for kind, unit in (("allow", "a" * 32), ("allow", "b" * 32), ("deny", "c" * 32)):
        FlagEntry.objects.create(flag=flag, kind=kind, unit_hash=unit, label=unit)
    results = api.get("/api/v1/flags").data["results"]
    legal = next(row for row in results if row["key"] == "routellm_legal_domain")
    assert (legal["allowed_units"], legal["denied_units"]) == (2, 1)
    assert "a" * 32 not in str(legal)


@pytest.mark.parametrize("path", ["/api/v1/domains", "/api/v1/models", "/api/v1/flags"])
def test_pages_follow_each_other(api: API, path: str) -> None:
    whole = api.get(path).data["results"]
    page = api.get(path, limit="3").data
    seen = page["results"]
    while page["next"]:
        page = api.client.get(page["next"], headers=api.headers).json()
        seen += page["results"]
    assert seen == whole
    assert len(whole) > 3


@pytest.mark.parametrize("cursor", ["nonsense", "cD0A", "%00", "é"])
def test_an_invalid_cursor_is_refused(api: API, cursor: str) -> None:
    assert api.get("/api/v1/domains", cursor=cursor).fault == (400, "cursor", "invalid_value")


@pytest.mark.parametrize(
    ("path", "queries"), [("/api/v1/domains", 1), ("/api/v1/models", 2), ("/api/v1/flags", 1)]
)
def test_the_number_of_queries_does_not_depend_on_the_length(
    api: API, path: str, queries: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    api.get(path)  # looks up the key, which is then cached for a second
    cache.clear()
    with django_assert_num_queries(queries):
        api.get(path)


@pytest.mark.parametrize("limit", ["0", "501", "-1", "ten", "", "9" * 5000])
def test_a_limit_out_of_range_is_400_and_named(api: API, limit: str) -> None:
    answer = api.get("/api/v1/models", limit=limit)
    assert answer.fault == (400, "limit", "out_of_range")
    assert "1 to 500" in answer.error["message"]
