"""The pages of language models."""

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from experiments.models import LanguageModel, ModelPrice, PolicyRevision
from tests.admin.conftest import Submit, errors_of

LIST = "/admin/experiments/languagemodel/"
STRONG = "openai/gpt-4.1"


def page(name: str = STRONG) -> str:
    row = LanguageModel.objects.get(name=name)
    return reverse("admin:experiments_languagemodel_change", args=[row.pk])


def test_price_of_an_operator_is_added_in_one_revision(operator: Client, submit: Submit) -> None:
    there = ModelPrice.objects.filter(model__name=STRONG).count()
    response = submit(
        operator,
        page(),
        **{
            "prices-TOTAL_FORMS": there + 1,
            f"prices-{there}-source": "operator",
            f"prices-{there}-input_per_million": "1.5",
            f"prices-{there}-output_per_million": "6",
            f"prices-{there}-per_request": "0",
        },
    )
    assert response.status_code == 302
    assert PolicyRevision.objects.count() == 2
    assert "$1.50 / $6.00" in operator.get(LIST).content.decode()


def test_price_that_ends_before_it_starts_is_refused(operator: Client, submit: Submit) -> None:
    dates = {"prices-0-valid_from": "2026-11-02", "prices-0-valid_until": "2026-11-01"}
    response = submit(operator, page(), **dates)
    assert response.status_code == 200
    assert "price_ends_after_it_starts" in errors_of(response)


def test_model_without_a_price_is_marked(operator: Client) -> None:
    LanguageModel.objects.create(name="own/llm", provider="own")
    assert "⚠ unpriced" in operator.get(LIST, {"q": "own/llm"}).content.decode()


def test_capabilities_are_boxes(operator: Client, submit: Submit) -> None:
    submit(operator, page(), capabilities=["vision", "tools"])
    assert LanguageModel.objects.get(name=STRONG).capabilities == ["vision", "tools"]


def test_unknown_capability_survives_a_save(operator: Client, submit: Submit) -> None:
    LanguageModel.objects.filter(name=STRONG).update(capabilities=["vision", "telepathy"])
    submit(operator, page(), accuracy_score="0.8")
    assert LanguageModel.objects.get(name=STRONG).capabilities == ["vision", "telepathy"]


def test_availability_of_several_models_is_one_revision(operator: Client, submit: Submit) -> None:
    submit(operator, LIST, **{"form-0-is_available": None, "form-1-is_available": None})
    assert LanguageModel.objects.filter(is_available=False).count() == 2
    assert PolicyRevision.objects.count() == 2


def test_model_in_use_is_not_deleted(operator: Client) -> None:
    row = LanguageModel.objects.get(name=STRONG)
    url = reverse("admin:experiments_languagemodel_delete", args=[row.pk])
    assert "protected" in operator.post(url, {"post": "yes"}).content.decode()
    assert LanguageModel.objects.filter(name=STRONG).exists()


@pytest.mark.parametrize("score", ["1.5", "-1"])
def test_accuracy_outside_the_unit_interval(operator: Client, submit: Submit, score: str) -> None:
    assert submit(operator, page(), accuracy_score=score).status_code == 200


def test_list_queries_do_not_grow_with_models(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(11):
        assert operator.get(LIST).status_code == 200
