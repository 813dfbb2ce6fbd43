"""The pages about traffic in a real browser: every width, both themes, no complaint, no fault."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import expect

from experiments.models import Decision, OwnCall, RollupBin, ShadowPair
from experiments.routing.route import RouteRequest, route
from tests.browser.conftest import Surfer
from tests.rollup_rows import hour

NOW = timezone.now().replace(minute=0, second=0, microsecond=0)
PAGES = (
    "/",
    "/domains/",
    "/domains/technical/",
    "/cost-and-quality/",
    "/decisions/",
    "/models/",
    "/judging/",
)
SERIOUS = ("serious", "critical")


def fill() -> str:
    """Some traffic, and a decision whose path it returns."""
    for tier in ("strong", "weak"):
        hour("technical", tier, at=NOW, decisions=400, liked=180, rated=200)
        hour("creative", tier, at=NOW, decisions=300)
    for number in range(20):
        RollupBin.objects.create(
            hour=NOW, domain="technical", kind="score:local", bin=f"{number:02d}", count=10
        )
    RollupBin.objects.create(hour=NOW, domain="technical", kind="confidence", bin="09", count=9)
    RollupBin.objects.create(hour=NOW, domain="technical", kind="runner_up", bin="legal", count=7)
    row = route(RouteRequest("Explain recursion.", domain="technical"))
    judged(row)
    return f"/decisions/{row.id}/"


def judged(row: Decision) -> None:
    """The other model answered too, and the judge preferred it in one order."""
    pair = ShadowPair.objects.create(
        decision=row,
        status=ShadowPair.PairStatus.JUDGED,
        domain=row.domain,
        model=row.model,
        other_model=row.weak_model,
        judge_model="judge",
        created_at=NOW,
        preference=0.25,
        answer="It calls itself.",
        other_answer="A function that calls itself, until it need not.",
    )
    for given_first, winner in ((True, "other"), (False, "tie")):
        OwnCall.objects.create(
            pair=pair,
            purpose=OwnCall.Purpose.JUDGE,
            model="judge",
            started_at=NOW,
            ended_ms=900.0,
            status="ok",
            input_tokens=300,
            output_tokens=40,
            cost=920_000,
            given_first=given_first,
            winner=winner,
            criterion="complete",
            reason="One says when it ends.",
        )


def test_no_page_complains_overflows_or_has_a_serious_fault(surfer_in_every_look: Surfer) -> None:
    surfer, decision = surfer_in_every_look, fill()
    for path in (*PAGES, decision):
        page = surfer.open(path)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
        assert surfer.complaints == [], path
    for path in (*PAGES, decision):
        faults = Axe().run(surfer.open(path)).response["violations"]
        assert [
            (path, fault["id"], [node["html"] for node in fault["nodes"]])
            for fault in faults
            if fault["impact"] in SERIOUS
        ] == []


def test_the_first_run_has_no_fault_either(surfer: Surfer) -> None:
    for path in PAGES:
        page = surfer.open(path)
        assert surfer.complaints == [], path
        faults = Axe().run(page).response["violations"]
        assert [fault["id"] for fault in faults if fault["impact"] in SERIOUS] == [], path
        surfer.complaints.clear()


def test_a_range_is_chosen_and_the_address_says_so(surfer: Surfer) -> None:
    fill()
    page = surfer.open("/")
    page.locator("select[name=range]").select_option("30d")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url(re.compile(r"range=30d"))
    assert "in the last 30 days" in page.locator(".answer").inner_text()


def test_days_of_ones_own_appear_when_asked_for(surfer: Surfer) -> None:
    page = surfer.open("/")
    assert page.get_by_label("From", exact=True).is_hidden()
    page.locator("select[name=range]").select_option("custom")
    page.get_by_label("From", exact=True).fill("2026-11-01")
    page.get_by_label("To", exact=True).fill("2026-11-02")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url(re.compile(r"range=custom.*from=2026-11-01&to=2026-11-02"))
    assert "No decision from 2026-11-01 to 2026-11-02." in page.locator(".empty").inner_text()


def test_the_threshold_moves_with_the_slider(surfer: Surfer) -> None:
    fill()
    page = surfer.open("/domains/technical/")
    slider = page.get_by_role("slider")
    slider.fill("0.25")
    sentence = page.locator("#threshold .sentence")
    text = re.compile(r"^At 0\.25, 75 % would go to the strong model: about \$")
    expect(sentence).to_have_text(text)
    drawn = page.evaluate(
        "document.querySelector('#threshold .chart-plot').data.map((side) => side.x.length)"
    )
    assert drawn == [5, 15]
    slider.press("ArrowRight")
    expect(sentence).to_have_text(re.compile(r"^At 0\.26"))
    assert surfer.complaints == []


def test_decisions_are_filtered_and_one_is_followed(surfer: Surfer) -> None:
    path = fill()
    page = surfer.open("/decisions/")
    page.locator("select[name=domain]").select_option("technical")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url(re.compile(r"\?range=7d&domain=technical$"))
    page.locator("table.decisions tbody th a").first.click()
    page.wait_for_url(re.compile(re.escape(path)))
    page.locator(".explanation .step summary").first.click()
    assert page.locator(".explanation .step details[open]").count() == 1
    assert surfer.complaints == []


def test_the_numbers_open_and_are_saved(surfer: Surfer) -> None:
    fill()
    page = surfer.open("/")
    page.locator("#cost-numbers summary").click()
    assert page.locator("#cost-numbers table").is_visible()
    with page.expect_download() as download:
        page.locator("figure[data-chart=cost] [data-chart-csv]").click()
    assert download.value.suggested_filename == "cost.csv"
    with page.expect_download() as picture:
        page.locator("figure[data-chart=cost] [data-chart-png]").click()
    assert picture.value.suggested_filename == "cost.png"
    assert surfer.complaints == []


def test_a_live_page_takes_up_what_is_new(surfer: Surfer) -> None:
    page = surfer.open("/")
    assert page.get_by_role("button", name="Live, every 30 s").is_visible()
    page.get_by_role("button", name="Live, every 30 s").click()
    assert page.get_by_role("button", name="Live is paused").is_visible()


@pytest.mark.parametrize("path", ["/admin/", "/admin/experiments/domain/", "/api/docs/"])
def test_admin_and_documentation_live_under_the_policy(surfer: Surfer, path: str) -> None:
    surfer.open(path)
    assert surfer.complaints == []
