"""Pictures of the pages for README and docs, taken of the demonstration in Chromium.

`make screenshots` fills the demonstration first. Writes docs/images/*.png.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
WIDE, NARROW = (1440, 900), (390, 844)


class Shot(NamedTuple):
    name: str
    path: str
    size: tuple[int, int] = WIDE
    theme: str = "light"
    whole: bool = True


SHOTS = (
    Shot("overview", "/?range=30d"),
    Shot("overview-dark", "/?range=30d", theme="dark"),
    Shot("overview-phone", "/?range=30d", size=NARROW, whole=False),
    Shot("domain", "/domains/technical/?range=30d"),
    Shot("cost-and-quality", "/cost-and-quality/?range=30d"),
    Shot("decisions", "/decisions/", whole=False),
    Shot("decision", "/decisions/<newest>/"),
    Shot("models", "/models/?range=30d", whole=False),
    Shot("experiments", "/experiments/", whole=False),
    Shot("experiment", "/experiments/technical-local-router/"),
    Shot("rollouts", "/rollouts/"),
    Shot("lab", "/lab/", whole=False),
    Shot("evaluation", "/lab/evaluation/?set=simulated-trial&router=local"),
    Shot("calibration", "/lab/calibration/?domain=general&range=30d&aim=share&wanted=0.4"),
    Shot("what-if", "/lab/what-if/?domain=general&range=30d&threshold=0.8"),
    Shot("playground", "/playground/", whole=False),
)


def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("No Chromium found. Install Debian's package chromium, then run this again.")
    IMAGES.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "DEMONSTRATION": "true",
        "LOG_LEVEL": "ERROR",
        "BACKGROUND_TASKS": "no",
    }
    password = _password(environment)
    with _server(environment) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        _take_all(browser, address, password)
        browser.close()


def _password(environment: dict[str, str]) -> str:
    """A new one for a reader of its own, who sees everything."""
    password = secrets.token_urlsafe(12)
    code = (
        "from django.contrib.auth.models import User;"
        "user, _ = User.objects.get_or_create(username='camera', is_staff=True, is_superuser=True);"
        f"user.set_password({password!r}); user.save()"
    )
    _manage(environment, "shell", "--no-imports", "-c", code)
    return password


def _manage(environment: dict[str, str], *arguments: str) -> None:
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, check=True)


@contextmanager
def _server(environment: dict[str, str]) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "routing_site.asgi", "--bind", f"127.0.0.1:{port}"]
    server = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(f"{address}/healthz")
        yield address
    finally:
        server.terminate()
        server.wait()


def _wait_for(address: str, seconds: int = 60) -> None:
    for _ in range(seconds):
        try:
            urllib.request.urlopen(address, timeout=1)  # noqa: S310 - our own server
        except (urllib.error.URLError, TimeoutError):
            time.sleep(1)
        else:
            return
    sys.exit(f"The server did not answer at {address} within {seconds} s.")


def _take_all(browser: Browser, address: str, password: str) -> None:
    login = browser.new_context()
    page = login.new_page()
    page.goto(f"{address}/admin/login/?next=/")
    page.fill("#id_username", "camera")
    page.fill("#id_password", password)
    page.click("[type=submit]")
    page.wait_for_load_state("networkidle")
    newest = page.goto(f"{address}/decisions/") and page.locator("table.decisions tbody a").first
    href = newest.get_attribute("href") if newest else None
    for shot in SHOTS:
        width, height = shot.size
        context = browser.new_context(
            storage_state=login.storage_state(),
            viewport={"width": width, "height": height},
            color_scheme="dark" if shot.theme == "dark" else "light",
        )
        view = context.new_page()
        path = href if "<newest>" in shot.path and href else shot.path
        response = view.goto(address + path)
        view.wait_for_load_state("networkidle")
        if response is None or not response.ok:
            print(f"{shot.name}: {path} did not answer, left out")
        else:
            view.screenshot(path=IMAGES / f"{shot.name}.png", full_page=shot.whole)
            print(IMAGES / f"{shot.name}.png")
        context.close()


if __name__ == "__main__":
    main()
