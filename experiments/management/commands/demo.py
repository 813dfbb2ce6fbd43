"""`manage.py demo`: thirty simulated days in a separate database."""

import logging
import os
import secrets
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import CommandParser
from django.db import DatabaseError, connection
from django.utils import timezone

from experiments.configuration.seeding import seed_demo_key
from experiments.demo.filling import fill
from experiments.management.commands.welcome import Command as Welcome
from experiments.models import Decision

LOGIN = "admin"
LASTS = timedelta(hours=12)


class Command(Welcome):
    help = (
        "Fills demo.sqlite3 with thirty days of simulated traffic, unless this was done in the "
        "last "
        "twelve hours, and prints a login. Never changes another database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--fresh", action="store_true", help="Delete existing demo data first.")
        parser.add_argument("--scale", type=float, default=1.0, help="1 is 30,000 decisions.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMONSTRATION:
            _restart_as_demonstration()
        logging.getLogger("switchyard").setLevel(logging.WARNING)
        if options["fresh"] or not _is_recent():
            _remove()
            self._fill(options["scale"])
        seed_demo_key()
        super().handle(*args, **options)

    def _fill(self, scale: float) -> None:
        call_command("migrate", verbosity=0)
        self.stdout.write("Simulating thirty days …")
        self.stdout.flush()
        started = time.monotonic()
        filled = fill(timezone.now(), scale)
        seconds = time.monotonic() - started
        self.stdout.write(f"{filled.decisions:,} decisions in {seconds:.0f} s.")

    def _login(self) -> str:
        """A new password at each start; it protects only a demonstration."""
        password = secrets.token_urlsafe(12)
        user, _ = get_user_model()._default_manager.get_or_create(
            username=LOGIN, defaults={"is_staff": True, "is_superuser": True}
        )
        user.set_password(password)
        user.save()
        return f"{LOGIN} / {password}"


def _is_recent() -> bool:
    """Whether it was filled recently and completely: the login is created last. In older data the
    running experiments would look as if their traffic had stopped."""
    logins = get_user_model()._default_manager.filter(username=LOGIN)
    try:
        filled_at = logins.values_list("date_joined", flat=True).first()
        return (
            filled_at is not None
            and timezone.now() - filled_at < LASTS
            and Decision.objects.exists()
        )
    except DatabaseError:  # no tables yet, or those of another version
        return False


def _remove() -> None:
    """Deletes only the demonstration's file and SQLite's files next to it."""
    connection.close()
    file: Path = settings.DEMONSTRATION_FILE
    for suffix in ("", "-wal", "-shm", "-queue"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)


def _restart_as_demonstration() -> None:
    """Runs the command again with the demonstration's database, because settings are read once."""
    connection.close()
    environment = {**os.environ, "DEMONSTRATION": "true"}
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606
