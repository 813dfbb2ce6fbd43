"""What each role may open and change."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from experiments.configuration.roles import seed_roles
from experiments.models import Domain, OfferedPermission, PolicyRevision
from tests.admin.conftest import Submit

READABLE = ["decision", "domain", "flag", "languagemodel", "policyrevision", "router"]


def lists(name: str, app: str = "experiments") -> str:
    return reverse(f"admin:{app}_{name}_changelist")


def technical() -> str:
    row = Domain.objects.get(name="technical")
    return reverse("admin:experiments_domain_change", args=[row.pk])


@pytest.mark.parametrize("name", READABLE)
def test_viewer_reads(viewer: Client, name: str) -> None:
    assert viewer.get(lists(name)).status_code == 200


def test_viewer_changes_nothing(viewer: Client) -> None:
    row = Domain.objects.get(name="technical")
    assert viewer.post(technical(), {"label": "Mine"}).status_code == 403
    assert viewer.get(reverse("admin:experiments_domain_add")).status_code == 403
    delete = reverse("admin:experiments_domain_delete", args=[row.pk])
    assert viewer.post(delete, {"post": "yes"}).status_code == 403
    assert viewer.post(lists("flag"), {"_save": "Save"}).status_code in {200, 403}
    assert viewer.post(reverse("admin:experiments_flag_kill_switch")).status_code == 403
    assert PolicyRevision.objects.count() == 1


def test_viewer_sees_no_kill_switch_and_no_note(viewer: Client) -> None:
    assert "for all units now" not in viewer.get(lists("flag")).content.decode()
    assert 'name="note"' not in viewer.get(technical()).content.decode()


def test_viewer_may_try_a_prompt(viewer: Client) -> None:
    url = reverse("admin:experiments_domain_try", args=[Domain.objects.get(name="legal").pk])
    assert viewer.post(url, {"prompt": "Is this contract valid?"}).status_code == 200


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_administrators_see_keys_and_users(role: str, request: pytest.FixtureRequest) -> None:
    client: Client = request.getfixturevalue(role)
    assert client.get(lists("apikey")).status_code == 403
    assert client.get(lists("user", "auth")).status_code == 403


def test_operator_changes_configuration(operator: Client, submit: Submit) -> None:
    assert submit(operator, technical(), label="Code").status_code == 302


def test_administrator_gives_roles_but_makes_no_superuser(
    administrator: Client, submit: Submit
) -> None:
    user = User.objects.create_user("new", is_staff=True)
    url = reverse("admin:auth_user_change", args=[user.pk])
    permission = Permission.objects.first()
    assert permission is not None
    data = {
        "username": "new",
        "date_joined_0": "2026-11-22",
        "date_joined_1": "10:00:00",
        "is_active": "on",
        "is_staff": "on",
        "is_superuser": "on",
        "user_permissions": [permission.pk],
        "groups": [Group.objects.get(name="operator").pk],
    }
    assert administrator.post(url, data).status_code == 302
    user.refresh_from_db()
    assert not user.is_superuser
    assert not user.user_permissions.exists()
    assert [group.name for group in user.groups.all()] == ["operator"]


def test_administrator_does_not_edit_a_superuser(administrator: Client) -> None:
    root = User.objects.create_superuser("root")
    url = reverse("admin:auth_user_change", args=[root.pk])
    assert administrator.post(url, {"username": "mine"}).status_code == 403


def test_login_is_asked_for(seeded: None) -> None:
    response = Client().get(technical())
    assert response.headers["Location"].startswith("/admin/login/")


def test_front_page_is_grouped_by_purpose(operator: Client) -> None:
    groups = [app["name"] for app in operator.get("/admin/").context["app_list"]]
    assert [name for name in groups if name != "Proof"] == ["Routing", "History"]


def test_seeding_roles_again_keeps_an_administrators_edit(seeded: None) -> None:
    viewer = Group.objects.get(name="viewer")
    viewer.permissions.remove(Permission.objects.get(codename="view_decision"))
    seed_roles()
    assert not viewer.permissions.filter(codename="view_decision").exists()


def test_a_role_is_given_what_it_came_to_be_allowed_and_once_only(seeded: None) -> None:
    """As in an installation from before there was a chat page."""
    operator, chat = Group.objects.get(name="operator"), Permission.objects.get(codename="use_chat")
    operator.permissions.remove(chat)
    seed_roles()
    assert chat not in operator.permissions.all()
    OfferedPermission.objects.filter(codename="use_chat").delete()
    seed_roles()
    assert chat in operator.permissions.all()
    assert chat not in Group.objects.get(name="viewer").permissions.all()


def test_a_group_that_was_deleted_comes_back_whole(seeded: None) -> None:
    before = Group.objects.get(name="operator").permissions.count()
    Group.objects.all().delete()
    seed_roles()
    assert Group.objects.get(name="operator").permissions.count() == before
