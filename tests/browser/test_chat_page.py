"""`/chat/` in a real browser, before the real server and a provider that answers on command."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.api.server import Server, running_server
from tests.browser.conftest import Complaints
from tests.gateway.running_totals import StoredRows
from tests.shadow.provider import FailError, Provider, provider

PASSWORD = "a long password"
PEOPLE = (
    "from django.contrib.auth.models import Group, User;"
    f" User.objects.create_superuser('ada', password='{PASSWORD}');"
    f" vera = User.objects.create_user('vera', password='{PASSWORD}', is_staff=True);"
    " vera.groups.add(Group.objects.get(name='viewer'))"
)
SET_UP = "from tests.shadow.rows import set_up; set_up('{url}', share=0.0)"
SERIOUS = ("serious", "critical")
REFUSED = "Refuse this."


def answer(model: str, body: dict[str, Any]) -> str:
    said = body["messages"][-1]["content"]
    if said == REFUSED:
        raise FailError(400)
    return f"You said: {said} <b>not bold</b> as message {len(body['messages'])}."


class Installation(NamedTuple):
    server: Server
    stub: Provider
    chromium: Browser


@pytest.fixture(scope="module")
def installation(
    chromium: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("chat")
    with (
        provider(answer) as stub,
        running_server(folder, prepare=(PEOPLE, SET_UP.format(url=stub.url))) as server,
    ):
        yield Installation(server, stub, chromium)


class Talk(NamedTuple):
    page: Page
    complaints: Complaints
    server: Server
    stub: Provider

    def say(self, words: str) -> None:
        self.page.get_by_label("Message").fill(words)
        self.page.keyboard.press("Enter")


def log_in(
    browser: Browser, server: Server, user: str = "ada", **look: Any
) -> tuple[Page, Complaints]:
    context = browser.new_context(**look)
    page, complaints = context.new_page(), Complaints()
    page.on("console", complaints.hear)
    page.on("pageerror", lambda error: complaints.add(str(error)))
    page.goto(f"{server.url}/admin/login/?next=/chat/")
    page.fill("#id_username", user)
    page.fill("#id_password", PASSWORD)
    page.click("[type=submit]")
    page.wait_for_url("**/chat/")
    page.wait_for_load_state("networkidle")
    return page, complaints


@pytest.fixture
def talk(installation: Installation) -> Iterator[Talk]:
    page, complaints = log_in(installation.chromium, installation.server)
    yield Talk(page, complaints, installation.server, installation.stub)
    page.context.close()


def spend(server: Server, user: str, nano: int) -> None:
    """Adds to what a user has spent today."""
    StoredRows(server.database).execute(
        "INSERT INTO experiments_keyusage (key_id, span, starts_at, folded, cost) "
        "SELECT -id, 'day', strftime('%Y-%m-%d 00:00:00', 'now'), NULL, ? FROM auth_user "
        "WHERE username = ?",
        nano,
        user,
    )


def test_a_used_up_budget_stops_the_chat_and_says_so(talk: Talk) -> None:
    spend(talk.server, "ada", 5_000_000_000)
    try:
        asked = len(talk.stub.bodies)
        talk.say("Hello?")
        problem = "Your budget of $5 a day (UTC) does not cover this call."
        expect(talk.page.get_by_role("alert")).to_have_text(problem)
        assert len(talk.stub.bodies) == asked
        talk.page.reload()
        expect(talk.page.locator("[data-chat]")).to_contain_text("no more calls until midnight")
    finally:
        spend(talk.server, "ada", -5_000_000_000)


def test_an_answer_streams_in_and_says_who_gave_it_and_what_it_cost(talk: Talk) -> None:
    talk.page.get_by_role("combobox", name="Model").select_option("router/technical")
    talk.say("Hello.")
    turn = talk.page.locator(".answered")
    expect(turn.locator("[data-words]")).to_have_text(
        "You said: Hello. <b>not bold</b> as message 1. "
    )
    expect(turn.locator("[data-who]")).to_have_text("stub/weak")
    facts = turn.locator("[data-facts]")
    expect(facts).to_contain_text("technical, always weak")
    expect(facts).to_contain_text(re.compile(r"cost \$0\.000\d+ · the same cost as stub/strong"))
    assert talk.complaints == []


def test_why_it_was_this_model_opens_the_track(talk: Talk) -> None:
    talk.say("Hello.")
    turn = talk.page.locator(".answered")
    turn.get_by_text("Why this model").click()
    expect(turn.locator(".explanation")).to_be_visible()
    expect(turn.locator(".explanation")).to_contain_text("stub/weak")
    turn.get_by_role("link", name="All details").click()
    talk.page.wait_for_url("**/decisions/*/")
    assert talk.complaints == []


@pytest.mark.parametrize(("button", "value"), [("Good", 1.0), ("Bad", 0.0)])
def test_a_thumb_is_a_rating_of_quality(talk: Talk, button: str, value: float) -> None:
    with talk.page.expect_response("**/v1/chat/completions") as response:
        talk.say(f"Rate me {button}.")
    decision = response.value.headers["x-switchyard-decision-id"]
    thumb = talk.page.get_by_role("button", name=button)
    thumb.click()
    expect(thumb).to_have_attribute("aria-pressed", "true")
    expect(talk.page.get_by_text("Saved as a quality rating.")).to_be_visible()
    found = StoredRows(talk.server.database).rows(
        "SELECT metric, source, value FROM experiments_feedback WHERE decision_id = ?",
        decision.replace("-", ""),
    )
    assert [tuple(row.values()) for row in found] == [("quality", "user", value)]


def test_a_conversation_is_sent_whole_and_started_again(talk: Talk) -> None:
    talk.say("First.")
    expect(talk.page.locator(".answered")).to_contain_text("as message 1.")
    talk.say("Second.")
    expect(talk.page.locator(".answered").last).to_contain_text("as message 3.")
    talk.page.get_by_role("button", name="New conversation").click()
    expect(talk.page.locator(".turn")).to_have_count(0)
    talk.say("Third.")
    expect(talk.page.locator(".answered")).to_contain_text("as message 1.")


def test_what_goes_wrong_is_shown_in_the_place_of_the_answer(talk: Talk) -> None:
    talk.say(REFUSED)
    expect(talk.page.get_by_role("alert")).to_have_text("Stub.")
    expect(talk.page.get_by_label("Message")).to_have_value(REFUSED)
    talk.say("Better.")
    expect(talk.page.locator(".answered").last).to_contain_text("as message 1.")


def test_everything_works_with_the_keyboard(talk: Talk) -> None:
    expect(talk.page.get_by_label("Message")).to_be_focused()
    talk.page.keyboard.type("Typed.")
    talk.page.keyboard.press("Shift+Enter")
    talk.page.keyboard.type("Two lines.")
    talk.page.keyboard.press("Enter")
    expect(talk.page.locator(".answered [data-words]")).to_contain_text("Two lines.")
    expect(talk.page.get_by_label("Message")).to_be_focused()
    for _ in range(6):
        talk.page.keyboard.press("Shift+Tab")
        if talk.page.evaluate("document.activeElement.dataset.rateAs") == "good":
            break
    talk.page.keyboard.press("Space")
    expect(talk.page.get_by_text("Saved as a quality rating.")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_fault_in_any_look(installation: Installation, width: int, theme: Any) -> None:
    page, complaints = log_in(
        installation.chromium,
        installation.server,
        viewport={"width": width, "height": 800},
        color_scheme=theme,
    )
    page.get_by_label("Message").fill("A word " + "that_is_very_long" * 12)
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".answered [data-facts]")).to_be_visible()
    page.get_by_text("Why this model").click()
    expect(page.locator(".explanation")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    faults = Axe().run(page).response["violations"]
    assert [f["id"] for f in faults if f["impact"] in SERIOUS] == []
    assert complaints == []
    page.context.close()


def test_no_key_and_no_inline_script_is_in_the_page(talk: Talk) -> None:
    html = talk.page.content()
    assert "sy_" not in html
    assert "Bearer" not in html
    assert not re.search(r"<script(?![^>]*src=)", html)
    assert not re.search(r"\son\w+=|\sstyle=", html)


# Who may call without a key


def call(server: Server, cookies: dict[str, str], **headers: str) -> httpx.Response:
    body = {"model": "router-auto", "messages": [{"role": "user", "content": "Hello."}]}
    return httpx.post(
        f"{server.url}/v1/chat/completions", json=body, cookies=cookies, headers=headers
    )


def cookies_of(page: Page) -> dict[str, str]:
    return {str(one.get("name")): str(one.get("value")) for one in page.context.cookies()}


def test_a_session_calls_only_with_the_pages_token(talk: Talk) -> None:
    cookies = cookies_of(talk.page)
    token = talk.page.locator("[name=csrfmiddlewaretoken]").first.input_value()
    asked = len(talk.stub.bodies)
    answer = call(talk.server, cookies)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf_failed")
    answer = call(talk.server, cookies, **{"X-CSRFToken": "x" * 64})
    assert answer.status_code == 403
    answer = call(talk.server, cookies, **{"X-CSRFToken": token, "Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert len(talk.stub.bodies) == asked
    answer = call(talk.server, cookies, **{"X-CSRFToken": token})
    assert answer.status_code == 200


def test_a_logged_out_user_sees_a_message(talk: Talk) -> None:
    cookies = cookies_of(talk.page)
    token = talk.page.locator("[name=csrfmiddlewaretoken]").first.input_value()
    answer = call(talk.server, {**cookies, "sessionid": "x" * 32}, **{"X-CSRFToken": token})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "logged_out")


def test_a_wrong_key_is_refused_whatever_session_comes_along(talk: Talk) -> None:
    answer = call(talk.server, cookies_of(talk.page), Authorization="Bearer sy_wrong")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_a_viewer_reads_that_chatting_costs_money(installation: Installation) -> None:
    page, _ = log_in(installation.chromium, installation.server, "vera")
    expect(page.get_by_text("Ask an administrator to add “vera” to")).to_be_visible()
    expect(page.locator("textarea")).to_have_count(0)
    cookies = cookies_of(page)
    answer = call(installation.server, cookies, **{"X-CSRFToken": cookies.get("csrftoken", "")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    page.context.close()


def test_without_any_key_it_says_which_variable_goes_where(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with running_server(tmp_path, prepare=(PEOPLE,)) as server:
        page, complaints = log_in(chromium, server)
        expect(page.get_by_text("No model can be called yet")).to_be_visible()
        expect(page.locator(".empty")).to_contain_text("OPENAI_API_KEY=… in .env next to manage.py")
        faults = Axe().run(page).response["violations"]
        assert [f["id"] for f in faults if f["impact"] in SERIOUS] == []
        assert complaints == []
        page.context.close()
