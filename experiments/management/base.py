"""The base of all commands: refuses arguments that a database cannot store."""

from typing import Any

from django.core.management import base
from django.core.management.base import CommandError

from experiments.core.text import find_unstorable


class BaseCommand(base.BaseCommand):
    def execute(self, *args: Any, **options: Any) -> str | None:
        """Refuses bytes that are not UTF-8, for example; they arrive as lone surrogates."""
        for name, value in options.items():
            texts = value if isinstance(value, list | tuple) else [value]
            for text in texts:
                if found := find_unstorable(None if text is None else str(text)):
                    raise CommandError(f"Argument '{name}' {found}")
        return super().execute(*args, **options)
