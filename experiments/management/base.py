"""What all commands share: an argument that no database can store is refused by its name."""

from typing import Any

from django.core.management import base
from django.core.management.base import CommandError

from experiments.core.text import find_unstorable


class BaseCommand(base.BaseCommand):
    def execute(self, *args: Any, **options: Any) -> str | None:
        """Bytes of the command line that are no UTF-8 come as halves of surrogate pairs."""
        for name, value in options.items():
            texts = value if isinstance(value, list | tuple) else [value]
            for text in texts:
                if found := find_unstorable(None if text is None else str(text)):
                    raise CommandError(f"Argument '{name}' {found}")
        return super().execute(*args, **options)
