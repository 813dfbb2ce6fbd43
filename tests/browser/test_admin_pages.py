"""The admin in a real browser: every width, both themes, no complaint, no fault."""

from axe_playwright_python.sync_playwright import Axe

from experiments.models import Domain, Flag, PolicyRevision
from experiments.routing.route import RouteRequest, route
from tests.browser.conftest import Surfer

ADMIN = "/admin/experiments"
SERIOUS = ("serious", "critical")


def pages() -> list[str]:
    """Every kind of page: front, lists, forms, history, one decision."""
    decision = route(RouteRequest("Explain recursion.", domain="technical")).id
    technical = Domain.objects.get(name="technical").pk
    return [
        "/admin/",
        f"{ADMIN}/flag/",
        f"{ADMIN}/flag/{Flag.objects.get(key='routellm_enabled').pk}/change/",
        f"{ADMIN}/domain/",
        f"{ADMIN}/domain/{technical}/change/",
        f"{ADMIN}/languagemodel/",
        f"{ADMIN}/languagemodel/1/change/",
        f"{ADMIN}/router/",
        f"{ADMIN}/routingsettings/1/change/",
        f"{ADMIN}/policyrevision/",
        f"{ADMIN}/policyrevision/1/change/",
        f"{ADMIN}/policyrevision/1/roll-back/",
        f"{ADMIN}/decision/",
        f"{ADMIN}/decision/{decision}/change/",
        f"{ADMIN}/apikey/add/",
    ]


def test_no_page_complains_overflows_or_has_a_serious_fault(surfer_in_every_look: Surfer) -> None:
    surfer = surfer_in_every_look
    for path in pages():
        page = surfer.open(path)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
        assert surfer.complaints == [], path
        faults = Axe().run(page).response["violations"]
        assert [
            (fault["id"], [node["html"] for node in fault["nodes"]])
            for fault in faults
            if fault["impact"] in SERIOUS
        ] == [], path
        surfer.complaints.clear()  # of the checker


def test_a_percentage_is_raised_from_the_list(surfer: Surfer) -> None:
    page = surfer.open(f"{ADMIN}/flag/")
    page.get_by_label("Percentage of routellm_legal_domain").fill("5")
    page.click("#changelist-form [name=_save]")
    assert "from 0 % to 5 %" in page.inner_text("main")
    page.fill("#id_note", "first step")
    page.click("input.default[value=Save]")
    assert "Revision 2: what changed" in page.inner_text(".messagelist")
    assert PolicyRevision.objects.get(number=2).note == "first step"


def test_a_save_is_undone_by_its_message(surfer: Surfer) -> None:
    surfer.open(f"{ADMIN}/flag/").click("text=Switch off for all units now")
    surfer.page.click("text=Undo")
    surfer.page.click("input[value='Roll back']")
    assert "Rolled back to revision 1." in surfer.page.inner_text(".messagelist")
    assert Flag.objects.get(key="routellm_enabled").percentage == 100


def test_an_untouched_form_saves_nothing(surfer: Surfer) -> None:
    technical = Domain.objects.get(name="technical")
    surfer.open(f"{ADMIN}/domain/{technical.pk}/change/").click("[name=_save]")
    assert "no new revision" in surfer.page.inner_text(".messagelist")


def test_a_prompt_is_tried_on_a_domain(surfer: Surfer) -> None:
    technical = Domain.objects.get(name="technical")
    page = surfer.open(f"{ADMIN}/domain/{technical.pk}/change/")
    page.fill("#id_prompt", "How do I undo a commit?")
    page.click("input[value='Try']")
    assert page.locator("ol.explanation").count() == 2
    assert surfer.complaints == []
