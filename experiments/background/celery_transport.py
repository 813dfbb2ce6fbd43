"""Hands tasks to Celery. A broker that is away takes seconds to say so: nobody waits for that."""

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
    """From a thread of its own. The row is committed already: what is not sent is sent later by
    `tasks.send_again`."""
    _sender().submit(send, row)


def send(row: BackgroundTask) -> bool:
    """Whether the broker has it. One that was away a moment ago is not tried."""
    global _left_alone_until  # noqa: PLW0603
    if time.monotonic() < _left_alone_until:
        return False
    told = {"task": row.name, "task_id": row.pk}
    try:
        carrier = _carrier(settings.CELERY_BROKER_URL)
        carrier.send_task(CELERY_TASK, (row.pk,), eta=row.run_after, retry=False)
    except Exception as error:  # whatever the broker's library raises
        _left_alone_until = time.monotonic() + LEFT_ALONE_SECONDS
        log.warning("a task was not sent: %s", error, extra=told)
        return False
    return True


@cache
def _sender() -> ThreadPoolExecutor:
    """Made where it is first used: threads do not survive the server's fork."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="carrier")


@cache
def _carrier(broker: str) -> Any:
    """A producer of messages; `routing_site.celery` is what receives them."""
    from celery import Celery  # noqa: PLC0415 - loaded only where it is used

    app = Celery("switchyard", broker=broker)
    app.conf.task_default_queue = settings.CELERY_TASK_DEFAULT_QUEUE
    app.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    return app
