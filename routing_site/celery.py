"""Celery, if `CELERY_BROKER_URL` names a broker: it delivers tasks, which remain rows.

celery --app routing_site.celery worker
celery --app routing_site.celery beat
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

    from experiments.background.tasks import run  # noqa: PLC0415

    run(task_id, timezone.now())


@app.task(name="switchyard.run_periodic_job", ignore_result=True)  # type: ignore[untyped-decorator]
def run_periodic_job(name: str) -> None:
    """Runs the job if it is due and no other process runs it."""
    from django.utils import timezone  # noqa: PLC0415 - needs Django to be set up

    from experiments.background import scheduler  # noqa: PLC0415
    from experiments.management import periodic_jobs  # noqa: F401, PLC0415

    now = timezone.now()
    scheduler.prepare(now)
    scheduler.run_job(name, now)


@app.on_after_finalize.connect  # type: ignore[untyped-decorator]
def _schedule_periodic_jobs(sender: Celery, **_: object) -> None:
    """Beat triggers each job at least once a minute; the job's row says whether it is due. So
    missed runs are caught up, and `run_tasks` may run next to beat."""
    import django  # noqa: PLC0415

    django.setup()
    from experiments.background.scheduler import Every, registered  # noqa: PLC0415
    from experiments.management import periodic_jobs  # noqa: F401, PLC0415

    for job in registered():
        seconds = min(job.schedule.seconds, 60) if isinstance(job.schedule, Every) else 60
        sender.add_periodic_task(
            float(seconds), run_periodic_job.s(job.name), name=job.name, expires=seconds
        )
