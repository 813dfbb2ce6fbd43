"""A real Chromium in front of the real server, and what it complained about."""

import os
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

CHROMIUM = shutil.which("chromium")
PASSWORD = "a long password"
# Why each is harmless: docs/decisions/0003-content-security-policy.md.
EXPECTED = (re.compile(r"style-src 'self'.*sha256-ji27qzEtxXZW\+7dun6UwjHXJ18e6WAin1VvNtkzIE/o="),)


class Complaints(list[str]):
    """Console errors, policy violations and scripts that failed, without the explained ones."""

    def hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.add(message.text)

    def add(self, text: str) -> None:
        if not any(pattern.search(text) for pattern in EXPECTED):
            self.append(text)


class Surfer(NamedTuple):
    """A page of the browser, where the server is, and what the browser complained about."""

    page: Page
    address: str
    complaints: Complaints

    def open(self, path: str) -> Page:
        """Goes there and waits until everything is drawn."""
        self.page.goto(self.address + path)
        self.page.wait_for_load_state("networkidle")
        return self.page


# The many pages and widths of these files take minutes. The other files play the main paths.
SLOW_FILES = ("test_admin_pages.py", "test_traffic_pages.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if item.path.name in SLOW_FILES:
                item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One for a file of tests: while it runs, nothing else may run a loop in this thread."""
    if CHROMIUM is None:
        warnings.warn(
            pytest.PytestWarning("NO CHROMIUM IS INSTALLED: the pages are not tried in a browser."),
            stacklevel=1,
        )
        pytest.skip("NO CHROMIUM: install Debian's package chromium to try the pages in it.")
    # Playwright's loop runs in this thread; Django refuses its database there by default.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def installation(transactional_db: None) -> None:
    """What `seeded` is to other tests: rows a server in another thread can see."""
    from experiments.configuration.seeding import seed

    seed()
    User.objects.create_superuser("ada", password=PASSWORD)


@pytest.fixture(
    params=[
        "1440 light",
        pytest.param("390 light", marks=pytest.mark.slow),
        pytest.param("1440 dark", marks=pytest.mark.slow),
        pytest.param("390 dark", marks=pytest.mark.slow),
    ]
)
def look(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Every width and theme."""
    return _look(request.param)


def _look(name: str) -> dict[str, Any]:
    width, theme = name.split()
    height = 900 if width == "1440" else 844
    return {"viewport": {"width": int(width), "height": height}, "color_scheme": theme}


@pytest.fixture
def surfer(chromium: Browser, installation: None, live_server: LiveServer) -> Iterator[Surfer]:
    """Logged in, on a wide screen in the light theme."""
    yield from _surfing(chromium, live_server, _look("1440 light"))


@pytest.fixture
def surfer_in_every_look(
    chromium: Browser, installation: None, live_server: LiveServer, look: dict[str, Any]
) -> Iterator[Surfer]:
    yield from _surfing(chromium, live_server, look)


def _surfing(chromium: Browser, server: LiveServer, look: dict[str, Any]) -> Iterator[Surfer]:
    context: BrowserContext = chromium.new_context(**look)
    page, complaints = context.new_page(), Complaints()
    page.on("console", complaints.hear)
    page.on("pageerror", lambda error: complaints.add(str(error)))
    page.goto(f"{server.url}/admin/login/?next=/")
    page.fill("#id_username", "ada")
    page.fill("#id_password", PASSWORD)
    page.click("[type=submit]")
    page.wait_for_load_state("networkidle")
    yield Surfer(page, server.url, complaints)
    context.close()
