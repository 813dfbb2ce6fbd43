"""`manage.py advance_rollouts`: one round over every open rollout, for cron."""

from typing import Any

from django.utils import timezone

from experiments.management.base import BaseCommand
from experiments.rollouts.lifecycle import advance_all


class Command(BaseCommand):
    help = "Checks every open rollout and takes, holds or rolls back its step. Safe to run twice."

    def handle(self, *args: Any, **options: Any) -> None:
        advance_all(timezone.now(), self.stdout.write)
