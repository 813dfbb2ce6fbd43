"""Two operators at once: neither is lost silently."""

from typing import Any

from django.test import Client
from django.urls import reverse

from experiments.models import Domain, LanguageModel, PolicyRevision
from tests.admin.conftest import Submit, errors_of, fields_of

MODELS = "/admin/experiments/languagemodel/"


def page() -> str:
    row = Domain.objects.get(name="technical")
    return reverse("admin:experiments_domain_change", args=[row.pk])


def opened(client: Client, url: str, **changes: Any) -> dict[str, Any]:
    """The page as loaded now, with the operator's changes."""
    return {**fields_of(client.get(url)), **changes}  # type: ignore[arg-type]


def test_stale_form_is_refused_and_says_who_changed_what(
    operator: Client, colleague: Client, submit: Submit
) -> None:
    mine = opened(operator, page(), description="Mine")
    submit(colleague, page(), threshold="0.41")
    response = operator.post(page(), mine)
    errors = errors_of(response)
    assert "carl changed Technical at" in errors
    assert "(revision 2)" in errors
    assert "→ 0.41" in errors
    assert Domain.objects.get(name="technical").description == ""


def test_own_input_stays_on_the_page(operator: Client, colleague: Client, submit: Submit) -> None:
    mine = opened(operator, page(), description="Mine alone")
    submit(colleague, page(), threshold="0.41")
    assert "Mine alone" in operator.post(page(), mine).content.decode()


def test_saving_again_knows_and_replaces(
    operator: Client, colleague: Client, submit: Submit
) -> None:
    mine = opened(operator, page(), threshold="0.7")
    submit(colleague, page(), threshold="0.41")
    refused = operator.post(page(), mine)
    again = operator.post(page(), fields_of(refused))  # type: ignore[arg-type]
    assert again.status_code == 302
    assert Domain.objects.get(name="technical").threshold == 0.7
    assert PolicyRevision.objects.count() == 3


def test_example_added_at_the_same_time_makes_the_form_stale(
    operator: Client, colleague: Client, submit: Submit
) -> None:
    mine = opened(operator, page(), description="Mine")
    submit(colleague, page(), more_examples="What is a mutex?")
    errors = errors_of(operator.post(page(), mine))
    assert "examples: + What is a mutex?" in errors


def test_save_that_changed_nothing_causes_no_conflict(
    operator: Client, colleague: Client, submit: Submit
) -> None:
    mine = opened(operator, page(), description="Mine")
    submit(colleague, page())
    assert operator.post(page(), mine).status_code == 302


def _two_models() -> list[LanguageModel]:
    return list(LanguageModel.objects.all()[:2])


def test_list_row_of_a_colleague_is_left_alone(operator: Client, colleague: Client) -> None:
    first, second = _two_models()
    mine = opened(operator, MODELS, **{"form-0-is_available": None, "_save": "Save"})
    theirs = opened(colleague, MODELS, **{"form-1-is_available": None, "_save": "Save"})
    colleague.post(MODELS, {k: v for k, v in theirs.items() if v is not None})
    response = operator.post(MODELS, {k: v for k, v in mine.items() if v is not None})
    assert response.status_code == 302
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.is_available, second.is_available) == (False, False)


def test_same_row_of_a_list_is_refused(operator: Client, colleague: Client, submit: Submit) -> None:
    first, _ = _two_models()
    mine = opened(operator, MODELS, **{"form-0-is_available": None, "_save": "Save"})
    url = reverse("admin:experiments_languagemodel_change", args=[first.pk])
    submit(colleague, url, accuracy_score="0.5")
    response = operator.post(MODELS, {k: v for k, v in mine.items() if v is not None})
    assert response.status_code == 200
    content = response.content.decode()
    assert "carl changed" in content
    assert "accuracy score" in content
    first.refresh_from_db()
    assert first.is_available
