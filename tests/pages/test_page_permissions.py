"""Every page asks for a login, then for a role, and lives under one strict policy."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from experiments.middleware import POLICY

PAGES = (
    "/",
    "/domains/",
    "/domains/technical/",
    "/cost-and-quality/",
    "/decisions/",
    "/decisions/export.csv",
    "/decisions/export.parquet",
    "/experiments/",
    "/rollouts/",
    "/playground/",
    "/models/",
)


@pytest.mark.django_db
@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_is_asked_to_log_in(client: Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response["Location"]) == (302, f"/admin/login/?next={path}")


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("path", PAGES)
def test_an_account_without_a_role_sees_who_can_give_one(client: Client, path: str) -> None:
    client.force_login(User.objects.create_user("nora"))
    response = client.get(path)
    assert response.status_code == 403
    assert "group viewer, operator or administrator" in response.content.decode()


@pytest.mark.parametrize("path", PAGES)
def test_a_viewer_may_read(viewer: Client, path: str) -> None:
    assert viewer.get(path).status_code == 200


@pytest.mark.parametrize("path", [*PAGES, "/admin/login/", "/api/docs/", "/healthz", "/nowhere"])
def test_every_answer_has_the_policy(viewer: Client, path: str) -> None:
    policy = viewer.get(path)["Content-Security-Policy"]
    assert policy == POLICY
    assert "unsafe" not in policy
