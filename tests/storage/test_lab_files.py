"""Files of the lab are recorded relative to LAB_DIR, so that the folder can move."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from experiments.configuration.policy_store import store
from experiments.configuration.revisions import publish
from experiments.models import PolicyRevision, Router
from experiments.routers.fingerprint import _CHECKPOINT_ARGUMENTS
from experiments.routing.router_lookup import of_row
from experiments.routing.runtime import engine
from experiments.storage.lab_files import PATH_ARGUMENTS, in_lab, relative_to_lab
from tests.routers.test_router_pool import PROMPT, write_local_mf


@pytest.fixture
def lab(settings: Any, tmp_path: Path) -> Path:
    settings.LAB_DIR = str(tmp_path / "lab")
    return tmp_path / "lab"


def test_paths_below_the_folder_are_relative_and_others_are_not(lab: Path) -> None:
    (lab / "routers").mkdir(parents=True)
    assert relative_to_lab(str(lab / "routers" / "mine")) == "routers/mine"
    assert relative_to_lab(str(lab)) == str(lab)
    assert relative_to_lab("/models/bert") == "/models/bert"
    assert relative_to_lab("routellm/mf_gpt4_augmented") == "routellm/mf_gpt4_augmented"
    assert in_lab("routers") == str(lab / "routers")
    for other in ("/models/bert", "routellm/mf_gpt4_augmented", ""):
        assert in_lab(other) == other


def test_a_link_to_the_folder_is_the_folder(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "lab").symlink_to(tmp_path / "disk")
    settings.LAB_DIR = str(tmp_path / "lab")
    assert relative_to_lab(str(tmp_path / "disk" / "routers" / "a")) == "routers/a"
    assert relative_to_lab(str(tmp_path / "lab" / "routers" / "a")) == "routers/a"


def test_every_argument_that_is_a_path_counts() -> None:
    assert PATH_ARGUMENTS == _CHECKPOINT_ARGUMENTS


@pytest.mark.django_db
def test_a_router_still_answers_after_the_folder_has_moved(
    seeded: None, client: Client, lab: Path, settings: Any, tmp_path: Path
) -> None:
    """Saved in the admin with the path as an operator types it."""
    sha256 = write_local_mf(lab / "routers" / "mine")
    client.force_login(User.objects.create_superuser("ann"))
    answer = client.post(
        "/admin/experiments/router/add/",
        {
            "name": "mine",
            "kind": "local_mf",
            "arguments": f'{{"checkpoint_path": "{lab}/routers/mine"}}',
            "timeout_seconds": "1",
            "enabled": "on",
            "version": "0",
        },
    )
    assert answer.status_code == 302, answer.content.decode()
    row = Router.objects.get(name="mine")
    assert (row.arguments, row.checkpoint) == ({"checkpoint_path": "routers/mine"}, sha256)
    document = PolicyRevision.objects.order_by("-number")[0].document
    assert document["routers"]["mine"]["arguments"] == {"checkpoint_path": "routers/mine"}

    lab.rename(tmp_path / "moved")
    settings.LAB_DIR = str(tmp_path / "moved")
    publish("ann")
    store.invalidate()
    engine.pool.configure({})
    engine.warm_up(store.current())
    assert engine.pool.status("mine").ready
    assert of_row(row).load()(PROMPT) == pytest.approx(0.47544, abs=1e-4)
