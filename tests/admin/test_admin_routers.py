"""The pages of routers."""

from django.test import Client
from django.urls import reverse

from experiments.models import PolicyRevision, Router
from experiments.routers.checkpoints import read_manifest
from experiments.routers.local import EARLIER
from tests.admin.conftest import Submit, errors_of

LIST = "/admin/experiments/router/"


def page(name: str) -> str:
    return reverse("admin:experiments_router_change", args=[Router.objects.get(name=name).pk])


def test_arguments_are_checked_by_building_it(operator: Client, submit: Submit) -> None:
    response = submit(operator, page("local"), arguments='{"colour": "red"}')
    assert "has no argument" in errors_of(response)
    assert PolicyRevision.objects.count() == 1


def test_arguments_must_be_a_mapping(operator: Client, submit: Submit) -> None:
    response = submit(operator, page("local"), arguments="[1]")
    assert "Enter a mapping" in errors_of(response)


def test_saving_pins_the_checkpoint(operator: Client, submit: Submit) -> None:
    Router.objects.filter(name="local").update(checkpoint="")
    assert submit(operator, page("local")).status_code == 302
    assert len(Router.objects.get(name="local").checkpoint) == 64


def test_router_that_is_switched_off_is_not_built(operator: Client, submit: Submit) -> None:
    Router.objects.filter(name="local_mf").update(arguments={"colour": "red"})
    response = submit(operator, page("local_mf"), enabled=None)
    assert response.status_code == 302
    assert not Router.objects.get(name="local_mf").enabled


def test_name_with_a_hyphen_is_refused(operator: Client, submit: Submit) -> None:
    url = reverse("admin:experiments_router_add")
    response = submit(operator, url, name="my-router", kind="local")
    assert "a hyphen would break" in errors_of(response)


def test_router_of_a_domain_is_not_deleted(operator: Client) -> None:
    row = Router.objects.get(name="local")
    url = reverse("admin:experiments_router_delete", args=[row.pk])
    operator.post(url, {"post": "yes"})
    assert Router.objects.filter(name="local").exists()


def test_list_says_what_is_switched_off(operator: Client) -> None:
    assert "◌ disabled" in operator.get(LIST).content.decode()


def test_an_earlier_version_of_the_shipped_weights_is_named(operator: Client) -> None:
    row = Router.objects.get(name="local")
    row.checkpoint = read_manifest(EARLIER / "local_1", "local").sha256
    row.save()
    page = operator.get("/admin/experiments/router/").content.decode()
    assert f"{row.checkpoint[:12]}… (earlier; save to use the new ones)" in page
