"""What cannot be published comes back on the form, and nothing of it is kept."""

from django.test import Client
from django.urls import reverse

from experiments.models import Domain, Flag, PolicyRevision, RoutingSettings
from tests.admin.conftest import Submit, errors_of
from tests.experiment_rows import running


def page() -> str:
    row = Domain.objects.get(name="technical")
    return reverse("admin:experiments_domain_change", args=[row.pk])


def test_change_that_a_running_experiment_forbids(operator: Client, submit: Submit) -> None:
    running()
    published = PolicyRevision.objects.count()
    response = submit(operator, page(), patterns="kernel", description="Mine alone")
    assert "'cheaper' is running" in errors_of(response).replace("&#x27;", "'")
    assert "Mine alone" in response.content.decode()
    assert Domain.objects.get(name="technical").patterns != ["kernel"]
    assert PolicyRevision.objects.count() == published
    assert "was changed successfully" not in operator.get(page()).content.decode()


def test_holdout_does_not_grow_while_an_experiment_runs(operator: Client, submit: Submit) -> None:
    running()
    url = "/admin/experiments/routingsettings/1/change/"
    response = submit(operator, url, holdout_percentage="5")
    assert "holdout" in errors_of(response)
    assert RoutingSettings.objects.get().holdout_percentage == 0


def test_configuration_without_the_master_flag_says_what_to_do(
    operator: Client, submit: Submit
) -> None:
    Flag.objects.filter(key="routellm_enabled").delete()
    response = submit(operator, page(), label="Code")
    assert "Run `manage.py seed`" in errors_of(response)
    assert Domain.objects.get(name="technical").label == "Technical"


def test_refused_delete_is_reported_and_undone(operator: Client) -> None:
    Flag.objects.filter(key="routellm_enabled").delete()
    row = Domain.objects.get(name="legal")
    url = reverse("admin:experiments_domain_delete", args=[row.pk])
    content = operator.post(url, {"post": "yes"}, follow=True).content.decode()
    assert "Run `manage.py seed`" in content
    assert "was deleted successfully" not in content
    assert Domain.objects.filter(name="legal").exists()


def test_domain_of_an_experiment_is_protected(operator: Client) -> None:
    running()
    row = Domain.objects.get(name="technical")
    url = reverse("admin:experiments_domain_delete", args=[row.pk])
    assert "protected" in operator.post(url, {"post": "yes"}).content.decode()
    assert Domain.objects.filter(name="technical").exists()
