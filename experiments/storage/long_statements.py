"""Removes the time limits of requests for commands, which may take as long as they need."""

from django.conf import settings


def allow_long_statements() -> None:
    """Removes the limit on statements and locks in this process. Call it before anything
    connects."""
    limits = settings.DATABASES["default"].get("OPTIONS", {}).get("limits", {})
    for name in ("statement", "lock"):
        limits.pop(name, None)
