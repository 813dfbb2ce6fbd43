"""`manage.py run_tasks`: the background process.

The main thread runs queued tasks; the scheduler's threads run periodic jobs; two more threads fold
changes of running sums and move thresholds, about every second.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone

from experiments.background import scheduler
from experiments.background.repeating import Repeating
from experiments.background.tasks import run_next
from experiments.decisions.folding import fold_and_checkpoint
from experiments.learning.thresholds import move_tables
from experiments.management import periodic_jobs  # noqa: F401 - registers the jobs
from experiments.management.base import BaseCommand

log = logging.getLogger("switchyard.tasks")

POLL_SECONDS = 1.0
NICER = 10


class Command(BaseCommand):
    help = (
        "Runs queued tasks (training, shadow calls, judging) and periodic jobs (rollout checks, "
        "daily results, pruning, prices). The server starts one automatically; you can start more "
        "on other machines. With CELERY_BROKER_URL Celery's workers run the tasks."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="Run everything that is due, then exit; for cron."
        )
        parser.add_argument(
            "--with-parent",
            action="store_true",
            help="Exit when the parent process exits.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            scheduler.run_due(timezone.now())
            while run_next(timezone.now()):
                pass
            return
        os.nice(NICER)  # requests have priority
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        jobs = scheduler.Scheduler()
        repeated = (Repeating("folding", fold_and_checkpoint), Repeating("thresholds", move_tables))
        for each in (jobs, *repeated):
            each.start()
        self._run_tasks(stopped, os.getppid() if options["with_parent"] else None)
        for each in (*repeated, jobs):
            each.stop()

    def _run_tasks(self, stopped: threading.Event, parent: int | None) -> None:
        """Runs tasks until it is stopped or the parent process has ended."""
        while not stopped.is_set():
            close_old_connections()
            if settings.CELERY_BROKER_URL or not survive_outage(_work):
                stopped.wait(POLL_SECONDS)
            if parent is not None and os.getppid() != parent:
                return


def survive_outage(work: Callable[[], bool]) -> bool:
    """Runs `work`; logs a database error instead of ending the process."""
    try:
        return work()
    except (DatabaseError, InterfaceError):
        log.exception("the database did not answer")
        return False


def _work() -> bool:
    return run_next(timezone.now())
