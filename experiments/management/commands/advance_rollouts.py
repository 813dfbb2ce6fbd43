"""`manage.py advance_rollouts`: checks every open rollout once, for cron."""

from typing import Any

from django.utils import timezone

from experiments.management.base import BaseCommand
from experiments.rollouts.lifecycle import advance_all


class Command(BaseCommand):
    help = "Checks every open rollout, and advances, holds or rolls it back. Safe to run twice."

    def handle(self, *args: Any, **options: Any) -> None:
        advance_all(timezone.now(), self.stdout.write)
