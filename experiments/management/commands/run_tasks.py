"""`manage.py run_tasks`: the process that works in the background."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone

from experiments.management.base import BaseCommand
from experiments.services.shadow_queue import expire
from experiments.services.tasks import run_next, send_again

log = logging.getLogger("switchyard.tasks")

POLL_SECONDS = 1.0
TIDY_SECONDS = 30.0
NICER = 10


class Command(BaseCommand):
    help = (
        "Runs what is queued: training, shadow calls, judging. The server starts one of these by "
        "itself; start more on other machines. With CELERY_BROKER_URL Celery's workers run it, and "
        "this process only sends again what was not delivered."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="Run what is due, then end.")
        parser.add_argument(
            "--with-parent",
            action="store_true",
            help="End when the process that started this does.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            while run_next(timezone.now()):
                pass
            return
        os.nice(NICER)  # answers come first
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        parent, tidied = os.getppid(), float("-inf")
        while not stopped.is_set():
            close_old_connections()
            if time.monotonic() - tidied >= TIDY_SECONDS:
                unless_away(_tidy)
                tidied = time.monotonic()
            if settings.CELERY_BROKER_URL or not unless_away(_work):
                stopped.wait(POLL_SECONDS)
            if options["with_parent"] and os.getppid() != parent:
                return


def unless_away(work: Callable[[], bool]) -> bool:
    """A database that is busy or away for a while must not end this process."""
    try:
        return work()
    except (DatabaseError, InterfaceError):
        log.exception("the database did not answer")
        return False


def _work() -> bool:
    return run_next(timezone.now())


def _tidy() -> bool:
    """What nobody else sees to in time. With Celery this is all that is done here."""
    now = timezone.now()
    expire(now)
    if settings.CELERY_BROKER_URL:
        send_again(now)
    return True
