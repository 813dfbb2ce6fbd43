"""`manage.py demo`: filled again when it is old, never in another database."""

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings

from experiments.models import Decision

pytestmark = pytest.mark.slow

TINY = 0.02
ROOT = Path(__file__).resolve().parents[2]
# In a process of its own, with a file of its own: the file is removed while Django is running.
ON_ANOTHER_DAY = f"""
import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
import django
from django.conf import settings
settings.DEMONSTRATION = True
settings.DEMONSTRATION_FILE = Path(settings.DATABASES["default"]["NAME"])
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import F
from experiments.models import Decision

def run():
    out = StringIO()
    call_command("demo", scale={TINY}, stdout=out)
    return {{"simulated": "Simulating" in out.getvalue(), "decisions": Decision.objects.count()}}

def later(**hours):
    User.objects.update(date_joined=F("date_joined") - timedelta(**hours))

first = run()
later(hours=11)
same_day = run()
later(hours=2)
next_day = run()
print(json.dumps([first, same_day, next_day]))
"""


@pytest.fixture
def demonstration(db: None, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The test's database stands in for the demonstration's file, which is always SQLite."""
    if connection.vendor != "sqlite":
        pytest.skip("The demonstration has an SQLite file of its own, whatever DATABASE_URL says.")
    settings.DEMONSTRATION = True
    settings.DEMONSTRATION_FILE = tmp_path_factory.mktemp("demo") / "demo.sqlite3"


def run() -> str:
    out = StringIO()
    call_command("demo", scale=TINY, stdout=out)
    return out.getvalue()


@pytest.mark.usefixtures("demonstration")
def test_it_fills_once_and_prints_a_login_that_works() -> None:
    first = run()
    stored = Decision.objects.count()
    assert f"{stored:,} decisions in" in first
    second = run()
    assert "Simulating" not in second
    assert Decision.objects.count() == stored
    login = next(line for line in second.splitlines() if line.startswith("Login"))
    _, _, password = login.removeprefix("Login").strip().partition(" / ")
    assert authenticate(username="admin", password=password) is not None


@pytest.mark.slow
def test_it_is_filled_again_on_another_day_only(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", ON_ANOTHER_DAY],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DATABASE_URL": f"sqlite:///{tmp_path / 'demo.sqlite3'}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    first, same_day, next_day = json.loads(process.stdout.splitlines()[-1])
    assert [run["simulated"] for run in (first, same_day, next_day)] == [True, False, True]
    assert first["decisions"] == same_day["decisions"]
    # Not on top of what was there.
    assert next_day["decisions"] < 1.5 * first["decisions"]


@pytest.mark.slow
@pytest.mark.usefixtures("demonstration")
def test_every_page_says_that_it_is_simulated(client: Client) -> None:
    run()
    client.force_login(User.objects.get(username="admin"))
    for path in ("/", "/experiments/", "/rollouts/", "/playground/", "/decisions/", "/domains/"):
        assert "Simulated: these numbers" in client.get(path).content.decode(), path


def test_without_the_setting_it_restarts_itself_with_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEMONSTRATION = False
    started: list[dict[str, str]] = []

    def execve(program: str, arguments: list[str], environment: dict[str, str]) -> None:
        started.append(environment)
        raise SystemExit

    monkeypatch.setattr("os.execve", execve)
    with pytest.raises(SystemExit):
        run()
    assert [environment["DEMONSTRATION"] for environment in started] == ["true"]
