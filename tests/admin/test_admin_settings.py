"""The page of the routing settings."""

from django.test import Client
from django.urls import reverse

from experiments.models import PolicyRevision, RoutingSettings
from tests.admin.conftest import Submit, errors_of

PAGE = "/admin/experiments/routingsettings/1/change/"


def test_list_leads_to_the_one_row(operator: Client) -> None:
    assert operator.get("/admin/experiments/routingsettings/").headers["Location"] == PAGE


def test_settings_cannot_be_added_or_deleted(administrator: Client) -> None:
    assert administrator.get(reverse("admin:experiments_routingsettings_add")).status_code == 403
    delete = reverse("admin:experiments_routingsettings_delete", args=[1])
    assert administrator.post(delete, {"post": "yes"}).status_code == 403


def test_change_is_one_revision(operator: Client, submit: Submit) -> None:
    response = submit(operator, PAGE, holdout_percentage="2.5", baseline="openai/gpt-4.1")
    assert response.status_code == 302
    assert PolicyRevision.objects.count() == 2
    assert RoutingSettings.objects.get().baseline == "openai/gpt-4.1"


def test_unknown_baseline_is_refused(operator: Client, submit: Submit) -> None:
    response = submit(operator, PAGE, baseline="openai/gpt-nine")
    assert "not one of the available choices" in errors_of(response)


def test_stale_settings_are_refused(operator: Client, colleague: Client, submit: Submit) -> None:
    seen = RoutingSettings.objects.get().version
    submit(colleague, PAGE, holdout_percentage="1")
    response = submit(operator, PAGE, holdout_percentage="3", version=seen, revision_seen=1)
    assert "carl changed Routing settings" in errors_of(response)
    assert "holdout percentage: 0.00 → 1.00" in errors_of(response)
