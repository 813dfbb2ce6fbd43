"""What a cascade's step names is protected at every door; a router's checkpoint is rolled back."""

from pathlib import Path
from typing import Any

import pytest
from django.db.models import ProtectedError
from django.test import Client
from django.urls import reverse

from experiments.configuration.apply import ConfigurationError, apply
from experiments.configuration.document import current_document
from experiments.configuration.policy_store import store
from experiments.configuration.revisions import revision
from experiments.models import Arm, Domain, Experiment, LanguageModel, PolicyRevision, Router
from experiments.routers.building import checkpoint_sha256
from experiments.routers.checkpoints import read_checkpoint, write_checkpoint
from experiments.routers.local_mf import CHECKPOINT, KIND
from experiments.routing.route import RouteRequest, route
from experiments.routing.runtime import engine

ROUTERS = "/admin/experiments/router/"


@pytest.fixture
def named(seeded: None) -> tuple[Router, LanguageModel]:
    """A router and a model that nothing but a step of `technical` names."""
    router = Router.objects.create(name="middling", kind="local_mf")
    model = LanguageModel.objects.create(name="openai/middle", provider="openai")
    with revision("tests"):
        domain = Domain.objects.get(name="technical")
        domain.between = [{"model": model.name, "router": router.name, "threshold": 0.4}]
        domain.full_clean()
        domain.save()
    return router, model


def delete_page(row: Any) -> str:
    return reverse(f"admin:experiments_{row._meta.model_name}_delete", args=[row.pk])


def test_a_step_protects_what_it_names(
    operator: Client, named: tuple[Router, LanguageModel]
) -> None:
    for row in named:
        for response in (
            operator.get(delete_page(row)),
            operator.post(delete_page(row), {"post": "yes"}),
        ):
            page = response.content.decode()
            assert f"{row}: used by a step of domain &#x27;technical&#x27;" in page
        assert type(row).objects.filter(pk=row.pk).exists()


def test_several_at_once_are_protected_too(
    operator: Client, named: tuple[Router, LanguageModel]
) -> None:
    chosen = {"action": "delete_selected", "_selected_action": [named[0].pk], "post": "yes"}
    assert "used by a step" in operator.post(ROUTERS, chosen, follow=True).content.decode()
    assert Router.objects.filter(name="middling").exists()


def test_a_file_that_leaves_it_out_is_refused(named: tuple[Router, LanguageModel]) -> None:
    for section, row in (("routers", named[0]), ("models", named[1])):
        document = {section: dict(current_document()[section])}
        del document[section][str(row)]
        with pytest.raises(ConfigurationError, match=f"uses '{row}'. Remove the step"):
            apply(document, "tests", "")
        assert type(row).objects.filter(pk=row.pk).exists()


def test_an_arms_step_protects_as_well(seeded: None) -> None:
    router = Router.objects.create(name="middling", kind="local_mf")
    experiment = Experiment.objects.create(key="three", hypothesis="Three are cheaper.")
    step = {"model": "openai/gpt-4.1-nano", "router": router.name, "threshold": 0.4}
    Arm.objects.create(experiment=experiment, name="cascade", between=[step])
    with pytest.raises(ProtectedError, match="arm 'cascade' of experiment 'three'"):
        router.delete()
    with pytest.raises(ProtectedError, match="arm 'cascade' of experiment 'three'"):
        Router.objects.filter(name="middling").delete()
    Arm.objects.all().delete()
    router.delete()


def test_a_file_that_takes_the_step_out_takes_the_router_too(
    named: tuple[Router, LanguageModel],
) -> None:
    document = current_document()
    wanted = {name: dict(document[name]) for name in ("routers", "domains")}
    del wanted["routers"]["middling"]
    technical = dict(wanted["domains"]["technical"])
    technical["policy"] = {k: v for k, v in technical["policy"].items() if k != "between"}
    wanted["domains"]["technical"] = technical
    apply(wanted, "tests", "")
    assert not Router.objects.filter(name="middling").exists()


def test_what_no_step_names_is_deleted(operator: Client) -> None:
    row = Router.objects.create(name="spare", kind="local_mf")
    operator.post(delete_page(row), {"post": "yes"})
    assert not Router.objects.filter(name="spare").exists()


def checkpoint(folder: Path, *, swapped: bool) -> str:
    """A copy of the shipped one, which scores a prompt s, or 1 - s."""
    found = read_checkpoint(CHECKPOINT, KIND)
    pair = found.arrays["pair"][::-1].copy() if swapped else found.arrays["pair"]
    write_checkpoint(folder, {**found.arrays, "pair": pair}, found.manifest)
    return str(folder)


def test_rolling_back_brings_a_routers_checkpoint_back(
    administrator: Client, tmp_path: Path
) -> None:
    folders = [checkpoint(tmp_path / name, swapped=name == "new") for name in ("old", "new")]
    hashes = [checkpoint_sha256(KIND, {"checkpoint_path": folder}) for folder in folders]
    scores = []
    for folder, sha256 in zip(folders, hashes, strict=True):
        with revision("tests"):
            row = Router.objects.filter(name="mine").first() or Router(name="mine", kind=KIND)
            row.arguments, row.checkpoint = {"checkpoint_path": folder}, sha256 or ""
            row.save()
        scores.append(answered())
    old, new = scores
    assert [one["checkpoint"] for one in scores] == hashes
    assert new["value"] == pytest.approx(1 - old["value"], abs=1e-5)

    number = PolicyRevision.objects.order_by("-number")[1].number
    page = f"/admin/experiments/policyrevision/{number}/roll-back/"
    assert "mine" in administrator.get(page).content.decode()
    administrator.post(page)

    assert Router.objects.get(name="mine").checkpoint == hashes[0]
    assert answered() == old


def answered() -> Any:
    """What the router says now, with the checkpoint it says it from."""
    engine.warm_up(store.current())
    row = route(RouteRequest("Explain a mutex to me.", "u", domain="technical"))
    return row.detail["scores"]["mine"]
