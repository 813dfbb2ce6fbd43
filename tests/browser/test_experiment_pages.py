"""Experiments, rollouts and playground in a real browser: used, and in every width and theme."""

from datetime import timedelta

from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import expect

from experiments.configuration.policy_store import store
from experiments.models import Decision, Experiment, Flag, Rollout
from experiments.rollouts import lifecycle
from experiments.routing.runtime import engine
from tests.browser.conftest import Surfer
from tests.experiment_rows import add_units, draft, running

PAGES = ("/experiments/", "/experiments/cheaper/", "/rollouts/", "/playground/")
SERIOUS = ("serious", "critical")


def fill() -> None:
    """An experiment that can ship, and a rollout on its way."""
    start = timezone.now() - timedelta(days=20)
    experiment = running(now=start)
    for arm, cost in (("control", 2_000_000), ("weak", 1_000_000)):
        add_units(experiment, arm, 700, cost=cost, rated=3, day=start.date(), spread_days=10)
    rollout = Rollout.objects.create(
        flag=Flag.objects.get(domain__name="medical"),
        key="rollout-medical",
        steps=[[5, 72], [25, 72], [100, 0]],
    )
    lifecycle.start(rollout, "tests", timezone.now())


def test_no_page_complains_overflows_or_has_a_serious_fault(surfer_in_every_look: Surfer) -> None:
    surfer = surfer_in_every_look
    fill()
    for path in PAGES:
        page = surfer.open(path)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
        assert surfer.complaints == [], path
    for path in PAGES:
        faults = Axe().run(surfer.open(path)).response["violations"]
        assert [
            (path, fault["id"], [node["html"] for node in fault["nodes"]])
            for fault in faults
            if fault["impact"] in SERIOUS
        ] == []


def test_an_experiment_is_started(surfer: Surfer) -> None:
    draft()
    page = surfer.open("/experiments/cheaper/")
    expect(page.locator(".answer")).to_contain_text("Ready to start")
    page.locator("summary", has_text="Start").click()
    page.get_by_role("button", name="Start now").click()
    expect(page.locator(".messages")).to_contain_text("cheaper is running.")
    assert Experiment.objects.get().status == "running"
    assert surfer.complaints == []


def test_the_verdict_is_seen_and_shipped(surfer: Surfer) -> None:
    fill()
    page = surfer.open("/experiments/")
    expect(page.locator(".answer")).to_contain_text("Ship cheaper.")
    page.get_by_role("link", name="cheaper").click()
    expect(page.locator(".answer")).to_contain_text('Ship "weak". It costs')
    expect(page.locator("[data-chart=effects] .main-svg").first).to_be_visible()
    page.locator("summary", has_text="Ship weak").click()
    page.get_by_role("button", name="Ship weak now").click()
    expect(page.locator(".messages")).to_contain_text("weak was shipped to Technical.")
    assert surfer.complaints == []


def test_a_rollout_is_paused(surfer: Surfer) -> None:
    fill()
    page = surfer.open("/rollouts/")
    page.locator("summary", has_text="Pause").click()
    page.get_by_role("button", name="Pause now").click()
    expect(page.locator(".rollout h3")).to_contain_text("paused")
    assert surfer.complaints == []


def test_a_rollout_advances_anyway_with_a_reason(surfer: Surfer) -> None:
    fill()
    page = surfer.open("/rollouts/")
    page.locator("summary", has_text="Advance anyway").click()
    page.get_by_label("Reason").locator("visible=true").fill("The quarter ends")
    page.get_by_role("button", name="Advance anyway now").click()
    expect(page.locator(".rollout-summary")).to_contain_text("The quarter ends")
    assert Flag.objects.get(domain__name="medical").percentage == 25
    assert surfer.complaints == []


def test_enter_in_the_playground_shows_the_track(surfer: Surfer) -> None:
    engine.warm_up(store.current())
    page = surfer.open("/playground/")
    page.locator("[name=text]").fill("Explain recursion.")
    page.keyboard.press("Enter")
    expect(page.locator("#tried .explanation")).to_have_count(1)
    page.locator("[name=second_policy]").select_option("always_weak")
    expect(page.locator("#tried .explanation")).to_have_count(2)
    expect(page.locator("#tried .answer")).to_contain_text("openai/gpt-4.1-mini")
    assert page.url.endswith("/playground/")
    assert Decision.objects.count() == 0
    assert surfer.complaints == []


def test_an_experiment_prints_on_one_page(surfer: Surfer) -> None:
    fill()
    page = surfer.open("/experiments/cheaper/")
    expect(page.locator("[data-chart=effects] .main-svg").first).to_be_visible()
    paper = page.pdf(format="A4", prefer_css_page_size=True)
    assert paper.count(b"/Type /Page\n") == 1
