"""The pages of revisions: what changed, and the way back."""

from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from experiments.models import Domain, Flag, PolicyRevision
from tests.admin.conftest import Submit
from tests.experiment_rows import running

LIST = "/admin/experiments/policyrevision/"
ROLL_BACK = "/admin/experiments/policyrevision/1/roll-back/"


def page(name: str = "technical") -> str:
    return reverse("admin:experiments_domain_change", args=[Domain.objects.get(name=name).pk])


def test_difference_is_readable(operator: Client, submit: Submit) -> None:
    keywords = [*Domain.objects.get(name="technical").keywords[1:], "kernel"]
    submit(operator, page(), threshold="0.44", keywords="\n".join(keywords), note="cheaper")
    response = operator.get(f"{LIST}2/change/")
    (words, threshold) = response.context["changes"]
    assert (words.subject, words.field, words.added) == (
        "Domain technical",
        "keywords",
        ("kernel",),
    )
    assert len(words.removed) == 1
    assert (threshold.field, threshold.after) == ("threshold", "0.44")
    content = response.content.decode()
    assert "2 changes by olga" in content
    assert "“cheaper”" in content
    assert "This is the current configuration." in content


def test_list_says_what_changed(operator: Client, submit: Submit) -> None:
    submit(operator, page(), label="Code")
    content = operator.get(LIST).content.decode()
    assert "Domain technical, label: Technical → Code" in content
    assert "the first configuration" in content


def test_roll_back_shows_what_it_would_change_and_asks(operator: Client, submit: Submit) -> None:
    submit(operator, page(), label="Code")
    response = operator.get(ROLL_BACK)
    (change,) = response.context["changes"]
    assert (change.before, change.after) == ("Code", "Technical")
    assert Domain.objects.get(name="technical").label == "Code"


def test_roll_back_is_a_new_revision(operator: Client, submit: Submit) -> None:
    submit(operator, page(), label="Code")
    response = operator.post(ROLL_BACK, follow=True)
    assert "Rolled back to revision 1." in response.content.decode()
    assert Domain.objects.get(name="technical").label == "Technical"
    newest = PolicyRevision.objects.first()
    assert newest is not None
    assert (newest.number, newest.author_name) == (3, "olga")
    assert newest.note == "Rolled back to revision 1"


def test_roll_back_undoes_the_kill_switch(operator: Client) -> None:
    operator.post(reverse("admin:experiments_flag_kill_switch"))
    operator.post(ROLL_BACK)
    assert Flag.objects.get(key="routellm_enabled").percentage == 100


def test_roll_back_to_what_is_in_use(operator: Client) -> None:
    assert "there is nothing to roll back" in operator.get(ROLL_BACK).content.decode()
    operator.post(ROLL_BACK)
    assert PolicyRevision.objects.count() == 1


def test_roll_back_that_a_running_experiment_forbids_says_so_before_it_is_tried(
    operator: Client, submit: Submit
) -> None:
    submit(operator, page(), keywords="kernel")
    running()
    content = operator.get(ROLL_BACK).content.decode()
    assert "The rollback is not possible." in content
    assert "the keywords of &#x27;technical&#x27; are locked" in content
    assert 'value="Roll back"' not in content


def test_roll_back_to_a_revision_that_never_was(operator: Client) -> None:
    url = reverse("admin:experiments_policyrevision_roll_back", args=[99])
    assert operator.get(url).status_code == 404


def test_viewer_reads_but_does_not_roll_back(viewer: Client) -> None:
    content = viewer.get(f"{LIST}1/change/").content.decode()
    assert "Roll back to this revision" not in content
    assert viewer.get(ROLL_BACK).status_code == 403
    assert viewer.post(ROLL_BACK).status_code == 403


def test_history_cannot_be_edited_or_deleted(administrator: Client) -> None:
    assert administrator.get(f"{LIST}add/").status_code == 403
    assert administrator.post(f"{LIST}1/change/", {"note": "other"}).status_code == 403
    assert administrator.post(f"{LIST}1/delete/", {"post": "yes"}).status_code == 403


def test_list_reads_no_documents(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(8) as queries:
        operator.get(LIST)
    assert not any('"document"' in query["sql"] for query in queries.captured_queries)
