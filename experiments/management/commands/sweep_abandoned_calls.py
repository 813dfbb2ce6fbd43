"""`manage.py sweep_abandoned_calls`: settles chat calls whose process has died."""

from typing import Any

from django.core.management.base import BaseCommand

from experiments.gateway.in_flight import sweep_abandoned_calls


class Command(BaseCommand):
    help = (
        "Settles chat calls whose process has died, as they were estimated. `run_tasks` does it by "
        "itself; calls that a living process serves are never touched."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        count = sweep_abandoned_calls()
        self.stdout.write(f"{count:,} abandoned calls were settled as estimated.")
