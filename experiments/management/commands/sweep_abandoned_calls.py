"""`manage.py sweep_abandoned_calls`: settles chat calls whose process has died."""

from typing import Any

from django.core.management.base import BaseCommand

from experiments.gateway.in_flight import sweep_abandoned_calls


class Command(BaseCommand):
    help = (
        "Settles chat calls whose process has died, with their estimated costs. `run_tasks` does "
        "this "
        "automatically. Calls of a live process do not change."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        count = sweep_abandoned_calls()
        self.stdout.write(f"Settled {count:,} abandoned calls with estimated costs.")
