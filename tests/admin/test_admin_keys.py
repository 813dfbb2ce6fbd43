"""The pages of API keys."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from experiments.models import APIKey, KeyUsage, PolicyRevision
from experiments.models.keys import hash_secret
from tests.admin.conftest import Submit, errors_of

LIST = "/admin/experiments/apikey/"
ADD = "/admin/experiments/apikey/add/"


def issue(client: Client) -> str:
    response = client.post(ADD, {"name": "billing", "scopes": ["route"]})
    assert "no-store" in response.headers["Cache-Control"]
    found = re.search(r'value="(sy_[^"]+)"', response.content.decode())
    assert found is not None
    return found[1]


def test_secret_is_shown_once_and_kept_as_a_hash(administrator: Client) -> None:
    secret = issue(administrator)
    key = APIKey.objects.get(name="billing")
    assert key.secret_hash == hash_secret(secret)
    assert key.scopes == ["route"]
    for url in (LIST, reverse("admin:experiments_apikey_change", args=[key.pk])):
        content = administrator.get(url).content.decode()
        assert secret not in content
        assert f"{secret[:8]}…" in content


def test_saving_a_key_keeps_its_secret(administrator: Client, submit: Submit) -> None:
    secret = issue(administrator)
    key = APIKey.objects.get(name="billing")
    url = reverse("admin:experiments_apikey_change", args=[key.pk])
    assert submit(administrator, url, scopes=["route", "read"]).status_code == 302
    key.refresh_from_db()
    assert (key.scopes, key.secret_hash) == (["route", "read"], hash_secret(secret))


def test_revoke(administrator: Client) -> None:
    issue(administrator)
    key = APIKey.objects.get(name="billing")
    chosen = {"action": "revoke", "_selected_action": [key.pk]}
    content = administrator.post(LIST, chosen, follow=True).content.decode()
    assert "1 key revoked" in content
    assert "■ revoked" in content
    key.refresh_from_db()
    assert not key.is_active


def test_name_that_is_taken(administrator: Client) -> None:
    issue(administrator)
    response = administrator.post(ADD, {"name": "billing", "scopes": ["route"]})
    assert response.status_code == 200
    assert APIKey.objects.filter(name="billing").count() == 1


def test_unknown_scope(administrator: Client) -> None:
    response = administrator.post(ADD, {"name": "billing", "scopes": ["everything"]})
    assert response.status_code == 200
    assert not APIKey.objects.filter(name="billing").exists()


def test_keys_are_no_part_of_a_revision(administrator: Client) -> None:
    issue(administrator)
    assert PolicyRevision.objects.count() == 1


def test_limits_of_a_key(administrator: Client, submit: Submit) -> None:
    issue(administrator)
    key = APIKey.objects.get(name="billing")
    url = reverse("admin:experiments_apikey_change", args=[key.pk])
    response = submit(
        administrator,
        url,
        requests_per_minute="60",
        tokens_per_minute="100000",
        budget_day="5",
        soft_budget_day="4",
        budget_month="100",
        allowed_models="openai/gpt-4.1\nopenai/gpt-4.1-mini",
        allowed_domains="technical",
    )
    assert response.status_code == 302
    key.refresh_from_db()
    assert key.tokens_per_minute == 100_000
    assert (key.budget_day, key.budget_month) == (Decimal(5), Decimal(100))
    assert key.allowed_models == ["openai/gpt-4.1", "openai/gpt-4.1-mini"]
    assert key.allowed_domains == ["technical"]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"allowed_models": "openai/gpt-4.2"}, "Unknown model &#x27;openai/gpt-4.2&#x27;."),
        ({"allowed_domains": "tecnical"}, "Unknown domain &#x27;tecnical&#x27;."),
        ({"budget_day": "5", "soft_budget_day": "5"}, "must be smaller than the hard budget"),
        ({"budget_day": "-1"}, "greater than or equal to 0"),
    ],
)
def test_limit_that_makes_no_sense_is_refused(
    administrator: Client, submit: Submit, fields: dict[str, str], error: str
) -> None:
    issue(administrator)
    key = APIKey.objects.get(name="billing")
    url = reverse("admin:experiments_apikey_change", args=[key.pk])
    response = submit(administrator, url, **fields)
    assert response.status_code == 200
    assert error in errors_of(response)


def test_list_shows_what_was_spent_next_to_the_budget(administrator: Client) -> None:
    issue(administrator)
    key = APIKey.objects.get(name="billing")
    APIKey.objects.filter(pk=key.pk).update(budget_day=5)
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    spans = [(KeyUsage.DAY, today, 1_500_000_000), (KeyUsage.MINUTE, today, 9_000_000_000)]
    if today.day > 1:
        spans.append((KeyUsage.DAY, today.replace(day=1), 2_000_000_000))
    spans.append((KeyUsage.DAY, today.replace(day=1) - timedelta(days=1), 7_000_000_000))
    for span, at, cost in spans:
        KeyUsage.objects.create(key_id=key.pk, span=span, starts_at=at, cost=cost)
    month = "3.50" if today.day > 1 else "1.50"
    content = administrator.get(LIST).content.decode()
    assert f"$1.50 of $5.00 today, ${month} this month" in content
