"""Celery, where `CELERY_BROKER_URL` names a broker: it carries tasks that are rows all the same.

celery --app routing_site.celery worker
"""

import os

from celery import Celery
from celery.signals import worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routing_site.settings")

app = Celery("switchyard")
app.config_from_object("django.conf:settings", namespace="CELERY")


@worker_init.connect  # type: ignore[untyped-decorator]
def _without_limits(**_: object) -> None:
    from experiments.storage.long_statements import (  # noqa: PLC0415 - needs settings
        allow_long_statements,
    )

    allow_long_statements()


@app.task(name="switchyard.run_task", ignore_result=True)  # type: ignore[untyped-decorator]
def run_task(task_id: int) -> None:
    from django.utils import timezone  # noqa: PLC0415 - needs Django to be set up

    from experiments.services.tasks import run  # noqa: PLC0415

    run(task_id, timezone.now())
