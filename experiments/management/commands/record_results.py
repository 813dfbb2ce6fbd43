"""`manage.py record_results`: stores yesterday's result of every running experiment, for cron."""

from typing import Any

from django.utils import timezone

from experiments.experimentation.daily_results import record_all
from experiments.management.base import BaseCommand


class Command(BaseCommand):
    help = (
        "Stores the result of every running experiment at the end of yesterday (UTC), so that "
        "later "
        "outcomes do not change it. Run it once a day. It is safe to run twice."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        record_all(timezone.now(), self.stdout.write)
