"""The pages of API keys."""

import re

from django.test import Client
from django.urls import reverse

from experiments.models import APIKey, PolicyRevision
from experiments.models.keys import hash_secret
from tests.admin.conftest import Submit

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
