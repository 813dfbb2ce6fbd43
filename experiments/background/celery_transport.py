"""Sends tasks to Celery. An unavailable broker takes seconds to fail, so no caller waits for it."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from django.conf import settings

from experiments.models import BackgroundTask

log = logging.getLogger("switchyard.tasks")

CELERY_TASK = "switchyard.run_task"
LEFT_ALONE_SECONDS = 10.0
_left_alone_until = 0.0


def send_soon(row: BackgroundTask) -> None:
    """Sends from a separate thread. The row is already committed: `tasks.send_again` sends what
    fails here."""
    _sender().submit(send, row)


def send(row: BackgroundTask) -> bool:
    """Whether the broker accepted it. A broker that failed a moment ago is not tried."""
    global _left_alone_until  # noqa: PLW0603
    if time.monotonic() < _left_alone_until:
        return False
    names = {"task": row.name, "task_id": row.pk}
    try:
        carrier = _carrier(settings.CELERY_BROKER_URL)
        carrier.send_task(CELERY_TASK, (row.pk,), eta=row.run_after, retry=False)
    except Exception as error:  # any exception of the broker's library
        _left_alone_until = time.monotonic() + LEFT_ALONE_SECONDS
        log.warning("a task was not sent: %s", error, extra=names)
        return False
    return True


@cache
def _sender() -> ThreadPoolExecutor:
    """Created on first use: threads do not survive the server's fork."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="carrier")


@cache
def _carrier(broker: str) -> Any:
    """Sends messages only; `routing_site.celery` receives them."""
    from celery import Celery  # noqa: PLC0415 - loaded only where it is used

    app = Celery("switchyard", broker=broker)
    app.conf.task_default_queue = settings.CELERY_TASK_DEFAULT_QUEUE
    app.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    return app
