"""The pages of provider endpoints, and of the models that are called there."""

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from experiments.models import LanguageModel, PolicyRevision, ProviderEndpoint
from tests.admin.conftest import Submit, errors_of

LIST = "/admin/experiments/providerendpoint/"
ADD = f"{LIST}add/"


def page(name: str = "openai") -> str:
    row = ProviderEndpoint.objects.get(name=name)
    return reverse("admin:experiments_providerendpoint_change", args=[row.pk])


def test_endpoint_is_added_in_one_revision(operator: Client, submit: Submit) -> None:
    response = submit(
        operator,
        ADD,
        name="our-vllm",
        base_url="http://127.0.0.1:8001/v1",
        dropped_parameters="seed\nlogprobs",
    )
    assert response.status_code == 302, errors_of(response)
    row = ProviderEndpoint.objects.get(name="our-vllm")
    assert row.dropped_parameters == ["seed", "logprobs"]
    newest = PolicyRevision.objects.first()
    assert newest is not None
    assert newest.document["endpoints"]["our-vllm"]["base_url"] == "http://127.0.0.1:8001/v1"


def test_list_says_where_a_key_is_missing_and_never_shows_one(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-openai")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    content = operator.get(LIST).content.decode()
    assert "OPENAI_API_KEY" in content
    assert "● ready" in content
    assert "⚠ key missing" in content
    assert "sk-secret-of-openai" not in content + operator.get(page()).content.decode()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"api_key_env": "sk-0123456789abcdef"}, "Use uppercase letters"),
        ({"api_key_env": "SECRET_KEY"}, "none of Switchyard"),
        ({"api_key_env": "XAI_API_KEY", "api_key_file": "/run/secrets/a"}, "not both"),
        ({"base_url": ""}, "needs the base URL"),
        ({"base_url": "https://me:pw@host/v1"}, "Leave out user names"),
        ({"total_seconds": "0"}, "greater than or equal"),
        ({"retries": "9"}, "less than or equal"),
        ({"name": "Our VLLM"}, "lowercase letters"),
    ],
)
def test_what_makes_no_sense_is_refused(
    operator: Client, submit: Submit, fields: dict[str, str], error: str
) -> None:
    good = {"name": "new", "base_url": "http://host/v1"}
    response = submit(operator, ADD, **{**good, **fields})
    assert response.status_code == 200
    assert error in errors_of(response)
    assert not ProviderEndpoint.objects.filter(name__iexact="new").exists()


def test_endpoint_in_use_is_not_deleted(operator: Client) -> None:
    row = ProviderEndpoint.objects.get(name="openai")
    url = reverse("admin:experiments_providerendpoint_delete", args=[row.pk])
    assert "protected" in operator.post(url, {"post": "yes"}).content.decode()


def test_every_field_has_help(operator: Client) -> None:
    form = operator.get(ADD).context["adminform"].form
    silent = [name for name, field in form.fields.items() if not field.help_text]
    assert set(silent) <= {"version", "revision_seen"}


def test_viewer_reads_and_edits_nothing(viewer: Client) -> None:
    assert viewer.get(LIST).status_code == 200
    assert viewer.get(ADD).status_code == 403


def test_model_is_called_where_its_page_says(operator: Client, submit: Submit) -> None:
    model = LanguageModel.objects.get(name="openai/gpt-4.1")
    url = reverse("admin:experiments_languagemodel_change", args=[model.pk])
    groq = ProviderEndpoint.objects.get(name="groq")
    submit(operator, url, endpoint=groq.pk, upstream_name="gpt-4.1-mirror")
    newest = PolicyRevision.objects.first()
    assert newest is not None
    stored = newest.document["models"]["openai/gpt-4.1"]
    assert (stored["endpoint"], stored["upstream_name"]) == ("groq", "gpt-4.1-mirror")


def test_list_queries_do_not_grow_with_endpoints(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(10):
        assert operator.get(LIST).status_code == 200
