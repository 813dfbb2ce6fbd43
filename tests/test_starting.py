"""How `make serve` begins, and what it says where it cannot."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from routing_site.environment import Environment

ROOT = Path(__file__).resolve().parent.parent


def run(folder: Path, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A program in an environment of its own, with an empty database."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "routing_site.settings",
        "SECRET_KEY": "only-for-these-tests-" + "x" * 40,
        "DATABASE_URL": f"sqlite:///{folder / 'fresh.sqlite3'}",
        "DEMO_API_KEY": "sy_only-for-these-tests",
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        **settings,
    }
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_it_works_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    first = run(tmp_path, "manage.py", "prepare", PORT="18999")
    assert first.returncode == 0, first.stderr
    assert re.search(r"admin / \S{16} ", first.stdout)
    assert "curl -s http://127.0.0.1:18999/api/v1/route" in first.stdout
    assert "Bearer sy_only-for-these-tests" in first.stdout

    second = run(tmp_path, "manage.py", "prepare")
    assert "Nothing to seed" in second.stdout
    assert "as before" in second.stdout


def test_a_port_in_use_is_said_before_anything_is_done(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        answer = run(tmp_path, "manage.py", "prepare", PORT=port)
    assert answer.returncode == 1
    assert f"127.0.0.1:{port}: Address already in use" in answer.stderr
    assert "make serve PORT=" in answer.stderr
    assert not (tmp_path / "fresh.sqlite3").exists()


@pytest.mark.parametrize("program", [("manage.py", "check"), ("-m", "gunicorn", "--check-config")])
def test_every_wrong_setting_is_named_at_once(tmp_path: Path, program: tuple[str, ...]) -> None:
    answer = run(
        tmp_path,
        *program,
        SECRET_KEY="",
        POLICY_REFRESH_SECONDS="soon",
        PORT="80000",
        DEBUG="perhaps",
        DATABASE_URL="postgres//user:hunter2@db",
        WEB_THREADS="0",
        LOG_LEVEL="LOUD",
        ROUTER_CLASSES="length",
    )
    assert answer.returncode == 1
    assert answer.stderr.strip().splitlines() == [
        "These settings, from the environment or .env, are wrong:",
        "  DEBUG is 'perhaps'. Give true or false.",
        "  SECRET_KEY is not set. `make serve` writes .env with one; or set it yourself.",
        "  DATABASE_URL cannot be used. Give sqlite:///path or "
        "postgres://user:password@host:5432/name.",
        "  LOG_LEVEL is 'LOUD'. Give one of DEBUG, INFO, WARNING, ERROR, CRITICAL.",
        "  POLICY_REFRESH_SECONDS is 'soon'. Give a number of 0 or more.",
        "  ROUTER_CLASSES is 'length'. Give name=value, with commas between them.",
        "  PORT is '80000'. Give a whole number from 1 to 65535.",
        "  WEB_THREADS is '0'. Give a whole number of 1 or more.",
    ]


def test_a_database_that_is_away_is_said_without_a_trace(tmp_path: Path) -> None:
    away = f"postgres://unknown@127.0.0.1:{free_port()}/nothing"
    answer = run(tmp_path, "manage.py", "migrate", DATABASE_URL=away)
    assert answer.returncode == 1
    assert answer.stderr.startswith("The database cannot be used: ")
    assert "Check DATABASE_URL" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_setting_of_the_file_counts_and_the_environment_goes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_THREADS", "3")
    monkeypatch.delenv("PORT", raising=False)
    file = tmp_path / ".env"
    file.write_text("PORT=9123\nWEB_THREADS=5\n")
    try:
        env = Environment(file)
        assert (env.whole("PORT", 8000), env.whole("WEB_THREADS", 8)) == (9123, 3)
    finally:
        os.environ.pop("PORT", None)


def test_the_example_with_a_secret_key_is_a_working_file(tmp_path: Path) -> None:
    example = (ROOT / ".env.example").read_text()
    values = dict(re.findall(r"^([A-Z_]+)=(.*)$", example, re.MULTILINE))
    answer = run(tmp_path, "manage.py", "check", **{**values, "SECRET_KEY": "x" * 50})
    assert answer.returncode == 0, answer.stderr


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"SECRET_KEY=\xff\xfe\n")
    with pytest.raises(ImproperlyConfigured, match="cannot be read"):
        Environment(tmp_path / ".env").close()
