"""`manage.py train_router NAME --outcomes SET`: a checkpoint and a router; nothing goes live."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from experiments.configuration.policy_store import store
from experiments.lab.training import offered_routers
from experiments.models import Domain, PolicyRevision, Router
from experiments.routers.checkpoints import prompt_hashes, read_prompt_hashes
from experiments.routers.features import featurise
from experiments.routing.route import RouteRequest, route
from experiments.routing.runtime import engine
from tests.routers.outcome_files import choice, make_evals, write_csv

pytestmark = pytest.mark.usefixtures("seeded")


@pytest.fixture
def lab(settings: Any, tmp_path: Path) -> Path:
    settings.LAB_DIR = str(tmp_path / "lab")
    return tmp_path


@pytest.fixture
def evals(lab: Path) -> Path:
    return make_evals(lab / "evals")


def train(name: str, outcomes: object, *arguments: str) -> str:
    output = StringIO()
    call_command("train_router", name, "--outcomes", str(outcomes), *arguments, stdout=output)
    return output.getvalue()


def folder_of(name: str) -> Path:
    """Where the checkpoint is; the row has it relative to LAB_DIR."""
    path = Router.objects.get(name=name).arguments["checkpoint_path"]
    assert not Path(path).is_absolute()
    return Path(str(settings.LAB_DIR), path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["linear", "knn", "local_mf", "local"])
def test_twice_gives_the_same_bytes_and_one_router(
    evals: Path, settings: Any, lab: Path, kind: str
) -> None:
    output = train("mine", evals, "--kind", kind)
    first = folder_of("mine")
    settings.LAB_DIR = str(lab / "elsewhere")
    train("other", evals, "--kind", kind)
    second = lab / "elsewhere" / "routers" / "other" / first.name

    assert "Router 'mine' is ready. No policy uses it yet" in output
    for file in ("weights.safetensors", "manifest.json", "prompts.bin"):
        assert (first / file).read_bytes() == (second / file).read_bytes()
    row = Router.objects.get(kind=kind, name="mine")
    assert not Router.objects.filter(name="other").exists()
    assert row.checkpoint.startswith(first.name)


def test_the_manifest_says_what_was_done(evals: Path) -> None:
    train("mine", evals, "--kind", "linear", "--seed", "3")

    manifest = json.loads((folder_of("mine") / "manifest.json").read_text())
    assert manifest["seed"] == 3
    assert manifest["data"]["prompts"] == 300
    assert manifest["data"]["models"][0] == "gpt-4-1106-preview"
    assert len(manifest["data"]["sha256"]) == 64
    assert manifest["folds"] == {"folds": 5, "questions": 1, "groups": 1, "nested": True}
    assert manifest["measured"]["questions"]["apgr"] > 0.6
    assert manifest["settings"]["searched"] == [0.3, 0.03, 3.0]
    assert manifest["settings"]["strength"] in (0.3, 0.03, 3.0)
    assert "overall" in manifest["thresholds"]
    assert manifest["versions"]["scikit-learn"]


def test_it_is_loaded_with_the_next_revision_and_decides_nothing(evals: Path) -> None:
    before = PolicyRevision.objects.latest("number").number
    policies = list(Domain.objects.values("name", "router", "threshold"))

    train("mine", evals, "--kind", "linear")

    assert PolicyRevision.objects.latest("number").number == before + 1
    assert list(Domain.objects.values("name", "router", "threshold")) == policies
    store.invalidate()
    engine.warm_up(store.current())
    row = route(RouteRequest("Why?", "u", domain="technical"))
    row.refresh_from_db()
    assert row.router == "local"
    assert row.detail["scores"]["mine"]["checkpoint"] == Router.objects.get(name="mine").checkpoint


def test_a_name_that_is_taken_gets_a_number(evals: Path) -> None:
    train("mine", evals, "--kind", "linear")
    output = train("mine", evals, "--kind", "linear", "--seed", "1")

    assert "Router 'mine_2' is ready" in output
    assert folder_of("mine") != folder_of("mine_2")


@pytest.mark.parametrize("kind", ["linear", "knn"])
def test_it_learns_which_questions_are_hard(lab: Path, kind: str) -> None:
    hard, easy = "prove this theorem about rings", "what colour is grass"
    rows: list[tuple[object, ...]] = [("prompt", "strong_score", "weak_score")]
    rows += [(f"{hard if i % 2 else easy} {i}", 1, 0 if i % 2 else 1) for i in range(120)]

    train("mine", write_csv(lab / "own.csv", rows), "--kind", kind)

    store.invalidate()
    engine.warm_up(store.current())
    found = {text: engine.score("mine", featurise(f"{text} 500")) for text in (hard, easy)}
    assert found[hard].value > found[easy].value + 0.1  # type: ignore[union-attr]


def test_training_prompts_are_kept_as_hashes(evals: Path) -> None:
    train("mine", evals, "--kind", "linear")

    hashes = read_prompt_hashes(folder_of("mine"))

    assert hashes is not None
    assert len(hashes) == 300
    known, unknown = prompt_hashes([choice("law", 0, hard=True), "Never seen."])
    assert np.isin([known, unknown], hashes).tolist() == [True, False]


def test_all_prompts_with_options(lab: Path) -> None:
    """Nothing then says what an open word problem is."""
    rows: list[tuple[object, ...]] = [("prompt", "strong_score", "weak_score")]
    rows += [(choice("law", i, hard=i % 2 == 0), 1, i % 2) for i in range(80)]
    train("mine", write_csv(lab / "own.csv", rows), "--kind", "local")
    assert Router.objects.filter(name="mine").exists()


def test_a_set_of_the_lab_with_three_models(lab: Path) -> None:
    header = ("prompt", "score:big", "score:middle", "score:small")
    rows: list[tuple[object, ...]] = [
        header,
        *((f"Question {i}", 1, i % 2, i % 3 == 0) for i in range(80)),
    ]
    path = write_csv(lab / "three.csv", rows)
    pair = ("--strong-model", "big", "--weak-model", "small")
    call_command("import_outcomes", str(path), *pair, stdout=StringIO(), stderr=StringIO())

    train("mine", "three", "--kind", "linear")

    manifest = json.loads((folder_of("mine") / "manifest.json").read_text())
    assert manifest["data"]["models"] == ["big", "middle", "small"]


@pytest.mark.parametrize(
    ("name", "outcomes", "arguments", "message"),
    [
        ("mine", "nothing", (), "Unknown outcome set 'nothing'"),
        ("my-name", "evals", (), "cannot name a router"),
        ("mine", "production-ratings", ("--kind", "linear"), "No prompt of 'production-ratings'"),
        ("mine", "few.csv", (), "2 prompts are too few"),
    ],
)
def test_refusals(
    evals: Path, lab: Path, name: str, outcomes: str, arguments: tuple[str, ...], message: str
) -> None:
    rows: list[tuple[object, ...]] = [("prompt", "strong_score", "weak_score")]
    write_csv(lab / "few.csv", [*rows, ("p", 1, 0), ("q", 1, 0)])
    path = lab / outcomes
    with pytest.raises(CommandError, match=message):
        train(name, path if path.exists() else outcomes, *arguments)


def test_other_kinds_need_a_name(evals: Path) -> None:
    with pytest.raises(CommandError, match="trained under a name"):
        call_command("train_router", str(evals), "--kind", "knn", stdout=StringIO())


def by_chance(folder: Path) -> Path:
    """Outcomes that no prompt foretells."""
    weak = np.random.default_rng(2).integers(0, 2, 120).tolist()
    rows = [(f"Question {at} about subject {at % 7}?", 1, right) for at, right in enumerate(weak)]
    return write_csv(folder / "chance.csv", [("prompt", "strong_score", "weak_score"), *rows])


def test_a_router_that_is_no_better_than_random_is_not_offered(lab: Path) -> None:
    output = train("mine", by_chance(lab), "--kind", "linear")
    assert "Router 'mine' is no better than random on held-out prompts." in output

    row = Router.objects.get(name="mine")
    assert row not in offered_routers()
    assert row in offered_routers(row.pk)  # a domain that uses it keeps it
    assert Router.objects.get(name="local") in offered_routers()


def test_a_router_that_cannot_tell_prompts_apart_is_not_offered(lab: Path) -> None:
    rows = [("The same question", 1, at % 2, str(at)) for at in range(100)]
    header = ("prompt", "strong_score", "weak_score", "group")
    path = write_csv(lab / "same.csv", [header, *rows])
    output = train("same", path, "--kind", "linear")
    assert "Router 'same' gives every prompt the same score. It is not offered" in output
    assert Router.objects.get(name="same") not in offered_routers()


@pytest.mark.slow
def test_without_a_name_it_is_said_too(lab: Path) -> None:
    output = StringIO()
    arguments = ("--kind", "local_mf", "--repeats", "1", "--out", str(lab / "out"))
    call_command("train_router", str(by_chance(lab)), *arguments, stdout=output)
    assert "Do not use it: this router is no better than random" in output.getvalue()
