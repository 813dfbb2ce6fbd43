"""`manage.py migrate`: Django's command, limited to one process at a time."""

from typing import Any

from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS

from experiments.storage.installation_lock import installation_lock


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        if options["database"] != DEFAULT_DB_ALIAS:
            super().handle(*args, **options)
            return
        with installation_lock(self._report_waiting):
            super().handle(*args, **options)

    def _report_waiting(self) -> None:
        self.stderr.write("Another process is preparing this database. Waiting until it is done.")
