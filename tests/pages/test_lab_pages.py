"""The lab: outcome sets, evaluation and training, as a reader and an operator use them."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from experiments.background.tasks import run_next
from experiments.models import BackgroundTask, Domain, Experiment, OutcomeSet, Router
from tests.routers.outcome_files import write_csv

HEADER = ("prompt", "strong_score", "weak_score", "domain", "strong_cost", "weak_cost")


@pytest.fixture(autouse=True)
def lab_folder(settings: Any, tmp_path: Path) -> None:
    settings.LAB_DIR = str(tmp_path / "lab")


@pytest.fixture
def outcomes(seeded: None, tmp_path: Path) -> OutcomeSet:
    """120 prompts: on the long ones only the strong model is right."""
    rows: list[tuple[object, ...]] = [HEADER]
    for i in range(120):
        hard = i % 2 == 0
        text = f"Prove the theorem number {i} about rings" if hard else f"Who is number {i}?"
        domain = "technical" if i < 100 else "legal"
        rows.append((text, 1, 0 if hard else 1, domain, 0.01, 0.001))
    path = write_csv(tmp_path / "mine.csv", rows)
    call_command("import_outcomes", str(path), stdout=StringIO(), stderr=StringIO())
    return OutcomeSet.objects.get()


def run_tasks() -> None:
    while run_next(timezone.now()):
        pass


def upload(client: Client, content: bytes, name: str = "own.csv", **values: str) -> Any:
    return client.post("/lab/", {"file": SimpleUploadedFile(name, content), **values})


def test_without_outcomes_the_pages_say_how_to_get_them(viewer: Client) -> None:
    for path, command in (
        ("/lab/", "manage.py import_outcomes outcomes.csv"),
        ("/lab/evaluation/", "manage.py import_outcomes outcomes.csv"),
        ("/lab/training/", "manage.py train_router mine --kind local --outcomes SET"),
    ):
        answer = viewer.get(path)
        assert answer.status_code == 200
        assert command in answer.content.decode()


def test_a_set_is_listed_with_what_is_known(viewer: Client, outcomes: OutcomeSet) -> None:
    text = viewer.get("/lab/").content.decode()

    assert "1 outcome set with 120 prompts." in text
    assert "reaches 100 % and the weak one 50 %" in text
    assert "technical 100" in text
    assert "10.000" in text  # the strong model's cost of 1,000 prompts
    assert '<span class="nowrap">local 0 %</span>' in text
    assert "multipart/form-data" not in text  # only an operator imports


def test_computed_costs_are_marked(operator: Client) -> None:
    upload(
        operator,
        b"prompt,strong_score,weak_score,strong_model,weak_model,strong_output_tokens,"
        b"weak_output_tokens\nWhy?,1,0,openai/gpt-4.1,openai/gpt-4.1-mini,200,100\n",
    )
    run_tasks()
    assert '<span class="unit small">computed</span>' in operator.get("/lab/").content.decode()
    page = operator.get("/lab/evaluation/?set=own").content.decode()
    assert "Costs of 1 prompt are computed from tokens" in page
    output = StringIO()
    call_command("evaluate_router", "local", "own", "--json", stdout=output)
    assert json.loads(output.getvalue())["costs_computed"] == 1
    output = StringIO()
    call_command("evaluate_router", "local", "own", stdout=output)
    assert "Costs of 1 prompt are computed from tokens" in output.getvalue()


def test_an_upload_is_imported_in_the_background(operator: Client) -> None:
    content = b"prompt,strong_score,weak_score\nWhy?,1,0\nHow?,7,0\n"

    assert upload(operator, content, name="Own set.csv").status_code == 302
    assert not OutcomeSet.objects.exists()
    run_tasks()

    text = operator.get("/lab/").content.decode()
    assert OutcomeSet.objects.get().name == "own-set"
    assert "Own set.csv" in text
    assert "line 3: strong_score is &#x27;7&#x27;" in text
    task = BackgroundTask.objects.get()
    assert task.status == "done"
    assert not Path(task.arguments["path"]).exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"x", "The file must be one of .csv"),
        ("a.csv", b"", "The submitted file is empty."),
    ],
)
def test_an_upload_that_cannot_be_one_is_refused_at_once(
    operator: Client, name: str, content: bytes, says: str
) -> None:
    answer = upload(operator, content, name)
    assert answer.status_code == 200
    assert says in answer.content.decode()
    assert not BackgroundTask.objects.exists()


def test_a_truncated_parquet_fails_by_its_own_name(operator: Client) -> None:
    upload(operator, b"PAR1 and no more", name="a.parquet")
    run_tasks()

    task = BackgroundTask.objects.get()
    assert task.status == "failed"
    assert "a.parquet is not a whole Parquet file" in task.error
    assert "a.parquet is not a whole Parquet file" in operator.get("/lab/").content.decode()


def test_a_reader_can_neither_import_nor_train(viewer: Client, outcomes: OutcomeSet) -> None:
    upload(viewer, b"prompt,strong_score,weak_score\nWhy?,1,0\n")
    viewer.post("/lab/training/", {"name": "mine", "kind": "linear", "outcomes": "mine"})
    assert viewer.post("/lab/training/local/draft/", {"domain": "legal"}).status_code == 403
    assert viewer.post("/lab/evaluation/score/", {"set": "mine"}).status_code == 403
    assert not BackgroundTask.objects.exists()


def test_evaluation_shows_the_commands_numbers(viewer: Client, outcomes: OutcomeSet) -> None:
    answer = viewer.get("/lab/evaluation/?set=mine&router=local&router=random")
    output = StringIO()
    arguments = ("local", "mine", "--also", "random", "--json")
    call_command("evaluate_router", *arguments, stdout=output)
    found = json.loads(output.getvalue())

    text = answer.content.decode()
    for name, value in found["router"].items():
        if name != "intervals":
            low, high = found["router"]["intervals"][name]
            assert f"{value:.3f} ({low:.3f} to {high:.3f})" in text
    saving = found["more"]["saving_at_95"]
    parts = (100 * saving[name] for name in ("value", "low", "high"))
    assert "{:.1f} ({:.1f} to {:.1f})".format(*parts) in text
    assert "manage.py evaluate_router local mine --also random --json" in text
    assert "too few: 20 of 30" in text  # legal
    assert found["domains"]["legal"] == {"n": 20, "too_few": True}
    assert found["domains"]["technical"]["n"] == 100
    assert len(found["more"]["curve"]) == 51
    assert found["others"]["random"]["apgr"] is not None


def test_a_policy_is_marked_where_it_stands_today(viewer: Client, outcomes: OutcomeSet) -> None:
    text = viewer.get("/lab/evaluation/?set=mine&router=policy:technical").content.decode()
    assert "policy:technical today" in text


def test_a_router_trained_on_the_prompts_is_reported(
    operator: Client, outcomes: OutcomeSet
) -> None:
    call_command(
        "train_router", "mine", "--kind", "linear", "--outcomes", "mine", stdout=StringIO()
    )
    text = operator.get("/lab/evaluation/?set=mine&router=mine").content.decode()
    assert "Warning: mine was trained on 100 % of them" in text
    assert "mine 100 %" in operator.get("/lab/").content.decode()


def test_undefined_is_said(viewer: Client, seeded: None, tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [HEADER[:3], *((f"p{i}", 0, 1) for i in range(40))]
    path = str(write_csv(tmp_path / "worse.csv", rows))
    call_command("import_outcomes", path, stdout=StringIO(), stderr=StringIO())

    text = viewer.get("/lab/evaluation/?set=worse").content.decode()

    assert "The strong model is not clearly better here" in text
    assert "undefined" in text
    assert "routing cannot pay there" in viewer.get("/lab/").content.decode()


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("set=nothing", "Unknown outcome set"),
        ("set=mine&router=unknown", "Unknown router"),
        ("set=mine&domain=medical", "No prompt of"),
        ("set=production-ratings", "is still empty"),
        ("set=mine&router=policy:nowhere", "Unknown domain in"),
    ],
)
def test_what_cannot_be_evaluated_says_why(
    viewer: Client, outcomes: OutcomeSet, query: str, says: str
) -> None:
    answer = viewer.get(f"/lab/evaluation/?{query}")
    assert answer.status_code == 200
    assert says in answer.content.decode()


def test_many_prompts_are_scored_in_the_background(
    operator: Client, outcomes: OutcomeSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.dashboards.lab_evaluation.SCORED_AT_ONCE", 10)
    path = "/lab/evaluation/?set=mine&router=local"
    assert "120 scores must be computed once" in operator.get(path).content.decode()

    operator.post("/lab/evaluation/score/", {"set": "mine", "router": "local"})
    assert "queued" in operator.get(path).content.decode()
    run_tasks()

    assert "Quality by cost" in operator.get(path).content.decode()


def test_training_in_the_background_and_on_into_an_experiment(
    operator: Client, outcomes: OutcomeSet
) -> None:
    values = {"name": "mine", "kind": "linear", "outcomes": "mine", "domain": "", "seed": "0"}
    assert operator.post("/lab/training/", values).status_code == 302
    assert "queued" in operator.get("/lab/training/").content.decode()
    run_tasks()

    text = operator.get("/lab/training/").content.decode()
    assert BackgroundTask.objects.get().status == "done"
    assert "120 prompts of mine" in text
    assert "over questions" in text
    assert Router.objects.get(name="mine").kind == "linear"

    answer = operator.post("/lab/training/mine/draft/", {"domain": "technical"}, follow=True)
    assert answer.status_code == 200
    experiment = Experiment.objects.get()
    control, treatment = experiment.arms.order_by("position")
    assert experiment.key == "mine-in-technical"
    assert experiment.is_draft
    assert control.is_control
    assert control.routing_policy().router == "local"
    assert treatment.routing_policy().router == "mine"
    assert treatment.threshold is not None


def test_training_can_be_cancelled(operator: Client, outcomes: OutcomeSet) -> None:
    values = {"name": "mine", "kind": "linear", "outcomes": "mine", "domain": "", "seed": "0"}
    operator.post("/lab/training/", values)
    task = BackgroundTask.objects.get()

    assert operator.post(f"/lab/tasks/{task.pk}/cancel/").url == "/lab/training/"  # type: ignore[attr-defined]
    run_tasks()

    assert BackgroundTask.objects.get().status == "cancelled"
    assert not Router.objects.filter(name="mine").exists()


def test_training_that_cannot_work_says_why(operator: Client, outcomes: OutcomeSet) -> None:
    values = {"name": "mine", "kind": "local", "outcomes": "mine", "domain": "legal", "seed": "0"}
    operator.post("/lab/training/", values)
    run_tasks()
    assert "20 prompts are too few" in operator.get("/lab/training/").content.decode()
    refused = operator.post("/lab/training/", {**values, "name": "two words"})
    assert "Use lowercase letters" in refused.content.decode()


def test_the_admin_lists_sets(outcomes: OutcomeSet, admin_client: Client) -> None:
    text = admin_client.get("/admin/experiments/outcomeset/").content.decode()
    assert "technical 100, legal 20" in text
    assert "1.000, 0.500" in text
    assert "$10.00, $1.00" in text
    assert "local 0 %" in text
    assert (
        admin_client.get(f"/admin/experiments/outcomeset/{outcomes.pk}/change/").status_code == 200
    )


def test_a_router_without_use_is_labeled_and_not_offered(
    operator: Client, seeded: None, tmp_path: Path
) -> None:
    rows = [("The same question", 1, at % 2, str(at)) for at in range(100)]
    path = write_csv(
        tmp_path / "same.csv", [("prompt", "strong_score", "weak_score", "group"), *rows]
    )
    arguments = ("same", "--kind", "linear", "--outcomes", str(path))
    call_command("train_router", *arguments, stdout=StringIO())

    assert "gives every prompt the same score" in operator.get("/lab/training/").content.decode()
    assert "lab/training/same/draft/" not in operator.get("/lab/training/").content.decode()
    assert "not offered" in operator.get("/admin/experiments/router/").content.decode()
    domain = Domain.objects.get(name="technical")
    page = operator.get(f"/admin/experiments/domain/{domain.pk}/change/").content.decode()
    assert ">local</option>" in page
    assert ">same</option>" not in page
