"""`manage.py demo`: filled once a day, never in another database."""

from io import StringIO

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings

from experiments.models import Decision

TINY = 0.02


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
def test_it_fills_once_a_day_and_prints_a_login_that_works() -> None:
    first = run()
    stored = Decision.objects.count()
    assert f"{stored:,} decisions in" in first
    second = run()
    assert "Simulating" not in second
    assert Decision.objects.count() == stored
    login = next(line for line in second.splitlines() if line.startswith("Login"))
    _, _, password = login.removeprefix("Login").strip().partition(" / ")
    assert authenticate(username="admin", password=password) is not None


@pytest.mark.usefixtures("demonstration")
def test_every_page_says_that_it_is_simulated(client: Client) -> None:
    run()
    client.force_login(User.objects.get(username="admin"))
    for path in ("/", "/experiments/", "/rollouts/", "/playground/", "/decisions/", "/domains/"):
        assert "Simulated: these numbers" in client.get(path).content.decode(), path


def test_without_the_setting_it_starts_itself_anew_with_it(
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
