"""The lab in a real browser: a file is uploaded, evaluated and trained on; no page has a fault."""

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone

from experiments.background.tasks import run_next
from experiments.lab.training import TrainingRequest, train
from experiments.models import OutcomeSet
from tests.browser.conftest import Surfer
from tests.routers.outcome_files import write_csv

PAGES = ("/lab/", "/lab/evaluation/?set=mine&router=local&router=ours", "/lab/training/")
SERIOUS = ("serious", "critical")


@pytest.fixture
def outcomes(settings: Any, tmp_path: Path) -> Path:
    settings.LAB_DIR = str(tmp_path / "lab")
    header = ("prompt", "strong_score", "weak_score", "domain", "strong_cost", "weak_cost")
    rows: list[tuple[object, ...]] = [header]
    for i in range(100):
        text = f"Prove theorem {i} about rings" if i % 2 else f"Who is number {i}?"
        rows.append((text, 1, (i + 1) % 2, "technical", 0.01, 0.001))
    return write_csv(tmp_path / "mine.csv", rows)


def upload(surfer: Surfer, file: Path) -> None:
    page = surfer.open("/lab/")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Import").click()
    page.get_by_text("See the progress below").wait_for()
    while run_next(timezone.now()):
        pass


def test_no_page_complains_overflows_or_has_a_serious_fault(
    surfer_in_every_look: Surfer, outcomes: Path
) -> None:
    surfer = surfer_in_every_look
    upload(surfer, outcomes)
    assert OutcomeSet.objects.get().name == "mine"
    train(TrainingRequest("ours", "linear", "mine"), "tests")
    for path in PAGES:
        page = surfer.open(path)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
        assert surfer.complaints == [], path
        faults = Axe().run(page).response["violations"]
        assert [
            (path, fault["id"], [node["html"] for node in fault["nodes"]])
            for fault in faults
            if fault["impact"] in SERIOUS
        ] == []
    surfer.open(PAGES[1])
    assert surfer.page.locator("[data-chart=curve] .main-svg").count()
