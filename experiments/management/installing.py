"""Commands that create or upgrade the database: one at a time."""

from typing import Any

from experiments.management.base import BaseCommand
from experiments.storage.installation_lock import installation_lock


class InstallingCommand(BaseCommand):
    """Runs `install` while no other process installs or upgrades."""

    def handle(self, *args: Any, **options: Any) -> None:
        with installation_lock(self._report_waiting):
            self.install(**options)

    def install(self, **options: Any) -> None:
        raise NotImplementedError

    def _report_waiting(self) -> None:
        self.stdout.write("Another process is preparing this database. Waiting until it is done.")
        self.stdout.flush()
