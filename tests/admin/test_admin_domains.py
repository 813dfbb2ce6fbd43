"""The pages of domains."""

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from experiments.models import Decision, Domain, Flag, LanguageModel, PolicyRevision
from tests.admin.conftest import Submit, errors_of

LIST = "/admin/experiments/domain/"


def page(name: str = "technical") -> str:
    return reverse("admin:experiments_domain_change", args=[Domain.objects.get(name=name).pk])


def test_one_save_is_one_revision_with_author_and_note(operator: Client, submit: Submit) -> None:
    response = submit(operator, page(), threshold="0.44", label="Code", note="cheaper")
    assert response.status_code == 302
    newest = PolicyRevision.objects.first()
    assert newest is not None
    assert (newest.number, newest.author_name, newest.note) == (2, "olga", "cheaper")
    assert [change["path"] for change in newest.difference] == [
        "domains.technical.label",
        "domains.technical.policy.threshold",
    ]


def test_message_links_to_the_revision_and_the_way_back(operator: Client, submit: Submit) -> None:
    submit(operator, page(), threshold="0.44")
    messages = operator.get(LIST).content.decode()
    assert "/admin/experiments/policyrevision/2/change/" in messages
    assert "/admin/experiments/policyrevision/1/roll-back/" in messages


def test_save_without_a_change_publishes_nothing(operator: Client, submit: Submit) -> None:
    before = Domain.objects.get(name="technical").version
    response = submit(operator, page())
    assert response.status_code == 302
    assert PolicyRevision.objects.count() == 1
    assert Domain.objects.get(name="technical").version == before
    assert "no new revision" in operator.get(LIST).content.decode()


def test_lists_are_edited_one_entry_a_line(operator: Client, submit: Submit) -> None:
    submit(operator, page(), keywords="kernel\n\n  linked list  \nkernel\n")
    assert Domain.objects.get(name="technical").keywords == ["kernel", "linked list"]


def test_broken_pattern_is_refused_by_name(operator: Client, submit: Submit) -> None:
    response = submit(operator, page(), patterns="\\bok\\b\n(unclosed\nfine\n(?<=x)y")
    assert response.status_code == 200
    errors = errors_of(response)
    assert "(unclosed" in errors
    assert "missing" in errors
    assert "Look-arounds" in errors
    assert "(unclosed" in response.content.decode()
    assert PolicyRevision.objects.count() == 1


def test_unregistered_preferred_model_is_refused_by_name(operator: Client, submit: Submit) -> None:
    response = submit(operator, page(), preferred_models="openai/gpt-4.1\nopenai/gpt-nine")
    assert "Unknown model &#x27;openai/gpt-nine&#x27;" in errors_of(response)


@pytest.mark.parametrize(
    ("field", "needs"),
    [("router", "RouteLLM needs this"), ("threshold", "Enter a threshold, or let it follow")],
)
def test_routellm_needs_router_and_threshold(
    operator: Client, submit: Submit, field: str, needs: str
) -> None:
    response = submit(operator, page(), follows_target=None, **{field: ""})
    assert needs in errors_of(response)


def test_half_a_pair_is_refused(operator: Client, submit: Submit) -> None:
    strong = LanguageModel.objects.get(name="openai/gpt-4.1")
    response = submit(operator, page(), strong_model=strong.pk)
    assert "Choose both models of the pair" in errors_of(response)


@pytest.mark.parametrize("threshold", ["1.2", "-0.1", "high"])
def test_threshold_outside_the_unit_interval(
    operator: Client, submit: Submit, threshold: str
) -> None:
    assert submit(operator, page(), threshold=threshold).status_code == 200
    assert PolicyRevision.objects.count() == 1


def test_example_prompts_are_added_one_a_line(operator: Client, submit: Submit) -> None:
    domain = Domain.objects.get(name="technical")
    domain.examples.all().delete()  # those of the seed
    domain.examples.create(text="What is a mutex?")
    lines = "Why is my build slow?\n\nWhat is a mutex?\nWhat is a heap?"
    submit(operator, page(), more_examples=lines)
    assert [example.text for example in domain.examples.all()] == [
        "What is a mutex?",
        "Why is my build slow?",
        "What is a heap?",
    ]
    assert PolicyRevision.objects.count() == 2


def test_line_ends_of_browsers_are_no_change(operator: Client, submit: Submit) -> None:
    domain = Domain.objects.get(name="technical")
    domain.examples.all().delete()  # those of the seed
    domain.examples.create(text="Two\nlines")
    submit(operator, page(), description="One\r\ntwo", **{"examples-0-text": "Two\r\nlines"})
    domain.refresh_from_db()
    assert (domain.description, domain.examples.get().text) == ("One\ntwo", "Two\nlines")
    version = domain.version
    submit(operator, page(), description="One\r\ntwo", **{"examples-0-text": "Two\r\nlines"})
    domain.refresh_from_db()
    assert domain.version == version


def test_inline_example_is_deleted_in_the_same_revision(operator: Client, submit: Submit) -> None:
    domain = Domain.objects.get(name="technical")
    domain.examples.all().delete()  # those of the seed
    domain.examples.create(text="What is a mutex?")
    submit(operator, page(), **{"examples-0-DELETE": "on", "label": "Code"})
    assert not domain.examples.exists()
    assert PolicyRevision.objects.count() == 2


def test_new_domain_gets_its_flag_at_zero_in_the_same_revision(
    operator: Client, submit: Submit
) -> None:
    url = reverse("admin:experiments_domain_add")
    router = Domain.objects.get(name="technical").router
    assert router is not None
    response = submit(
        operator, url, name="travel", label="Travel", router=router.pk, threshold="0.5"
    )
    assert response.status_code == 302
    assert Flag.objects.get(key="routellm_travel_domain").percentage == 0
    assert PolicyRevision.objects.count() == 2


def test_domain_and_its_flag_are_deleted_in_one_revision(operator: Client) -> None:
    url = reverse("admin:experiments_domain_delete", args=[Domain.objects.get(name="legal").pk])
    operator.post(url, {"post": "yes"})
    assert not Flag.objects.filter(key="routellm_legal_domain").exists()
    assert PolicyRevision.objects.count() == 2


def test_general_cannot_be_deleted(operator: Client) -> None:
    general = Domain.objects.get(name="general")
    url = reverse("admin:experiments_domain_delete", args=[general.pk])
    assert operator.post(url, {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [general.pk], "post": "yes"}
    response = operator.post(LIST, chosen)
    assert "cannot be deleted" in response.content.decode()
    assert Domain.objects.filter(name="general").exists()


def test_several_domains_are_deleted_by_action_in_one_revision(operator: Client) -> None:
    chosen = list(Domain.objects.filter(name__in=["legal", "medical"]).values_list("pk", flat=True))
    data = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    assert operator.post(LIST, data).status_code == 302
    assert Domain.objects.count() == 6
    assert PolicyRevision.objects.count() == 2


def test_try_a_prompt_shows_both_tracks_and_stores_nothing(operator: Client) -> None:
    url = reverse("admin:experiments_domain_try", args=[Domain.objects.get(name="legal").pk])
    response = operator.post(url, {"prompt": "May my landlord keep the deposit?"})
    titles = [trial.title for trial in response.context["trials"]]
    assert titles == ["As configured now", "As legal, as configured now"]
    of_legal = response.context["trials"][1]
    assert of_legal.sentence.endswith(".")
    assert [step.name for step in of_legal.steps][:3] == ["prompt", "domain", "flag"]
    assert of_legal.steps[1].fact == "legal, as asked"
    assert 'class="explanation"' in response.content.decode()
    assert not Decision.objects.exists()


def test_try_an_empty_prompt(operator: Client) -> None:
    url = reverse("admin:experiments_domain_try", args=[Domain.objects.get(name="legal").pk])
    assert "Enter a prompt." in operator.post(url, {"prompt": "  "}).content.decode()


def test_list_queries_do_not_grow_with_domains(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(9):
        assert operator.get(LIST).status_code == 200
