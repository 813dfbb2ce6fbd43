"""`manage.py run_tasks`: the process that works in the background."""

import os
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections
from django.utils import timezone

from experiments.services.tasks import run_next

POLL_SECONDS = 1.0
NICER = 10


class Command(BaseCommand):
    help = (
        "Runs what is queued: training, shadow calls, judging. The server starts one of these by "
        "itself; start more on other machines, or set CELERY_BROKER_URL and run Celery's workers."
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
        parent = os.getppid()
        while not stopped.is_set():
            close_old_connections()
            if not run_next(timezone.now()):
                stopped.wait(POLL_SECONDS)
            if options["with_parent"] and os.getppid() != parent:
                return
