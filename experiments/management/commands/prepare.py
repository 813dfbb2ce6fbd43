"""`manage.py prepare`: everything `make serve` does before the server starts."""

from typing import Any

from django.core.management import call_command

from experiments.management.installing import InstallingCommand
from experiments.management.listening import refuse_taken_address


class Command(InstallingCommand):
    help = (
        "Runs migrate, seed and welcome in one process, if HOST and PORT are free. Changes nothing "
        "if all of it was done before. If several run at once, one works and the others wait."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_taken_address()
        super().handle(*args, **options)

    def install(self, **options: Any) -> None:
        call_command("migrate", verbosity=0, skip_checks=True, stdout=self.stdout)
        for command in ("seed", "welcome"):
            call_command(command, stdout=self.stdout)
