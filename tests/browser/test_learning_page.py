"""A new installation learns: 400 requests through the gateway, and no command.

The provider is a stub whose recorded answers have a known quality: on hard prompts only the strong
model is right. The judge recognizes right answers.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.api.server import KEY, Server, running_server
from tests.browser.conftest import PASSWORD, Complaints
from tests.learning.stream import EASY, HARD, asked
from tests.shadow.provider import provider, verdict

pytestmark = [pytest.mark.server, pytest.mark.slow]

SET_UP = "from tests.learning.gateway_rows import set_up; set_up({url!r}, {password!r})"
RIGHT, WRONG = "This is right.", "This is not correct."
BURST = 50


def answer(model: str, body: dict[str, Any]) -> str:
    """As recorded: by model and kind of prompt."""
    if model == "judge":
        return verdict(body, good=RIGHT)
    text = body["messages"][-1]["content"]
    hard = any(text.startswith(start) for start in HARD)
    assert hard or any(text.startswith(start) for start in EASY)
    return WRONG if hard and model == "weak" else RIGHT


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()


def log_in(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/admin/login/?next=/")
    page.fill("#id_username", "ada")
    page.fill("#id_password", PASSWORD)
    page.click("[type=submit]")
    page.wait_for_load_state("networkidle")


def until(found: Callable[[], bool], seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.3)


def value(server: Server, question: str) -> Any:
    with sqlite3.connect(server.database, timeout=10) as connection:
        return connection.execute(question).fetchone()[0]


def send(server: Server, texts: list[str]) -> None:
    """Chat calls as an application makes them, a few at a time."""
    with httpx.Client(headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client:

        def call(item: tuple[int, str]) -> int:
            number, text = item
            body = {
                "model": "router/technical",
                "user": f"user-{number}",
                "messages": [{"role": "user", "content": text}],
            }
            return client.post(f"{server.url}/v1/chat/completions", json=body).status_code

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(call, enumerate(texts))) == {200}


def requests_of_newest_round(server: Server) -> int:
    newest = "SELECT COALESCE(MAX(requests), -1) FROM experiments_learninground WHERE domain = "
    return int(value(server, f"{newest}'technical'"))


def test_after_400_requests_the_domain_page_says_what_routing_is_worth(
    page: Page, tmp_path: Path
) -> None:
    with (
        provider(answer) as stub,
        running_server(
            tmp_path,
            prepare=(SET_UP.format(url=stub.url, password=PASSWORD),),
            BACKGROUND_TASKS="true",
            LAB_DIR=str(tmp_path / "lab"),
        ) as server,
    ):
        complaints = Complaints()
        page.on("console", complaints.hear)
        log_in(page, server)
        page.goto(f"{server.url}/domains/technical/")
        assert "Learning is off." in page.inner_text("#learning")
        page.click("#learning summary:has-text('Switch learning on')")
        page.click("#learning button:has-text('Switch learning on now')")
        page.wait_for_load_state("networkidle")
        assert "Too early: 0 pairs" in page.inner_text("#learning")

        until(lambda: requests_of_newest_round(server) == 0)
        prompts = [one.text for one in asked(400)]
        for start in range(0, 400, BURST):
            send(server, prompts[start : start + BURST])
            until(lambda: requests_of_newest_round(server) >= start + BURST)  # noqa: B023

        page.goto(f"{server.url}/domains/technical/")
        page.wait_for_load_state("networkidle")
        panel = page.inner_text("#learning")
        code = page.get_attribute("[data-learning-status]", "data-learning-status")
        pairs = value(server, "SELECT count(*) FROM experiments_shadowpair WHERE status='judged'")
        assert 20 <= pairs <= 65
        assert code in {"recovers", "no_better"}, panel
        said = "% of the quality gap" if code == "recovers" else "No better than random so far"
        assert said in panel
        assert f"{pairs}" in panel
        serving = value(
            server,
            "SELECT r.name FROM experiments_domain d JOIN experiments_router r "
            "ON r.id = d.router_id WHERE d.name = 'technical'",
        )
        assert f"Why {serving} serves:" in panel
        assert "z = " in panel
        assert "Rounds of learning" in panel
        page.screenshot(path=str(tmp_path / "learning.png"), full_page=True)
        if serving != "local":
            assert "Undo the last change" in panel
        assert complaints == []
    stored = b"".join(file.read_bytes() for file in tmp_path.glob("served.sqlite3*"))
    assert RIGHT.encode() not in stored
    assert prompts[0].encode() not in stored
