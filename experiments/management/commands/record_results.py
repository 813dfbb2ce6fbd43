"""`manage.py record_results`: keeps yesterday's result of every running experiment, for cron."""

from typing import Any

from django.utils import timezone

from experiments.experimentation.daily_results import record_all
from experiments.management.base import BaseCommand


class Command(BaseCommand):
    help = (
        "Keeps what every experiment under way said at the end of yesterday (UTC), so that later "
        "outcomes do not change what was seen. Run it once a day; twice does no harm."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        record_all(timezone.now(), self.stdout.write)
