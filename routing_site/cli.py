"""The command line: `switchyard COMMAND`, or `manage.py COMMAND` in a checkout.

`serve` and `demo` do what `make serve` and `make demo` do, in the current folder. Every other
command is Django's or Switchyard's own (`switchyard help` lists them).
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from routing_site import env_file

SERVE = "serve"
DEMO = "demo"


def main(arguments: Sequence[str] | None = None) -> None:
    """Exits with a message instead of a traceback if a setting or the database is wrong."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routing_site.settings")
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == [SERVE]:
        _serve(words[1:])
    else:
        _manage(words)


def start_demo() -> None:
    """`switchyard demo`: fills the demonstration and serves it."""
    os.environ["DEMONSTRATION"] = "true"
    env_file.write(home())
    _manage([DEMO])
    _replace_with_gunicorn()


def home() -> Path:
    """The folder with `.env`, the SQLite database and the lab."""
    return Path(os.environ.get("SWITCHYARD_HOME") or Path.cwd())


def program() -> str:
    """The command that starts this command line."""
    if Path(sys.argv[0]).name == "manage.py":
        return ".venv/bin/python manage.py"
    return "switchyard"


def _serve(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="switchyard serve",
        description="Migrates, seeds and starts the server, with its files in the current folder.",
    )
    parser.add_argument("--host", help="The address to listen on (HOST).")
    parser.add_argument("--port", help="The port to listen on (PORT).")
    parser.add_argument("--demo", action="store_true", help="Serve thirty simulated days instead.")
    options = parser.parse_args(words)
    for name, value in (("HOST", options.host), ("PORT", options.port)):
        if value is not None:
            os.environ[name] = value
    if options.demo:
        start_demo()
    env_file.write(home())
    _manage(["prepare"])
    _replace_with_gunicorn()


def _replace_with_gunicorn() -> None:
    sys.stdout.flush()
    server = [sys.executable, "-m", "gunicorn", "-c", "python:routing_site.gunicorn_conf"]
    os.execv(sys.executable, server)  # noqa: S606


def _manage(words: Sequence[str]) -> None:
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    from django.core.management import execute_from_command_line  # noqa: PLC0415
    from django.db import OperationalError  # noqa: PLC0415

    from experiments.storage.long_statements import allow_long_statements  # noqa: PLC0415

    try:
        allow_long_statements()
        execute_from_command_line([sys.argv[0], *words])
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except OperationalError as error:
        sys.exit(f"The database cannot be used: {error}\nCheck DATABASE_URL, then `migrate`.")
