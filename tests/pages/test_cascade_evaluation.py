"""A cascade on an outcome set with several models' scores: command, JSON and page agree."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from experiments.background.tasks import run_next
from experiments.lab.multi_model import Cascade, cascade_of, with_steps
from experiments.models import LanguageModel, OutcomeScores, OutcomeSet
from tests.explored_traffic import set_policy
from tests.routers.outcome_files import write_csv

pytestmark = pytest.mark.usefixtures("seeded")

BIG, MIDDLE, SMALL = "openai/gpt-4.1", "openai/gpt-4.1-nano", "openai/gpt-4.1-mini"
POLICY = "policy:technical"


def cascade(threshold: float = 0.73, at: float = 0.537, router: str = "local_mf") -> None:
    step = {"model": MIDDLE, "router": router, "threshold": at}
    set_policy(
        threshold=threshold, between=[step], strong_model_id=pk(BIG), weak_model_id=pk(SMALL)
    )


def pk(name: str) -> int:
    return LanguageModel.objects.get(name=name).pk


def outcomes(tmp_path: Path, models: tuple[str, ...] = (BIG, MIDDLE, SMALL), n: int = 90) -> None:
    """Every third prompt only the big one answers, every third the middle one too."""
    rows: list[tuple[object, ...]] = [
        ("prompt", "domain", *(f"score:{m}" for m in models), *(f"cost:{m}" for m in models))
    ]
    rights = {BIG: 0, MIDDLE: 1, SMALL: 2}
    costs = {BIG: 0.01, MIDDLE: 0.003, SMALL: 0.001}
    for i in range(n):
        text = ("Prove theorem", "Explain the loop", "Who was number")[i % 3] + f" {i}?"
        domain = "technical" if i < 60 else "legal"
        rows.append(
            (text, domain, *(int(i % 3 >= rights[m]) for m in models), *(costs[m] for m in models))
        )
    path = str(write_csv(tmp_path / "many.csv", rows))
    arguments = ("--strong-model", models[0], "--weak-model", models[-1])
    call_command("import_outcomes", path, *arguments, stdout=StringIO(), stderr=StringIO())


def evaluated(*arguments: str) -> dict[str, Any]:
    output = StringIO()
    call_command("evaluate_router", POLICY, "many", "--json", *arguments, stdout=output)
    found: dict[str, Any] = json.loads(output.getvalue())
    return found


def test_it_works(tmp_path: Path) -> None:
    cascade()
    outcomes(tmp_path)
    found = evaluated()["several"][POLICY]
    assert found["models"] == [BIG, MIDDLE, SMALL]
    assert (found["n"], found["left_out"]) == (90, 0)
    lines = {line["name"]: line for line in found["lines"]}
    assert list(lines) == [
        POLICY,
        *(f"always {model}" for model in (BIG, MIDDLE, SMALL)),
        "random with its shares",
        "oracle",
    ]
    assert lines[f"always {MIDDLE}"]["quality"]["value"] == pytest.approx(2 / 3)
    assert lines[f"always {MIDDLE}"]["cost"]["value"] == pytest.approx(0.003)
    assert lines["oracle"]["quality"]["value"] == 1.0
    assert lines["oracle"]["cost"]["value"] == pytest.approx((10 + 3 + 1) / 3000)
    shares = [lines[f"always {model}"]["share"]["value"] for model in found["models"]]
    assert sum(shares) == pytest.approx(1.0)
    assert all(share > 0 for share in shares)
    # By hand, from the scores that are kept.
    local, mf = (np.frombuffer(one.values) for one in OutcomeScores.objects.order_by("router_key"))
    chosen = np.where(local >= 0.73, 0, np.where(mf >= 0.537, 1, 2))
    right = np.array([[1, i % 3 > 0, i % 3 > 1] for i in range(90)])
    assert lines[POLICY]["quality"]["value"] == pytest.approx(right[range(90), chosen].mean())
    random_quality = sum(
        s * lines[f"always {m}"]["quality"]["value"]
        for s, m in zip(shares, found["models"], strict=True)
    )
    assert lines["random with its shares"]["quality"]["value"] == pytest.approx(random_quality)
    for line in found["lines"]:
        assert line["quality"]["low"] <= line["quality"]["value"] <= line["quality"]["high"]


def test_the_text_says_it(tmp_path: Path) -> None:
    cascade()
    outcomes(tmp_path)
    output = StringIO()
    call_command("evaluate_router", POLICY, "many", stdout=output)
    assert f"{POLICY} over 3 models, on 90 prompts: its quality is" in output.getvalue()
    assert f"always {MIDDLE}" in output.getvalue()
    assert f" % less than always {BIG} (" in output.getvalue()


def test_the_page_shows_the_commands_numbers(viewer: Client, tmp_path: Path) -> None:
    cascade()
    outcomes(tmp_path)
    page = viewer.get(f"/lab/evaluation/?set=many&router={POLICY}").content.decode()
    found = evaluated()["several"][POLICY]
    assert "More than two models" in page
    assert found["sentence"] in page
    for line in found["lines"]:
        quality = line["quality"]
        assert "{value:.4f} ({low:.4f} to {high:.4f})".format(**quality) in page
    cascade(at=1.0)
    again = viewer.get(f"/lab/evaluation/?set=many&router={POLICY}").content.decode()
    assert found["sentence"] not in again


def test_of_one_domain(tmp_path: Path) -> None:
    cascade()
    outcomes(tmp_path)
    assert evaluated("--domain", "legal")["several"][POLICY]["n"] == 30


def test_a_model_that_the_set_does_not_know_is_named(viewer: Client, tmp_path: Path) -> None:
    cascade()
    outcomes(tmp_path, models=(BIG, SMALL))
    found = evaluated()["several"][POLICY]
    assert f"the set has no answer of {MIDDLE}." in found["sentence"]
    assert (found["n"], found["lines"]) == (0, [])
    page = viewer.get(f"/lab/evaluation/?set=many&router={POLICY}").content.decode()
    assert f"the set has no answer of {MIDDLE}." in page


def test_prompts_that_lack_an_answer_are_left_out(tmp_path: Path) -> None:
    cascade()
    outcomes(tmp_path)
    for row in OutcomeSet.objects.get().rows.all()[:7]:
        row.scores = {name: score for name, score in row.scores.items() if name != MIDDLE}
        row.save()
    found = evaluated()["several"][POLICY]
    assert (found["n"], found["left_out"]) == (83, 7)
    assert "7 are left out" in found["sentence"]


def test_a_policy_over_two_models_is_no_cascade(tmp_path: Path) -> None:
    outcomes(tmp_path)
    assert evaluated()["several"] == {}
    assert cascade_of("local") is None
    assert cascade_of("policy:nowhere") is None


def test_the_steps_routers_are_scored_in_the_background_too(
    operator: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.dashboards.lab_evaluation.SCORED_AT_ONCE", 10)
    cascade()
    outcomes(tmp_path)
    assert with_steps([POLICY, "random"]) == [POLICY, "local_mf", "random"]
    path = f"/lab/evaluation/?set=many&router={POLICY}"
    assert "180 scores must be computed once" in operator.get(path).content.decode()
    operator.post("/lab/evaluation/score/", {"set": "many", "router": POLICY})
    while run_next(timezone.now()):
        pass
    assert "More than two models" in operator.get(path).content.decode()


def test_a_prompt_whose_router_has_no_score_goes_nowhere() -> None:
    found = Cascade("c", ("a", "b", "c"), (("one", 0.5), ("two", 0.5)))
    scores = {
        "one": np.array([0.5, 0.4, 0.4, np.nan, 0.4, 0.9]),
        "two": np.array([np.nan, 0.5, 0.4, 0.9, np.nan, 0.1]),
    }
    assert found.chosen(scores).tolist() == [0, 1, 2, -1, -1, 0]
